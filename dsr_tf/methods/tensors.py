"""What a method sees of a network, and counting in it."""

from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

State = dict[str, float]

# Traced once for tensors of every length, and not copied into the graphs that
# call it for each tensor: those would take seconds to optimize.
compiled = tf.function(
    autograph=False,
    reduce_retracing=True,
    experimental_attributes={"_noinline": True},
)


@dataclass(frozen=True)
class Tensors:
    """The sparse tensors of a network, flat, in units that move as one.

    Args:
        weights: One tensor of shape `(n_l,)` each, any floating type; of units
            of several weights, the mean magnitudes.
        masks: bool tensors of the same shapes: True active, False not.
        unit_sizes: Weights in a unit of each tensor; None where all are 1.
        signs: Tensors of the same shapes, of -1 and 1, for methods that
            compare the sign of a weight with the one it began with.
    """

    weights: Sequence[tf.Tensor]
    masks: Sequence[tf.Tensor]
    unit_sizes: Sequence[int] | None = None
    signs: Sequence[tf.Tensor] | None = None

    @property
    def sizes(self) -> Sequence[int]:
        """Weights in a unit of each tensor."""
        return self.unit_sizes or [1] * len(self.weights)


def num_active(mask: tf.Tensor) -> tf.Tensor:
    """Counts the active entries of a mask, exactly, as an int64 scalar.

    Sums of bytes first: a sum of integers would take 8 bytes a weight.
    """
    mask = tf.cast(mask, tf.uint8)
    block = 128
    length = tf.size(mask, out_type=tf.int64)
    whole = length - length % block
    sums = tf.reduce_sum(tf.reshape(mask[:whole], [-1, block]), axis=1)
    return tf.reduce_sum(tf.cast(sums, tf.int64)) + tf.reduce_sum(
        tf.cast(mask[whole:], tf.int64)
    )


def in_turn(function: Callable[..., Any], *columns: Sequence[Any]) -> list[Any]:
    """Calls a function with each row of some columns, one after another.

    Also in a graph, which would else hold what all the calls need in between
    at the same time.
    """
    results: list[Any] = []
    for row in zip(*columns, strict=True):
        with tf.control_dependencies(tf.nest.flatten(results[-1:])):
            results.append(function(*row))
    return results
