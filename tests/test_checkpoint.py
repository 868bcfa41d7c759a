import functools
import shutil
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

from dsr_tf.callbacks import DSR
from dsr_tf.callbacks import ITOP
from dsr_tf.callbacks import MEST
from dsr_tf.callbacks import SET
from dsr_tf.callbacks import SNFS
from dsr_tf.callbacks import Checkpoint
from dsr_tf.callbacks import CHTs
from dsr_tf.callbacks import DeepR
from dsr_tf.callbacks import GraNet
from dsr_tf.callbacks import PreemptedError
from dsr_tf.callbacks import RigL
from dsr_tf.callbacks import UnreadableCheckpointError
from dsr_tf.callbacks import resumable_fit
from dsr_tf.data import load_images
from dsr_tf.layers import SparseDense
from tests.killing import KillAt
from tests.killing import Killed

EPOCHS, STEPS = 3, 8
METHODS = {
    "dsr": lambda: DSR(20, period=3, initial_threshold=0.02),
    "drawn": lambda: DSR(0.1, period=3, growth="drawn"),
    "set": lambda: SET(0.1, period=3),
    "chts": lambda: CHTs(3, percolate=True),
    "deepr": lambda: DeepR(1e-3),
    "rigl": lambda: RigL(0.3, period=3),
    "snfs": lambda: SNFS(3, 0.3),
    "granet": lambda: GraNet(0.9, 3, 0.8, 0.3),
    "itop": lambda: ITOP(3, 0.3),
    "mest": lambda: MEST(3),
    "mest soft": lambda: MEST(3, soft=True, sparsity=0.85),
    "by gradient": lambda: DSR(0.1, period=3, growth="gradient"),
}
OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.05, momentum=0.9),
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(
        keras.optimizers.Adam(1e-3)
    ),
    "averaged": lambda: keras.optimizers.Adam(
        1e-3, use_ema=True, ema_momentum=0.9
    ),
    "accumulated": lambda: keras.optimizers.Adagrad(
        0.05, gradient_accumulation_steps=3
    ),
}


class Rows(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.rows = {}

    def on_epoch_end(self, epoch, logs=None):
        self.rows[epoch] = dict(logs)


@pytest.fixture(scope="module")
def digits():
    return load_images("digits", train_examples=160)


def network(optimizer="sgd"):
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Flatten(),
            SparseDense(32, sparsity=0.8, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.2, seed=1),
            SparseDense(10, sparsity=0.5),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(
        OPTIMIZERS[optimizer](), loss, metrics=["accuracy"], jit_compile=False
    )
    return model


def train(path, digits, method="dsr", optimizer="sgd", kill_at=0, **arguments):
    """Trains a new network to the end, or until it is killed."""
    model, moves, rows = network(optimizer), METHODS[method](), Rows()
    killer = KillAt(kill_at)
    checkpoint = Checkpoint(path, moves, **arguments)
    resumable_fit(
        model,
        lambda epoch, step: digits.train_batches(20, 0, epoch, step),
        checkpoint,
        epochs=EPOCHS,
        steps_per_epoch=STEPS,
        callbacks=[moves, rows, killer],
        validation_data=digits.eval_batches().take(1),
    )
    return model, moves, rows.rows, checkpoint


def assert_equal_runs(one, other):
    for a, b in zip(one[0].variables, other[0].variables, strict=True):
        np.testing.assert_array_equal(a, b)
    slots = zip(
        one[0].optimizer.variables, other[0].optimizer.variables, strict=True
    )
    for a, b in slots:
        np.testing.assert_array_equal(a, b)
    states = [vars(run[1].state).copy() for run in (one, other)]
    for state in states:
        state.pop("seconds")
    assert {k: v for k, v in states[0].items() if k[0] != "_"} == {
        k: v for k, v in states[1].items() if k[0] != "_"
    }
    assert other[2].items() <= one[2].items()


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory, digits):
    """Returns runs that nothing stopped, each trained once."""

    # Arguments that are left out would make another entry.
    @functools.cache
    def run(method, optimizer):
        path = tmp_path_factory.mktemp("whole")
        return train(path, digits, method, optimizer)

    return lambda method="dsr", optimizer="sgd": run(method, optimizer)


@pytest.mark.slow
@pytest.mark.parametrize(
    "method, kill_at",
    [
        *[("dsr", 5), ("dsr", 8), ("dsr", 23), ("set", 13), ("deepr", 13)],
        ("drawn", 8),
        # Between two reallocations, with gradients that were kept.
        *[("rigl", 13), ("snfs", 13), ("granet", 13), ("chts", 13)],
        *[("itop", 13), ("mest", 13), ("mest soft", 13), ("by gradient", 13)],
    ],
)
def test_a_killed_run_ends_like_one_that_was_not(
    tmp_path, digits, whole_run, method, kill_at
):
    whole = whole_run(method)
    assert whole[1].state.weights_moved > 0
    with pytest.raises(Killed):
        train(tmp_path, digits, method, kill_at=kill_at, every_steps=2)
    assert_equal_runs(whole, train(tmp_path, digits, method))


@pytest.mark.slow
def test_a_run_killed_between_the_batches_of_a_step_ends_alike(
    tmp_path, digits, whole_run
):
    """A reallocation needs the gradients of all three."""
    whole = whole_run("rigl", "accumulated")
    arguments = {"method": "rigl", "optimizer": "accumulated"}
    with pytest.raises(Killed):
        train(tmp_path, digits, kill_at=9, every_steps=1, **arguments)
    assert_equal_runs(whole, train(tmp_path, digits, **arguments))


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_variable_of_an_optimizer_is_resumed(
    tmp_path, digits, whole_run, optimizer
):
    arguments = {"optimizer": optimizer, "every_steps": 1}
    for kill_at in (3, 9):
        with pytest.raises(Killed):
            train(tmp_path, digits, kill_at=kill_at, **arguments)
    resumed = train(tmp_path, digits, **arguments)
    assert_equal_runs(whole_run(optimizer=optimizer), resumed)


def test_a_finished_run_is_restored(tmp_path, digits):
    whole = train(tmp_path, digits)
    again = train(tmp_path, digits)
    assert_equal_runs(whole, again)
    assert again[3].position.epoch == EPOCHS and not again[2]


@pytest.mark.parametrize("event", ["train_batch", "test_batch", "epoch"])
def test_stop_writes_a_checkpoint_and_ends_training(
    tmp_path, digits, whole_run, event
):
    class Stop(keras.callbacks.Callback):
        def stop(self, *_, logs=None):
            if self.model.optimizer.iterations.numpy() > STEPS + 2:
                checkpoint.stop()

    # `epoch`: after the last batch, and before its checkpoint.
    name = {"epoch": "on_epoch_end"}.get(event, f"on_{event}_end")
    setattr(Stop, name, Stop.stop)
    model, moves, rows = network(), METHODS["dsr"](), Rows()
    checkpoint = Checkpoint(tmp_path, moves)
    arguments = {
        "epochs": EPOCHS,
        "steps_per_epoch": STEPS,
        "validation_data": digits.eval_batches().take(1),
    }

    def batches(epoch, step):
        return digits.train_batches(20, 0, epoch, step)

    with pytest.raises(PreemptedError):
        callbacks = [moves, rows, Stop()]
        resumable_fit(
            model, batches, checkpoint, callbacks=callbacks, **arguments
        )
    found = checkpoint.find()
    assert (found.epoch, found.step) == {
        "train_batch": (1, 3), "test_batch": (1, STEPS), "epoch": (2, 0)
    }[event]  # fmt: skip
    assert_equal_runs(whole_run(), train(tmp_path, digits))


def test_a_signal_that_comes_while_workers_are_asked_is_heard(
    tmp_path, monkeypatch
):
    model = network()
    checkpoint = Checkpoint(tmp_path)
    asked = []

    def answer(strategy, values):
        """Returns what they held before the signal came."""
        asked.append(values)
        if len(asked) == 3:
            checkpoint.stop(signal.SIGUSR1)
        return values

    x, y = np.zeros((80, *model.input_shape[1:])), np.zeros(80)
    monkeypatch.setattr("dsr_tf.callbacks.checkpoint.largest", answer)
    with pytest.raises(PreemptedError, match="after 3 batches, on SIGUSR1"):
        model.fit(x, y, batch_size=10, verbose=0, callbacks=[checkpoint])


def test_plain_fit_resumes_at_the_end_of_an_epoch(tmp_path):
    x = np.random.default_rng(0).normal(size=(80, 8, 8, 1)).astype("float32")
    y = np.arange(80) % 10

    def fit(path, epochs):
        model, moves = network(), METHODS["dsr"]()
        checkpoint = Checkpoint(path, moves)
        model.fit(
            x, y, batch_size=10, shuffle=False, verbose=0, epochs=epochs,
            initial_epoch=checkpoint.find().epoch,
            callbacks=[moves, checkpoint],
        )  # fmt: skip
        return model

    fit(tmp_path / "b", 2)
    whole, resumed = fit(tmp_path / "a", 5), fit(tmp_path / "b", 5)
    for a, b in zip(whole.variables, resumed.variables, strict=True):
        np.testing.assert_array_equal(a, b)


def test_fit_does_not_begin_within_an_epoch(tmp_path, digits, caplog):
    with pytest.raises(Killed):
        train(tmp_path, digits, kill_at=13, every_steps=2, keep=1)
    arguments = {"steps_per_epoch": STEPS, "epochs": 2, "verbose": 0}
    batches = digits.train_batches(20, 0)

    def fit(initial_epoch, model=None, **more):
        moves = METHODS["dsr"]()
        callbacks = [moves, Checkpoint(tmp_path, **more)]
        (model or network()).fit(
            batches, callbacks=callbacks, initial_epoch=initial_epoch,
            **arguments,
        )  # fmt: skip

    # Those of the second epoch alone are there, none of its beginning.
    trained = network()
    trained.fit(batches, **arguments)
    with pytest.raises(ValueError, match="end of an epoch.*after 4 batches"):
        fit(1, trained)
    with pytest.raises(ValueError, match="end of an epoch.*after 4 batches"):
        fit(1)
    assert "goes on at the beginning" not in caplog.text


def test_fit_must_begin_in_the_epoch_of_the_checkpoint(tmp_path, digits):
    arguments = {"steps_per_epoch": STEPS, "epochs": 2, "verbose": 0}
    batches = digits.train_batches(20, 0)
    network().fit(batches, callbacks=[Checkpoint(tmp_path)], **arguments)
    arguments |= {"epochs": 4, "callbacks": [Checkpoint(tmp_path)]}
    with pytest.raises(ValueError, match="`initial_epoch`.*resumes, 2:"):
        network().fit(batches, initial_epoch=1, **arguments)


def test_fit_that_was_stopped_within_an_epoch_goes_on_at_its_begin(tmp_path):
    x = np.random.default_rng(0).normal(size=(80, 8, 8, 1)).astype("float32")
    y = np.arange(80) % 10

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if self.model.optimizer.iterations.numpy() == self.step:
                self.checkpoint.stop()

    def fit(path, stop_at=0):
        model, moves, stop = network(), METHODS["dsr"](), Stop()
        stop.checkpoint, stop.step = Checkpoint(path), stop_at
        model.fit(
            x, y, batch_size=10, shuffle=False, verbose=0, epochs=3,
            initial_epoch=stop.checkpoint.find(model).epoch,
            callbacks=[moves, stop, stop.checkpoint],
        )  # fmt: skip
        return model

    whole = fit(tmp_path / "a")
    for step in (3, 12):
        with pytest.raises(PreemptedError):
            fit(tmp_path / "b", step)
    resumed = fit(tmp_path / "b")
    for a, b in zip(whole.variables, resumed.variables, strict=True):
        np.testing.assert_array_equal(a, b)


def test_other_sparsities_are_not_gone_on_from(tmp_path, digits):
    train(tmp_path, digits)
    model, moves = network(), METHODS["dsr"]()
    model.layers[1].sparsity = 0.9
    with pytest.raises(
        UnreadableCheckpointError,
        match="sparse layer 0 is 0.8 by weight, here it is 0.9 by weight",
    ):
        Checkpoint(tmp_path, moves).find(model)


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda path: [Checkpoint(path), METHODS["dsr"]()],
            "must hold the Checkpoint last.*Received: DSR after it",
        ),
        (
            lambda path: [Checkpoint(path), keras.callbacks.EarlyStopping()],
            "Received: EarlyStopping after it",
        ),
        (
            lambda path: [
                keras.callbacks.BackupAndRestore(path / "b"), Checkpoint(path)
            ],
            "must not hold BackupAndRestore",
        ),
        (
            lambda path: [
                keras.callbacks.CSVLogger(path / "a.csv"), Checkpoint(path)
            ],
            "CSVLogger with append=True",
        ),
    ],
)  # fmt: skip
def test_callbacks_that_cannot_go_on_are_refused(tmp_path, make, message):
    x, y = np.zeros((20, 8, 8, 1)), np.zeros(20)
    with pytest.raises(ValueError, match=message):
        network().fit(x, y, verbose=0, callbacks=make(tmp_path))


def test_models_of_several_optimizers_are_refused(tmp_path):
    model = network()
    model.other = keras.optimizers.SGD()
    x, y = np.zeros((20, 8, 8, 1)), np.zeros(20)
    with pytest.raises(ValueError, match="the optimizers other besides"):
        model.fit(x, y, verbose=0, callbacks=[Checkpoint(tmp_path)])


def test_finding_leaves_the_optimizer_of_an_unbuilt_model(tmp_path):
    model = keras.Sequential([SparseDense(3, sparsity=0.5)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="`model` must be built before"):
        Checkpoint(tmp_path).find(model)
    assert not model.optimizer.built


def test_uncompiled_models_are_refused(tmp_path):
    model = keras.Sequential([keras.Input((3,)), SparseDense(2, sparsity=0.5)])
    with pytest.raises(ValueError, match="`model` must be compiled"):
        Checkpoint(tmp_path).find(model)


def test_executions_must_divide_an_epoch(tmp_path, digits):
    model = network()
    model.steps_per_execution = 3
    with pytest.raises(ValueError, match="a multiple of the model's"):
        resumable_fit(
            model,
            lambda epoch, step: digits.train_batches(20, 0, epoch, step),
            Checkpoint(tmp_path),
            epochs=1,
            steps_per_epoch=STEPS,
        )


def test_a_checkpoint_stays_where_it_was_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoint = Checkpoint("here")
    monkeypatch.chdir("/")
    assert checkpoint.directory == tmp_path / "here"


@pytest.mark.slow
def test_as_many_as_wanted_are_kept(tmp_path, digits):
    train(tmp_path, digits, every_steps=2, keep=2)
    names = sorted(p.name for p in tmp_path.glob("*.index"))
    assert names == ["checkpoint-14.index", "checkpoint-15.index"]


def damage(path, kind, place):
    content = bytearray(path.read_bytes())
    at = int(place * (len(content) - 1))
    if kind == "torn":
        content = content[:at]
    elif kind == "flipped":
        content[at] ^= 0x40
    else:
        content = bytearray(len(content))
    path.write_bytes(content)


@pytest.fixture(scope="module")
def killed(tmp_path_factory, digits):
    """Checkpoints of a run that was killed; the newest is number 7."""
    path = tmp_path_factory.mktemp("killed")
    with pytest.raises(Killed):
        train(path, digits, kill_at=13, every_steps=2)
    return path


@pytest.mark.parametrize("kind", ["torn", "flipped", "zeroed"])
@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_a_damaged_checkpoint_is_passed_over(tmp_path, killed, kind, place):
    shutil.copytree(killed, tmp_path, dirs_exist_ok=True)
    damage(tmp_path / "checkpoint-7.data-00000-of-00001", kind, place)
    checkpoint = Checkpoint(tmp_path)
    found = checkpoint.find()
    assert (found.epoch, found.step) == (1, 2)
    (line,) = checkpoint.damaged
    assert "checkpoint-7 cannot be read (" in line


def test_a_damaged_index_is_no_obstacle(tmp_path, digits, whole_run, killed):
    shutil.copytree(killed, tmp_path, dirs_exist_ok=True)
    damage(tmp_path / "checkpoint-7.index", "torn", 0.5)
    assert_equal_runs(whole_run(), train(tmp_path, digits))


def test_foreign_files_are_passed_over(tmp_path, digits, whole_run, killed):
    shutil.copytree(killed, tmp_path, dirs_exist_ok=True)
    (tmp_path / "checkpoint").write_bytes(b"\xff\x00 garbage")
    for name in ("checkpoint-98_temp", "checkpoint-97.index"):
        (tmp_path / name / "inner").mkdir(parents=True)
    (tmp_path / "checkpoint-1_temp").write_text("a file")
    (tmp_path / "checkpoint-abc.index").write_text("not a number")
    (tmp_path / f"checkpoint-{'9' * 40}.index").write_text("a large one")
    tf.train.Checkpoint(x=tf.Variable(1.0)).write(
        str(tmp_path / "checkpoint-99")
    )
    path = tmp_path / "checkpoint-99.index"
    other = {path: path.read_bytes()}
    resumed = train(tmp_path, digits)
    assert_equal_runs(whole_run(), resumed)
    lines = resumed[3].damaged
    assert "checkpoint-99" in lines[0] and "checkpoint-97" in lines[1]
    assert "does not fit (it is no checkpoint of dsr_tf)" in lines[0]
    assert other == {path: path.read_bytes()}


def test_nothing_is_deleted_if_none_can_be_read(tmp_path, digits, killed):
    shutil.copytree(killed, tmp_path, dirs_exist_ok=True)
    for path in tmp_path.glob("*.data*"):
        damage(path, "torn", 0.5)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(UnreadableCheckpointError, match="No checkpoint in"):
        train(tmp_path, digits)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_leftovers_of_an_interrupted_write_are_removed(tmp_path, digits):
    train(tmp_path, digits)
    before = sorted(tmp_path.iterdir())
    (tmp_path / "checkpoint-4_temp").mkdir()
    (tmp_path / "checkpoint-4_temp" / "part-00000-of-00001.index").touch()
    train(tmp_path, digits)
    assert sorted(tmp_path.iterdir()) == before


def test_a_loss_that_is_not_finite_ends_training(tmp_path, digits):
    def batches(epoch, step):
        data = digits.train_batches(20, 0, epoch, step)
        bad = tf.data.Dataset.counter(epoch * STEPS + step).map(
            lambda i: tf.where(i == 10, np.float32(np.nan), 1.0)
        )
        return tf.data.Dataset.zip(data, bad).map(
            lambda pair, weight: (*pair, tf.repeat(weight, 20))
        )

    model, checkpoint = network(), Checkpoint(tmp_path, every_steps=4)
    with pytest.raises(FloatingPointError, match="nan at optimizer step 11,"):
        resumable_fit(
            model, batches, checkpoint, epochs=3, steps_per_epoch=STEPS
        )
    found = checkpoint.find()
    assert (found.epoch, found.step) == (1, 0)


def test_unbuilt_models_are_refused(tmp_path):
    model = keras.Sequential([SparseDense(3, sparsity=0.5)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="`model` must be built before"):
        model.fit(
            np.ones((4, 2)), np.ones((4, 3)), verbose=0,
            callbacks=[Checkpoint(tmp_path)],
        )  # fmt: skip


@pytest.mark.parametrize("arguments", [{"every_steps": 0}, {"keep": 0}])
def test_arguments_are_checked(tmp_path, arguments):
    (name,) = arguments
    with pytest.raises(ValueError, match=f"`{name}` must be an integer"):
        Checkpoint(tmp_path, **arguments)
