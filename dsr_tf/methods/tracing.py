"""Tools to trace methods into small graphs that take little memory."""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

# Traced once for tensors of every length, and not copied into the graphs that
# call it for each tensor: those would take seconds to optimize.
compiled = tf.function(
    autograph=False,
    reduce_retracing=True,
    experimental_attributes={"_noinline": True},
)


def in_turn(function: Callable[..., Any], *columns: Sequence[Any]) -> list[Any]:
    """Calls a function with each row of some columns, one after another.

    The calls also run in turn in a graph. Otherwise the graph would hold the
    intermediate results of all calls at the same time.
    """
    results: list[Any] = []
    for row in zip(*columns, strict=True):
        with tf.control_dependencies(tf.nest.flatten(results[-1:])):
            results.append(function(*row))
    return results


def fold(seed: tf.Tensor, data: tf.Tensor | int) -> tf.Tensor:
    """Derives the seed of a numbered part from a seed.

    Args:
        seed: Shape `(2,)`, int32.
        data: Number of the part, an integer.
    """
    # Philox, on a CPU as on a GPU: named, it takes forty operations, not one.
    return tf.random.experimental.stateless_fold_in(
        seed, data, alg="auto_select"
    )
