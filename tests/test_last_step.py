"""Nothing is replaced in the very last step: what grew there would stay 0."""

import keras
import numpy as np
import pytest

import dsr_tf
from dsr_tf import methods
from dsr_tf.callbacks import ITOP
from dsr_tf.callbacks import SNFS
from dsr_tf.callbacks import GraNet
from dsr_tf.callbacks import Reallocate
from dsr_tf.layers import SparseDense
from dsr_tf.layers import sparse_layers
from dsr_tf.schedules import Moment
from dsr_tf.schedules import has_ended

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 20)).astype("float32")
Y = X @ RNG.normal(size=(20, 3))
KINDS = {
    "itop": (0.9, lambda **more: ITOP(5, 0.3, **more)),
    "snfs": (0.9, lambda **more: SNFS(5, 0.3, **more)),
    "granet": (
        0.5,
        lambda **more: GraNet(0.9, 5, drop_fraction=0.3, **more),
    ),
}


def network(sparsity, **arguments):
    keras.utils.set_random_seed(0)
    layers = [SparseDense(30, sparsity, seed=0), SparseDense(3, sparsity)]
    model = keras.Sequential([keras.Input((20,)), *layers])
    model.compile("adam", "mse", jit_compile=False, **arguments)
    return model


def fit(model, moves, epochs=2):
    """Trains for 10 steps an epoch."""
    model.fit(X, Y, 8, epochs, verbose=0, callbacks=[moves])
    return moves.state


def num_active(model):
    return sum(layer.num_active for layer in sparse_layers(model))


def num_zeros(model):
    """Counts active weights that are 0."""
    kernels = [np.array(layer.kernel) for layer in sparse_layers(model)]
    return num_active(model) - sum(map(np.count_nonzero, kernels))


@pytest.mark.parametrize("name", KINDS)
def test_what_grows_by_default_is_trained(name):
    first, make = KINDS[name]
    model = network(first)
    assert fit(model, make()).last_step == 15
    assert num_zeros(model) == 0
    assert num_active(model) == num_active(network(0.9))
    model = network(first)
    assert fit(model, make(stop=None)).last_step == 20
    assert num_zeros(model) > 0


@pytest.mark.parametrize("name", KINDS)
def test_a_training_that_goes_on_moves_weights_again(name):
    first, make = KINDS[name]
    model, moves = network(first), make()
    fit(model, moves)
    state = fit(model, moves)
    assert (state.num_reallocations, state.last_step) == (6, 35)


@pytest.mark.parametrize("name", KINDS)
def test_a_training_of_unknown_length_goes_on(name):
    first, _ = KINDS[name]
    moves = {
        "itop": ITOP(5, 0.3),
        "snfs": SNFS(5, 0.3),
        "granet": GraNet(0.9, 5, drop_fraction=0.3, until=10),
    }[name]
    model = network(first)
    batches = ((X[:8], Y[:8]) for _ in range(20))
    model.fit(batches, verbose=0, callbacks=[moves])
    assert moves.state.last_step == 20


@pytest.mark.parametrize("until", [1.0, 20, 0.9])
def test_a_sparsity_is_reached_in_the_last_step_too(until):
    model, moves = network(0.5), GraNet(0.9, 5, until=until)
    assert fit(model, moves).last_step == 20
    assert num_active(model) == num_active(network(0.9))


def test_prunes_that_are_counted_are_made_in_the_last_step_too():
    model = network(0.0)
    method = methods.gradual_pruning(0.9, num_prunes=4)
    assert fit(model, Reallocate(method, 5, stop=1.0)).last_step == 20
    assert num_active(model) == num_active(network(0.9))
    method = methods.gradual_pruning(0.9, num_prunes=5)
    with pytest.raises(ValueError, match="must let the method finish"):
        fit(network(0.0), Reallocate(method, 5, stop=1.0))


@pytest.mark.parametrize("execution", [1, 10])
def test_a_training_whose_only_moves_were_in_the_last_step_says_so(
    caplog, execution
):
    model = network(0.9, steps_per_execution=execution)
    assert fit(model, ITOP(10, 0.3), epochs=1).num_reallocations == 0
    assert "no weight moves: masks may change until optimizer" in caplog.text


def test_a_loop_of_ones_own_stops_before_its_last_step():
    model = network(0.9)
    moves = dsr_tf.Reallocator(
        model, model.optimizer, methods.itop(0.3, "random"), 5, stop=1.0
    )
    done = []
    for step in range(1, 21):
        model.train_on_batch(X[:8], Y[:8])
        # It is not known at first.
        moves.counters.num_steps = 20 if step > 7 else None
        if moves.step():
            done.append(step)
    assert done == [5, 10, 15]


def test_the_whole_training_ends_with_its_last_step():
    assert not has_ended(1.0, Moment(19, 0, 20))
    assert has_ended(1.0, Moment(20, 0, 20))
    assert not has_ended(1.0, Moment(20, 0, None))
    with pytest.raises(ValueError, match="needs to know its length"):
        has_ended(0.9, Moment(20, 0, None))
