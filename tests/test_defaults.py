"""Callbacks that are given no number."""

import keras
import numpy as np
import pytest

from dsr_tf import callbacks
from dsr_tf.callbacks import DSR
from dsr_tf.callbacks import MEST
from dsr_tf.callbacks import SET
from dsr_tf.callbacks import CHTs
from dsr_tf.callbacks import GradualPruning
from dsr_tf.callbacks import Reallocate
from dsr_tf.callbacks import RigL
from dsr_tf.layers import SparseDense
from dsr_tf.layers import sparse_layers
from dsr_tf.schedules import Cosine
from dsr_tf.schedules import FromEpoch

RNG = np.random.default_rng(0)
X = RNG.normal(size=(800, 20)).astype("float32")
Y = X @ RNG.normal(size=(20, 3))
# What a sparsity must be given to, and the sparsity to begin with.
TO_A_SPARSITY = {"GradualPruning": 0.0, "GraNet": 0.5}
METHODS = sorted(
    name
    for name, x in vars(callbacks).items()
    if isinstance(x, type) and issubclass(x, Reallocate) and x is not Reallocate
)


def network(sparsity=0.9):
    keras.utils.set_random_seed(0)
    hidden = SparseDense(100, sparsity, activation="relu", seed=0)
    logits = SparseDense(3, sparsity, seed=1)
    model = keras.Sequential([keras.Input((20,)), hidden, logits])
    model.compile("adam", "mse")
    return model


def budget(model):
    return sum(layer.num_active for layer in sparse_layers(model))


def fitted(model, moves, epochs=4):
    model.fit(X, Y, 10, epochs, verbose=0, callbacks=[moves])
    return moves


@pytest.mark.parametrize("name", METHODS)
def test_every_method_works_without_a_number(name):
    given = [0.9] if name in TO_A_SPARSITY else []
    model = network(TO_A_SPARSITY.get(name, 0.9))
    moves = fitted(model, getattr(callbacks, name)(*given))
    assert moves.state.num_reallocations > 0
    assert budget(model) == budget(network()) == 230
    assert name == "GradualPruning" or moves.state.weights_moved > 0


@pytest.mark.parametrize("kind", [DSR, SET, CHTs, RigL, MEST])
def test_masks_stop_at_three_quarters(kind):
    model = network()
    masks = []

    class Note(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            layers = sparse_layers(self.model)
            masks.append([np.array(layer.kernel_mask) for layer in layers])

    moves = kind()
    model.fit(X, Y, 10, 4, verbose=0, callbacks=[moves, Note()])
    same = [
        all((a == b).all() for a, b in zip(one, other, strict=True))
        for one, other in zip(masks, masks[1:], strict=False)
    ]
    assert same == [False, False, True]


@pytest.mark.parametrize("kind", [DSR, SET, CHTs])
def test_an_end_that_is_given_is_that_of_the_fraction(kind):
    def fraction(**end):
        rule = kind(**end).method.rule
        return rule.num_pruned if kind is DSR else rule.drop_fraction

    assert fraction() == Cosine(0.3, 0.0, 0.75)
    assert fraction(stop=0.5) == Cosine(0.3, 0.0, 0.5)
    assert fraction(stop=400) == Cosine(0.3, 0.0, 400)
    assert fraction(stop_epoch=3) == fraction(stop=FromEpoch(3)) == 0.3
    assert kind().stop == 0.75 and kind(stop=0.5).stop == 0.5
    assert kind(stop_epoch=3).stop == FromEpoch(3)


@pytest.mark.parametrize("kind", [DSR, SET, CHTs, RigL])
@pytest.mark.parametrize("stop", [0, 1, -1, 0.0, 1.5, True, "0.5"])
def test_an_end_that_no_fraction_can_fall_to_is_named_as_given(kind, stop):
    with pytest.raises(ValueError, match="^`stop` must .* Received: stop="):
        kind(stop=stop)


def test_a_fraction_that_is_given_may_end_at_any_step():
    given = {"period": 10, "stop": 1}
    assert SET(0.3, **given).stop == 1
    assert RigL(Cosine(0.3, 0.0), **given).stop == 1


def test_gradual_pruning_without_prunes_goes_by_the_training():
    # Until .5 of 320 steps, in periods of 10: reached at step 160.
    model = network(0.0)
    rule = GradualPruning(0.9, until=0.5)
    counts = []

    class Note(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            counts.append(budget(self.model))

    fit = {"verbose": 0, "callbacks": [rule, Note()]}
    model.fit(X, Y, 10, 4, **fit)
    assert counts[139] > counts[159] == counts[-1] == budget(network())
    # Cubic: 1 - (1 - 40 / 160)^3 of the way after 40 steps.
    sparsity = 0.9 * (1 - 0.75**3)
    kept = [int((1 - sparsity) * size + 0.1) for size in (2000, 300)]
    assert counts[39] == sum(kept)


def test_gradual_pruning_that_the_training_is_too_short_for_is_refused():
    with pytest.raises(ValueError, match="must let the method reach"):
        fitted(network(0.0), GradualPruning(0.9, period=70, until=0.9), 1)
    with pytest.raises(ValueError, match="`num_prunes` must be given"):
        GradualPruning(0.9, begin_step=5)
