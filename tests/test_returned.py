"""What the parts of a method may not return, refused in a reallocation."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dsr_tf import Reallocator
from dsr_tf.layers import SparseDense
from dsr_tf.methods import Growth
from dsr_tf.methods import Method
from dsr_tf.methods.grow import AtRandom
from dsr_tf.methods.prune import SmallestFraction
from tests.contexts import context

SEED = tf.constant([0, 1])
SMALL = SmallestFraction(0.1)
NONE, ONE = tf.zeros([0], tf.int64), tf.constant([0], tf.int64)


def reallocator(prune=SMALL, allocate=None, grow=AtRandom()):  # noqa: B008
    layers = [SparseDense(6, 0.5), SparseDense(3, 0.5)]
    net = keras.Sequential([keras.Input((4,)), *layers])
    net.compile("sgd", "mse")
    net.optimizer.build(net.trainable_variables)
    return Reallocator(net, net.optimizer, Method(prune, allocate, grow), 1)


def masks(made):
    return [layer.kernel_mask.numpy() for layer in made.layers]


PRUNES = {
    "None": lambda ctx: None,
    "a tensor": lambda ctx: ONE,
    "too few": lambda ctx: [ONE],
    "too many": lambda ctx: [ONE] * 3,
    "None in it": lambda ctx: [ONE, None],
    "int32": lambda ctx: [tf.constant([0])] * 2,
    "a mask": lambda ctx: [tf.constant([True])] * 2,
    "a scalar": lambda ctx: [tf.constant(0, tf.int64)] * 2,
    "a list": lambda ctx: [[0], [0]],
}
ALLOCATES = {
    "None": lambda ctx, pruned: None,
    "too few": lambda ctx, pruned: pruned[:1],
    "too many": lambda ctx, pruned: [1, 2, 3],
    "a scalar": lambda ctx, pruned: tf.reduce_sum(pruned),
    "a matrix": lambda ctx, pruned: pruned[:, None],
    "a text": lambda ctx, pruned: ["a", "b"],
    "bool": lambda ctx, pruned: pruned > 0,
    # Its length is known only where it runs.
    "some": lambda ctx, pruned: tf.boolean_mask(pruned, [True, False]),
}
GROWS = {
    "None": lambda ctx, counts, seed: None,
    "too few": lambda ctx, counts, seed: [Growth(NONE)],
    "positions": lambda ctx, counts, seed: [NONE, NONE],
    "int32": lambda ctx, counts, seed: [Growth(tf.constant([0]))] * 2,
}
PARTS = [
    *(("prune", name, {"prune": x}) for name, x in PRUNES.items()),
    *(("allocate", name, {"allocate": x}) for name, x in ALLOCATES.items()),
    *(("grow", name, {"grow": x}) for name, x in GROWS.items()),
]


@pytest.mark.parametrize(
    "part, name, given",
    PARTS,
    ids=[f"{part} {name}" for part, name, _ in PARTS],
)
def test_a_wrong_result_names_its_part(part, name, given):
    made = reallocator(**given)
    before = masks(made)
    with pytest.raises(ValueError, match=f"^`{part}` must return .*Received:"):
        made.reallocate()
    for old, new in zip(before, masks(made), strict=True):
        assert (old == new).all()


def test_messages_say_what_came():
    method = Method(PRUNES["int32"], grow=AtRandom())
    ctx = context([[1.0], [2.0]], [[1], [1]])
    message = r"2 tensors. Received: \[int32 of shape \(1,\), int32 of shape"
    with pytest.raises(ValueError, match=message):
        method.reallocate(ctx, SEED)


@pytest.mark.parametrize(
    "given",
    [
        {"prune": lambda ctx: (ONE, NONE)},
        {"prune": lambda ctx: [np.array([0]), NONE]},
        {"allocate": lambda ctx, pruned: [1, 2.5]},
        {"allocate": lambda ctx, pruned: np.array([1.0, 0.0])},
    ],
)
def test_right_results_may_be_of_several_kinds(given):
    made = reallocator(**given)
    if "prune" in given:
        for layer in made.layers:
            mask = np.arange(layer.kernel.shape.num_elements()) < 6
            layer.set_mask(mask.reshape(layer.kernel.shape))
    before = made.num_active
    made.reallocate()
    assert made.num_active == before
