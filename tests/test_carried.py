"""Resumed trainings with callbacks of Keras that remember something."""

import csv
import zipfile

import keras
import numpy as np
import pytest

from dsr_tf.callbacks import DSR
from dsr_tf.callbacks import Checkpoint
from dsr_tf.callbacks import resumable_fit
from dsr_tf.callbacks.carried import FIELDS
from dsr_tf.callbacks.carried import Carried
from dsr_tf.data import load_images
from dsr_tf.layers import SparseDense
from tests.killing import KillAt
from tests.killing import Killed

EPOCHS, STEPS = 7, 5


class StopAt(keras.callbacks.Callback):
    """Sets `stop_training` within an epoch."""

    def on_train_batch_end(self, batch, logs=None):
        if self.model.optimizer.iterations.numpy() == 2 * STEPS + 3:
            self.model.stop_training = True


class Own(keras.callbacks.Callback):
    """A callback of one's own, with a state."""

    def __init__(self):
        super().__init__()
        self.sums = np.zeros(2)
        self.text = ""

    def on_train_begin(self, logs=None):
        self.sums, self.text = np.zeros(2), ""

    def on_train_batch_end(self, batch, logs=None):
        self.sums += [batch, 1]

    def on_epoch_end(self, epoch, logs=None):
        self.text += f"{epoch},"

    def get_state(self):
        return {"sums": self.sums, "text": self.text}

    def set_state(self, state):
        self.sums, self.text = state["sums"], state["text"]


def watching(metric, mode="min", **arguments):
    return {"monitor": metric, "mode": mode, **arguments}


# A metric that gets better is watched as if it should get worse, so that the
# callbacks have something to do.
CALLBACKS = {
    "stopping": lambda path: keras.callbacks.EarlyStopping(
        **watching("accuracy", patience=2, restore_best_weights=True)
    ),
    "plateau": lambda path: keras.callbacks.ReduceLROnPlateau(
        **watching("accuracy", patience=2, factor=0.5, cooldown=1)
    ),
    "best": lambda path: keras.callbacks.ModelCheckpoint(
        path / "best.keras", save_best_only=True, **watching("accuracy")
    ),
    "often": lambda path: keras.callbacks.ModelCheckpoint(
        path / "of_{epoch}_{batch}.weights.h5",
        save_freq=4,
        save_weights_only=True,
    ),
    "swapped": lambda path: keras.callbacks.SwapEMAWeights(),
    "swapped_each_epoch": lambda path: keras.callbacks.SwapEMAWeights(
        swap_on_epoch=True
    ),
    "rate": lambda path: keras.callbacks.LearningRateScheduler(
        lambda epoch, rate: 0.9 * rate
    ),
    "rows": lambda path: keras.callbacks.CSVLogger(
        path / "rows.csv", append=True
    ),
    "stop": lambda path: StopAt(),
    "own": lambda path: Own(),
}


@pytest.fixture(scope="module")
def digits():
    return load_images("digits", train_examples=100)


def network(use_ema=False):
    # Names of layers are in files.
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Flatten(),
            SparseDense(16, sparsity=0.5, activation="relu"),
            keras.layers.BatchNormalization(),
            SparseDense(10, sparsity=0.5),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.SGD(
        0.05, momentum=0.9, use_ema=use_ema, ema_momentum=0.8
    )
    model.compile(optimizer, loss, metrics=["accuracy"], jit_compile=False)
    return model


def train(path, digits, names, kill_at=0, epochs=EPOCHS, **arguments):
    path.mkdir(exist_ok=True)
    model = network("swapped" in names)
    watched = [CALLBACKS[name](path) for name in names.split()]
    resumable_fit(
        model,
        lambda epoch, step: digits.train_batches(20, 0, epoch, step),
        Checkpoint(path / "checkpoints", **arguments),
        epochs=epochs,
        steps_per_epoch=STEPS,
        callbacks=[DSR(20, period=3), *watched, KillAt(kill_at)],
        validation_data=digits.eval_batches().take(1),
    )
    return model, watched


def files(path):
    """Returns what callbacks have written; of archives the weights."""
    found = {}
    for file in path.iterdir():
        if file.suffix == ".keras":
            with zipfile.ZipFile(file) as archive:
                found[file.name] = archive.read("model.weights.h5")
        elif file.is_file():
            found[file.name] = file.read_bytes()
    return found


def assert_equal(one, other, paths):
    for a, b in zip(
        [*one[0].variables, *one[0].optimizer.variables],
        [*other[0].variables, *other[0].optimizer.variables],
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
    assert files(paths[0]) == files(paths[1])
    for a, b in zip(one[1], other[1], strict=True):
        if hasattr(a, "get_state"):
            assert repr(a.get_state()) == repr(b.get_state())


@pytest.fixture(scope="module")
def whole(tmp_path_factory, digits):
    """Returns trainings that nothing stopped, each done once."""
    done = {}

    def run(names):
        if names not in done:
            path = tmp_path_factory.mktemp("whole")
            done[names] = train(path, digits, names), path
        return done[names]

    return run


# None of these sees what another does.
TOGETHER = "best often rate rows own"
CASES = (TOGETHER, "stopping", "plateau", "swapped", "swapped_each_epoch")


@pytest.mark.slow
@pytest.mark.parametrize(
    "names, every_steps, kills",
    [
        *((names, 1, (3, 9)) for names in (*CASES, "stop")),
        # These act at the ends of epochs.
        ("best plateau own", None, (12, 2)),
    ],
)
def test_callbacks_go_on(tmp_path, digits, whole, names, every_steps, kills):
    expected, path = whole(names)
    for kill_at in kills:
        with pytest.raises(Killed):
            train(tmp_path, digits, names, kill_at, every_steps=every_steps)
    found = train(tmp_path, digits, names)
    assert_equal(expected, found, (path, tmp_path))
    # Once more does nothing more.
    again = train(tmp_path, digits, names)
    assert_equal(expected, again, (path, tmp_path))


@pytest.mark.slow
def test_the_cases_do_something(whole):
    optimizers = {x: whole(x)[0][0].optimizer for x in (*CASES, "stop")}
    steps = {names: int(x.iterations) for names, x in optimizers.items()}
    assert steps[TOGETHER] == EPOCHS * STEPS
    assert steps["stopping"] == 3 * STEPS
    assert steps["stop"] == 2 * STEPS + 3
    rates = {x: float(y.learning_rate) for x, y in optimizers.items()}
    assert rates["plateau"] < 0.05 / 3
    assert rates[TOGETHER] == pytest.approx(0.05 * 0.9**EPOCHS)
    path = whole(TOGETHER)[1]
    assert len(list(path.glob("of_*.h5"))) == EPOCHS * STEPS // 4
    assert len((path / "rows.csv").read_text().split()) == 8


@pytest.mark.parametrize("damage", [b"", b"foreign,rows\r\n1,2"])
def test_rows_belong_to_the_checkpoint(tmp_path, digits, whole, damage):
    with pytest.raises(Killed):
        train(tmp_path, digits, "rows", kill_at=13, every_steps=2)
    (tmp_path / "rows.csv").write_bytes(damage)
    found = train(tmp_path, digits, "rows")
    assert_equal(whole("rows")[0], found, (whole("rows")[1], tmp_path))


def test_rows_keep_the_columns_that_they_began_with(
    tmp_path, digits, monkeypatch
):
    logged = DSR.on_epoch_end

    def fewer(moves, epoch, logs=None):
        logged(moves, epoch, logs)
        del logs["ever_active"]

    monkeypatch.setattr(DSR, "on_epoch_end", fewer)
    train(tmp_path, digits, "rows", epochs=1)
    monkeypatch.undo()
    train(tmp_path, digits, "rows", epochs=3)
    with (tmp_path / "rows.csv").open(newline="") as file:
        first, *rows = list(csv.reader(file))
    assert "ever_active" not in first and len(rows) == 3
    assert {len(row) for row in rows} == {len(first)}
    active = {row[first.index("active_weights")] for row in rows}
    assert len(active) == 1


def test_the_fields_of_kerass_callbacks_are_there(tmp_path):
    made = {type(make(tmp_path)): make(tmp_path) for make in CALLBACKS.values()}
    made[keras.callbacks.TensorBoard] = keras.callbacks.TensorBoard(tmp_path)
    for kind, fields in FIELDS.items():
        callback = made[kind]
        if kind is keras.callbacks.EarlyStopping:
            callback.on_train_begin()
        assert all(name in vars(callback) for name in fields), kind


def test_state_keeps_every_dtype():
    own, other = Own(), Own()
    for dtype in ("bfloat16", "float16", "bool", "uint8", "int64"):
        own.sums = keras.ops.convert_to_numpy(
            keras.ops.cast([[0, 1], [1, 1]], dtype)
        )
        Carried([other]).deserialize(Carried([own]).serialize())
        assert other.sums.dtype == own.sums.dtype
        np.testing.assert_array_equal(other.sums, own.sums)


@pytest.mark.parametrize("state", [None, {"k": b"ab"}, {"k": {1, 2}}, {1: 2}])
def test_what_cannot_be_stored_is_refused_at_the_first_save(
    tmp_path, digits, monkeypatch, state
):
    monkeypatch.setattr(Own, "get_state", lambda self: state)
    with pytest.raises(ValueError, match="`get_state` of a callback must"):
        train(tmp_path, digits, "own", epochs=1)
    assert not list((tmp_path / "checkpoints").glob("*.index"))


def test_a_state_needs_both_ways(tmp_path, digits, monkeypatch):
    monkeypatch.delattr(Own, "set_state")
    with pytest.raises(ValueError, match="both `get_state` and `set_state`"):
        train(tmp_path, digits, "own", epochs=1)


def test_states_go_to_what_watches_the_same():
    def stopping(monitor, mode):
        made = keras.callbacks.EarlyStopping(monitor, mode=mode)
        made.on_train_begin()
        return made

    loss, accuracy = stopping("loss", "min"), stopping("accuracy", "max")
    loss.best, accuracy.best = 2.5, 0.75
    state = Carried([loss, accuracy]).serialize()
    others = [stopping(*x) for x in (("accuracy", "max"), ("loss", "min"))]
    Carried(others).deserialize(state)
    assert [x.best for x in others] == [0.75, 2.5]
    other = stopping("val_loss", "min")
    Carried([other]).deserialize(state)
    assert other.best is None


@pytest.mark.parametrize("names", ["stopping", "plateau own", "swapped"])
def test_plain_fit_carries_its_callbacks(tmp_path, names):
    x = np.random.default_rng(0).normal(size=(40, 8, 8, 1)).astype("float32")
    y = np.arange(40) % 10

    def fit(path, epochs, *more):
        path.mkdir(exist_ok=True)
        model, checkpoint = network(names == "swapped"), Checkpoint(path / "c")
        watched = [CALLBACKS[name](path) for name in names.split()]
        model.fit(
            x, y, batch_size=10, epochs=epochs, verbose=0, shuffle=False,
            validation_data=(x[:10], y[:10]),
            initial_epoch=checkpoint.find(model).epoch,
            callbacks=[DSR(20, period=3), *watched, *more, checkpoint],
        )  # fmt: skip
        return model, watched

    whole = fit(tmp_path / "a", 4)
    with pytest.raises(Killed):
        fit(tmp_path / "b", 4, KillAt(7))
    resumed = fit(tmp_path / "b", 4)
    for a, b in zip(whole[0].variables, resumed[0].variables, strict=True):
        np.testing.assert_array_equal(a, b)
    rates = [float(x[0].optimizer.learning_rate) for x in (whole, resumed)]
    assert rates[0] == rates[1]


def test_averages_at_the_end_are_the_end(tmp_path, digits):
    train(tmp_path, digits, "swapped_each_epoch", epochs=2)
    with pytest.raises(ValueError, match="`epochs` must be the epochs that"):
        train(tmp_path, digits, "swapped_each_epoch", epochs=3)


def test_more_epochs_go_on(tmp_path, digits, whole):
    train(tmp_path, digits, "rows", epochs=3)
    found = train(tmp_path, digits, "rows")
    assert_equal(whole("rows")[0], found, (whole("rows")[1], tmp_path))


def test_plain_fit_does_not_go_on_with_what_was_stopped(tmp_path):
    x, y = np.ones((20, 8, 8, 1), "float32"), np.zeros(20)

    def fit():
        checkpoint = Checkpoint(tmp_path)
        network().fit(
            x, y, epochs=5, verbose=0, callbacks=[stopping(), checkpoint],
            initial_epoch=checkpoint.find().epoch,
        )  # fmt: skip

    def stopping():
        return keras.callbacks.EarlyStopping("loss", patience=0, mode="max")

    fit()
    with pytest.raises(ValueError, match="stopped after epoch 2"):
        fit()


def test_a_callback_without_a_state_begins_anew_and_says_so(
    tmp_path, digits, caplog
):
    train(tmp_path, digits, "rate", epochs=1)
    train(tmp_path, digits, "plateau", epochs=2)
    assert "ReduceLROnPlateau(accuracy, min) begins anew" in caplog.text


def test_backup_and_restore_of_keras_is_warned_of(tmp_path, caplog):
    x, y = np.ones((20, 8, 8, 1), "float32"), np.zeros(20)

    def fit(*more):
        model = network()
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
        model.fit(
            x, y, batch_size=5, epochs=3, verbose=0,
            callbacks=[DSR(20, period=3), backup, *more],
        )  # fmt: skip

    with pytest.raises(Killed):
        fit(KillAt(6))
    assert "begins anew" not in caplog.text
    fit()
    assert "the state of DSR begins anew: BackupAndRestore does" in caplog.text
