"""Methods that come to an end, in trainings that may be too short for it."""

import keras
import numpy as np
import pytest

from dsr_tf import methods
from dsr_tf.callbacks import DSR
from dsr_tf.callbacks import SET
from dsr_tf.callbacks import Checkpoint
from dsr_tf.callbacks import GradualPruning
from dsr_tf.callbacks import PreemptedError
from dsr_tf.callbacks import resumable_fit
from dsr_tf.data import load_images
from dsr_tf.layers import SparseDense
from dsr_tf.schedules import Linear

X, Y = np.ones((80, 4), "float32"), np.zeros((80, 10))


def network(optimizer="sgd", **arguments):
    net = keras.Sequential([keras.Input((4,)), SparseDense(10, 0.0)])
    net.compile(optimizer, "mse", **arguments)
    return net


def fit(net, prune, epochs=2, **arguments):
    """Trains for 8 steps an epoch."""
    given = {"batch_size": 10, "verbose": 0, "callbacks": [prune]}
    return net.fit(X, Y, epochs=epochs, **given | arguments)


def num_done(prune):
    return prune.state.method["prunes"]


@pytest.mark.parametrize(
    "num_prunes, period, end",
    [
        # Prunes after steps 4, 8, 12 and 16, where 16 are taken.
        (5, 4, 20),
        (100, 1, 100),
        # After 8; from the second epoch on after 10 and 15.
        (4, {0: 8, 1: 5}, 20),
        # After step 8, where 4 + 8 / 2 have passed; the period then is 12.
        (2, Linear(4, 12, 16), 20),
    ],
)
def test_training_that_is_too_short_is_refused(num_prunes, period, end):
    net = network()
    message = (
        f"end at optimizer step {end} or later, the training ends at step 16"
    )
    with pytest.raises(ValueError, match=f"`period` must let.*{message}"):
        fit(net, GradualPruning(0.5, num_prunes, period))
    # Before the first batch.
    assert int(net.optimizer.iterations) == 0
    prune = GradualPruning(0.5, num_prunes - 1, period)
    if num_prunes < 100:
        fit(net, prune)
        assert num_done(prune) == num_prunes - 1
        assert net.layers[0].num_active == 20


class Counts(keras.callbacks.Callback):
    """Notes the active weights after every batch."""

    def __init__(self):
        super().__init__()
        self.found = []

    def on_train_batch_end(self, batch, logs=None):
        self.found.append(self.model.layers[-1].num_active)


@pytest.mark.parametrize(
    "begin_step, period, first",
    [(0, 4, 4), (3, 4, 7), (4, 4, 8), (9, {0: 5}, 14), (9, Linear(5, 5), 14)],
)
def test_period_counts_from_the_first_step_on(begin_step, period, first):
    net, counts = network(), Counts()
    prune = GradualPruning(0.5, 1, period, begin_step=begin_step)
    fit(net, None, callbacks=[prune, counts])
    assert counts.found == [40] * (first - 1) + [20] * (17 - first)


def test_begin_counts_in_the_length_of_a_training(caplog):
    # After 6 + 4 and 6 + 8 of 16 steps.
    with pytest.raises(
        ValueError, match="end at optimizer step 18 or later, the .* step 16"
    ):
        fit(network(), GradualPruning(0.5, 3, period=4, begin_step=6))
    fit(network(), prune := GradualPruning(0.5, 2, period=4, begin_step=6))
    assert num_done(prune) == 2
    assert not caplog.records
    with pytest.raises(ValueError, match="end at optimizer step 24 or later"):
        fit(network(), GradualPruning(0.5, 1, period=4, begin_step=20))
    prune = GradualPruning(0.5, 9, 4, stop_epoch=2, begin_step=14)
    fit(network(), prune)
    assert num_done(prune) == 0
    assert "the period is 4, counted from step 14 on" in caplog.text


def test_begin_that_executions_miss_is_warned_of(caplog):
    net = network(steps_per_execution=4)
    fit(net, prune := GradualPruning(0.5, 2, period=4, begin_step=2))
    assert "does not divide the steps of an epoch, the period and" in (
        caplog.text
    )
    # After 6 and 10, at 8 and 12.
    assert num_done(prune) == 2


def test_prunes_of_an_execution_are_one():
    # Asked after 3, 6 and 8 steps of an epoch: due after 3, 6, 8, 11, ...
    net = network(steps_per_execution=3)
    with pytest.raises(
        ValueError, match="end at optimizer step 18 or later, the"
    ):
        fit(net, GradualPruning(0.5, 7, period=2))
    fit(net, prune := GradualPruning(0.5, 6, period=2))
    assert num_done(prune) == 6


def test_gradients_that_add_up_make_fewer_steps():
    optimizer = keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)
    net = network(optimizer)
    with pytest.raises(ValueError, match="step 10 or later, the .* at step 8"):
        fit(net, GradualPruning(0.5, 5, period=2))
    fit(net, prune := GradualPruning(0.5, 4, period=2))
    assert num_done(prune) == 4


def test_a_second_fit_has_to_do_what_is_left():
    net, prune = network(), GradualPruning(0.5, 4, period=4)
    fit(net, prune)
    # All is done.
    fit(net, prune, epochs=1)
    other = network()
    other.optimizer.build(other.trainable_variables)
    fit(other, prune := GradualPruning(0.5, 2, 4), initial_epoch=1)
    assert num_done(prune) == 2
    with pytest.raises(ValueError, match="step 20 or later, the .* at step 16"):
        fit(other, GradualPruning(0.5, 3, 4), epochs=3, initial_epoch=2)


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_a_length_that_is_not_known_is_not_checked():
    def batches():
        for _ in range(8):
            yield X[:10], Y[:10]

    net, prune = network(), GradualPruning(0.5, 100, period=4)
    net.fit(batches(), verbose=0, callbacks=[prune])
    assert num_done(prune) == 2


@pytest.mark.parametrize("stop_epoch, done", [(1, 2), (50, 4)])
def test_who_names_a_stop_may_end_early(stop_epoch, done):
    net = network()
    prune = GradualPruning(0.5, 40, period=4, stop_epoch=stop_epoch)
    fit(net, prune)
    assert num_done(prune) == done


def half_masked(**arguments):
    net = network(**arguments)
    net.layers[0].set_mask(np.arange(40).reshape(4, 10) % 2)
    return net


@pytest.mark.parametrize(
    "arguments",
    [
        {"period": 1000},
        {"period": 17},
        {"period": {0: 9, 1: 1000}},
        {"period": Linear(20, 30, 16)},
        {"period": 9, "stop_epoch": 1},
    ],
)
def test_training_that_moves_nothing_says_so(caplog, arguments):
    # There are 16 steps, the last 8 of them in the second epoch.
    moves = SET(0.1, **arguments)
    fit(net := half_masked(), moves)
    assert moves.state.num_reallocations == 0
    assert caplog.text.count("no weight moves: masks may change until") == 1
    # Once: a training in many short parts is no fault.
    fit(net, moves)
    assert caplog.text.count("no weight moves") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        {"period": 16},
        {"period": {0: 1000, 1: 9}},
        {"period": 1000, "stop_epoch": 0},
        {"period": Linear(12, 8, 16)},
    ],
)
def test_training_that_moves_something_or_shall_not_is_quiet(caplog, arguments):
    moves = SET(0.1, **arguments)
    fit(half_masked(), moves)
    assert moves.state.num_reallocations == (moves.stop is None)
    assert not caplog.records


def test_gradients_that_add_up_may_move_nothing(caplog):
    optimizer = keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)
    fit(half_masked(optimizer=optimizer), SET(0.1, period=9))
    assert "until optimizer step 8, and no" in caplog.text


@pytest.mark.parametrize("batches", [3, 7, 12])
def test_begin_is_the_same_where_a_run_goes_on(tmp_path, batches):
    def trained(folder, stops):
        for left in stops:
            prune = GradualPruning(
                0.9, 3, 3, initial_sparsity=0.5, begin_step=5, power=2
            )
            try:
                net = resumed(folder, prune, left)
            except PreemptedError:
                assert left
        return net.layers[-1].kernel.numpy(), prune.state

    kernel, state = trained(tmp_path / "whole", [0])
    again, resumed_state = trained(tmp_path / "parts", [batches, 0])
    assert (again == kernel).all()
    assert (kernel != 0).sum() == 64
    for one in (state, resumed_state):
        assert one.last_step == 14 and one.method == {"prunes": 3}


def test_a_run_that_goes_on_within_an_epoch_is_taken_whole(tmp_path):
    # Stopped in the first epoch, where 4 of 4 prunes are left.
    for batches in (3, 0):
        prune = GradualPruning(0.5, 4, period=4)
        try:
            resumed(tmp_path, prune, batches)
        except PreemptedError:
            assert batches
    assert num_done(prune) == 4


def resumed(folder, prune, batches):
    """Trains for 16 steps, or goes on, and stops after some batches."""
    digits = load_images("digits", train_examples=80)

    class StopAfter(keras.callbacks.Callback):
        def __init__(self, checkpoint, batches):
            super().__init__()
            self.checkpoint, self.left = checkpoint, batches

        def on_train_batch_end(self, batch, logs=None):
            self.left -= 1
            if not self.left:
                self.checkpoint.stop()

    keras.utils.set_random_seed(0)
    net = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Flatten(),
            SparseDense(10, 0.0),
        ]
    )
    net.compile("sgd", "sparse_categorical_crossentropy")
    checkpoint = Checkpoint(folder, prune)
    resumable_fit(
        net,
        lambda epoch, step: digits.train_batches(10, 0, epoch, step),
        checkpoint,
        epochs=2,
        steps_per_epoch=8,
        callbacks=[prune, StopAfter(checkpoint, batches)],
    )
    return net


def test_a_threshold_that_never_finds_its_target_is_told_at_the_end(caplog):
    far = DSR(4, period=4, initial_threshold=1e-30)
    fit(half_masked(), far)
    assert (
        "In this `fit` no reallocation pruned `num_pruned=4` units, to within "
        "`tolerance=0.1`: the last of 4 pruned 0. Leave `initial_threshold="
        "1e-30` out" in caplog.text
    )


def test_a_threshold_that_finds_its_target_is_not_spoken_of(caplog):
    anew = DSR(4, period=4)
    fit(half_masked(), anew)
    near = DSR(4, period=4, initial_threshold=0.1, tolerance=0.99)
    fit(half_masked(), near)
    assert near.state.num_reallocations == 4
    assert not caplog.records


def test_remark_at_end_worked_by_hand():
    prune = methods.dsr(10, initial_threshold=1.0, tolerance=0.1).rule
    assert prune.remark_at_end([]) is None
    assert prune.remark_at_end([40, 20, 8]) is None
    assert prune.remark_at_end([40, 20, 9, 3]) is None
    assert prune.remark_at_end([40, 20, 11, 3]) is None
    assert "the last of 4 pruned 8" in prune.remark_at_end([40, 20, 12, 8])
