import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from dsr_tf.callbacks import DSR
from dsr_tf.callbacks import SET
from dsr_tf.callbacks import Checkpoint
from dsr_tf.callbacks import DeepR
from dsr_tf.callbacks import GradualPruning
from dsr_tf.callbacks import SparsityLogger
from dsr_tf.callbacks import resumable_fit
from dsr_tf.callbacks.event_file import write_histogram
from dsr_tf.callbacks.mask_history import MaskHistory
from dsr_tf.data import load_images
from dsr_tf.layers import HashedDense
from dsr_tf.layers import SparseDense
from dsr_tf.layers import sparse_layers
from tests.event_file import read
from tests.killing import KillAt
from tests.killing import Killed

STEPS = 8


def masks(*rows):
    return [np.array([c == "1" for c in row]) for row in rows]


def follow(history, changes):
    history.begin(changes[0])
    for mask in changes[1:]:
        history.update(mask)
    return history


def test_survival_of_a_case_worked_by_hand():
    # Change 1 grows c and d; change 2 prunes c, and grows e;
    # change 3 grows c again, which stays lost to change 1.
    #                abcde    abcde    abcde    abcde
    changes = masks("11000", "00110", "00011", "00111")
    history = follow(MaskHistory((1, 2)), changes)
    assert history.num_grown == 4
    # One change later: of c, d stays d; of e stays e.
    assert history.survival() == {1: 2 / 3, 2: 1 / 2}
    assert history.ever.all()
    assert (history.start == changes[0]).all()
    history.reset()
    assert history.survival() == {} and history.num_grown == 0
    history.update(changes[-1])
    # c, of change 3; e, of change 2.
    assert history.survival() == {1: 1.0, 2: 1.0}


def share(changes, age):
    """Counts in all masks what survives: slow, and plainly so."""
    came = stayed = 0
    for i in range(1, len(changes) - age):
        grown = changes[i] & ~changes[i - 1]
        came += grown.sum()
        stayed += np.all([grown, *changes[i + 1 : i + age + 1]], axis=0).sum()
    return {age: stayed / came} if came else {}


@given(
    st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1),
    st.sets(st.integers(1, 5), min_size=1),
    st.integers(0, 9),
)
def test_survival_is_that_of_all_masks_also_where_a_run_goes_on(
    rows, ages, stop
):
    changes = [np.array(row) for row in rows]
    first = follow(MaskHistory(ages), changes[: stop + 1])
    history = MaskHistory(ages)
    history.deserialize(first.serialize())
    follow(history, changes[stop:] or changes[-1:])
    expected = {}
    for age in ages:
        expected |= share(changes, age)
    assert history.survival() == expected
    assert (history.start == changes[0]).all()
    assert (history.ever == np.any(changes, axis=0)).all()


def network(*layers, steps_per_execution=1):
    keras.utils.set_random_seed(3)
    hidden = [SparseDense(32, 0.8, activation="relu", name="hidden")]
    inner = keras.Sequential([keras.Input((64,)), *(layers or hidden)])
    inner.name = "inner"
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Flatten(),
            inner,
            (HashedDense if layers else SparseDense)(10, 0.5, name="logits"),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.9),
        loss,
        jit_compile=False,
        steps_per_execution=steps_per_execution,
    )
    return model


class Masks(keras.callbacks.Callback):
    """Keeps all masks, as they are after some batches or epochs."""

    def __init__(self, every=None):
        super().__init__()
        self.every = every
        self.seen = []
        self.rows = []

    def on_epoch_begin(self, epoch, logs=None):
        if not self.seen:
            self.add()

    def on_train_batch_end(self, batch, logs=None):
        if self.every and (self.model.optimizer.iterations % self.every) == 0:
            self.add()

    def on_epoch_end(self, epoch, logs=None):
        self.rows.append(dict(logs))
        if not self.every:
            self.add()

    def add(self):
        layers = sparse_layers(self.model)
        flat = [layer.kernel_mask.numpy().ravel() for layer in layers]
        self.seen.append(np.concatenate(flat) != 0)


def fit(model, path, moves, watcher, given=True, epochs=2, **arguments):
    digits = load_images("digits", train_examples=160)
    logger = SparsityLogger(path, moves if given else None, **arguments)
    moving = [moves] if moves else []
    model.fit(
        digits.train_batches(20, 0),
        epochs=epochs,
        steps_per_epoch=STEPS,
        callbacks=[*moving, watcher, logger],
        shuffle=False,
        verbose=0,
    )
    return read(path)


def dsr(period=2):
    return DSR(60, period=period, initial_threshold=0.02, regrow_stddev=0.05)


@pytest.mark.parametrize("steps_per_execution", [1, 2])
def test_values_are_those_of_the_model(tmp_path, steps_per_execution):
    moves, watcher = dsr(), Masks(2)
    model = network(steps_per_execution=steps_per_execution)
    values = fit(model, tmp_path, moves, watcher)
    names = {
        *("active_weights", "dead_inputs", "dead_outputs", "sparsity"),
        "overlap_with_start",
    }
    assert set(values) == {
        f"{name}{layer}"
        for name in names
        for layer in ("", "/inner/hidden", "/logits")
    } | {
        *("ever_active", "survival/after_1_reallocations", "threshold"),
        *("weights/inner/hidden", "weights/logits", "weights_moved"),
    }
    assert all(set(rows) <= {STEPS, 2 * STEPS} for rows in values.values())
    last = {tag: rows[2 * STEPS] for tag, rows in values.items()}
    layers = sparse_layers(model)
    start, end = watcher.seen[0], watcher.seen[-1]
    cut = layers[0].kernel_mask.numpy().size
    for layer, name, part in zip(
        layers,
        ("inner/hidden", "logits"),
        (slice(cut), slice(cut, None)),
        strict=True,
    ):
        active = layer.kernel.numpy()[layer.kernel_mask.numpy() == 1]
        assert last[f"active_weights/{name}"] == active.size
        share = np.float32(1 - active.size / layer.kernel_mask.numpy().size)
        assert last[f"sparsity/{name}"] == share
        left, right, count = last[f"weights/{name}"].T
        assert count.sum() == active.size
        assert (left[0], right[-1]) == (active.min(), active.max())
        overlap = (start & end)[part].sum() / start[part].sum()
        assert last[f"overlap_with_start/{name}"] == np.float32(overlap)
        alive = [layer.kernel_mask.numpy().any(axis=axis) for axis in (1, 0)]
        for kind, rows in zip(("inputs", "outputs"), alive, strict=True):
            assert last[f"dead_{kind}/{name}"] == (~rows).sum()
    for kind in ("dead_inputs", "dead_outputs"):
        each = [last[f"{kind}/{name}"] for name in ("inner/hidden", "logits")]
        assert last[kind] == sum(each)
    assert last["active_weights"] == end.sum()
    assert last["sparsity"] == np.float32(1 - end.mean())
    overlap = (start & end).sum() / start.sum()
    assert last["overlap_with_start"] == np.float32(overlap) < 1
    ever = np.any(watcher.seen, axis=0).mean()
    assert last["ever_active"] == np.float32(ever)
    for name in ("ever_active", "threshold", "weights_moved"):
        logged = [np.float32(row[name]) for row in watcher.rows]
        assert list(values[name].values()) == logged


@pytest.mark.parametrize("steps_per_execution", [1, 2])
def test_survival_is_of_every_reallocation(tmp_path, steps_per_execution):
    model = network(steps_per_execution=steps_per_execution)
    watcher = Masks(2)
    values = fit(
        model, tmp_path, dsr(), watcher, epochs=1, survival_after=(1, 3)
    )
    assert len(watcher.seen) == 1 + STEPS // 2
    for age in (1, 3):
        found = values[f"survival/after_{age}_reallocations"][STEPS]
        expected = share(watcher.seen, age)[age]
        assert found == np.float32(expected) and 0 < found < 1


@pytest.mark.parametrize("method", ["deepr", "unknown"])
def test_masks_are_compared_by_epochs(tmp_path, method):
    moves = DeepR(1e-2) if method == "deepr" else SET(0.2, period=3)
    watcher = Masks()
    values = fit(
        network(), tmp_path, moves, watcher, method == "deepr", epochs=3
    )
    assert set(values["survival/after_1_epochs"]) == {2 * STEPS, 3 * STEPS}
    seen = watcher.seen
    for i in (2, 3):
        found = values["survival/after_1_epochs"][i * STEPS]
        assert found == np.float32(share(seen[i - 2 : i + 1], 1)[1])
        moved = watcher.rows[i - 1]["weights_moved"]
        if method == "unknown":
            moved = (seen[i] & ~seen[i - 1]).sum()
        assert values["weights_moved"][i * STEPS] == moved
        ever = watcher.rows[i - 1].get("ever_active")
        if method == "unknown":
            ever = np.any(seen[: i + 1], axis=0).mean()
        assert values["ever_active"][i * STEPS] == np.float32(ever)


def test_pruning_grows_nothing(tmp_path):
    model = network()
    for layer in sparse_layers(model):
        layer.set_mask(np.ones(layer.kernel.shape))
    watcher = Masks()
    values = fit(model, tmp_path, GradualPruning(0.9, 3, period=4), watcher)
    assert not any(tag.startswith("survival") for tag in values)
    assert list(values["weights_moved"].values()) == [0, 0]
    left = watcher.seen[-1].mean()
    assert values["overlap_with_start"][2 * STEPS] == np.float32(left) < 0.11


def test_hashed_layers_have_no_masks(tmp_path):
    model = network(HashedDense(32, 0.8, name="hidden"))
    values = fit(model, tmp_path, None, keras.callbacks.Callback())
    bank = model.get_layer("inner").get_layer("hidden").bank.numpy()
    assert values["active_weights/inner/hidden"][STEPS] == bank.size == 410
    assert values["weights/inner/hidden"][STEPS][:, 2].sum() == bank.size
    none = ("overlap", "moved", "ever_active", "dead")
    assert not any(part in tag for tag in values for part in none)


def test_dead_units_are_counted_without_a_method_too(tmp_path):
    model = network()
    mask = np.zeros((64, 32))
    mask[3:, 1:] = 1
    model.get_layer("inner").get_layer("hidden").set_mask(mask)
    values = fit(model, tmp_path, None, Masks(), epochs=1)
    assert values["dead_inputs/inner/hidden"][STEPS] == 3
    assert values["dead_outputs/inner/hidden"][STEPS] == 1
    logits = model.get_layer("logits").kernel_mask.numpy()
    assert values["dead_inputs"][STEPS] == 3 + (~logits.any(axis=1)).sum()
    assert values["dead_outputs"][STEPS] == 1


def test_fit_begins_anew(tmp_path):
    model, moves = network(), dsr()
    digits = load_images("digits", train_examples=160)
    logger = SparsityLogger(tmp_path, moves)
    for _ in range(2):
        start = Masks()
        model.fit(
            digits.train_batches(20, 0),
            steps_per_epoch=STEPS,
            callbacks=[start, moves, logger],
            shuffle=False,
            verbose=0,
        )
        assert (logger.history.start == start.seen[0]).all()
    assert sorted(read(tmp_path)["sparsity"]) == [STEPS, 2 * STEPS]


def train(path, batches=0, logs=True, make=dsr):
    moves = make()
    digits = load_images("digits", train_examples=160)
    logger = SparsityLogger(path / "logs", moves, (1, 2, 5))
    resumable_fit(
        network(),
        lambda epoch, step: digits.train_batches(20, 0, epoch, step),
        Checkpoint(
            path / "checkpoints",
            moves,
            every_steps=3,
            logger=logger if logs else None,
        ),
        epochs=3,
        steps_per_epoch=STEPS,
        callbacks=[moves, *([logger] if logs else []), KillAt(batches)],
    )


def deepr():
    return DeepR(1e-3)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Returns what runs that nothing stopped have written."""

    @functools.cache
    def run(make):
        path = tmp_path_factory.mktemp("whole")
        train(path, make=make)
        return read(path / "logs")

    return run


# In an epoch, at a checkpoint and after it; and in the first of an epoch.
@pytest.mark.slow
@pytest.mark.parametrize("batches", [12, 13, 17])
@pytest.mark.parametrize("make", [dsr, deepr])
def test_resumed_run_writes_what_one_never_stopped_writes(
    tmp_path, whole, batches, make
):
    with pytest.raises(Killed):
        train(tmp_path, batches, make=make)
    train(tmp_path, make=make)
    expected, found = whole(make), read(tmp_path / "logs")
    assert sorted(found) == sorted(expected)
    for tag, rows in expected.items():
        assert sorted(found[tag]) == sorted(rows)
        for step, value in rows.items():
            np.testing.assert_array_equal(found[tag][step], value, tag)


@pytest.mark.parametrize("first", [True, False])
def test_run_may_go_on_with_a_logger_or_without(tmp_path, first):
    with pytest.raises(Killed):
        train(tmp_path, 12, logs=first)
    train(tmp_path, logs=not first)
    steps = {STEPS} if first else {2 * STEPS, 3 * STEPS}
    assert set(read(tmp_path / "logs")["sparsity"]) == steps


def test_models_without_sparse_layers_are_refused(tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    logger = SparsityLogger(tmp_path / "logs")
    with pytest.raises(ValueError, match="must have a sparse or hashed layer"):
        model.fit(np.ones((4, 3)), np.ones((4, 2)), 2, callbacks=[logger])
    model = keras.Sequential([SparseDense(2, 0.5)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="must be built before `fit`"):
        model.fit(np.ones((4, 3)), np.ones((4, 2)), 2, callbacks=[logger])
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize("ages", [(), (0,), (1.5,)])
def test_bad_ages_are_refused(tmp_path, ages):
    with pytest.raises(ValueError, match="`survival_after` must"):
        SparsityLogger(tmp_path, survival_after=ages)


def test_histograms_leave_out_what_is_not_finite(tmp_path):
    writer = tf.summary.create_file_writer(str(tmp_path))
    with writer.as_default():
        write_histogram("some", np.array([1.0, np.nan, 2.0, np.inf]), 0)
        write_histogram("none", np.array([np.nan]), 0)
    writer.close()
    (name, rows), *others = read(tmp_path).items()
    assert name == "some" and rows[0][:, 2].sum() == 2 and not others
