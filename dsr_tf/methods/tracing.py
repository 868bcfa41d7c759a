"""Tools to trace methods into small graphs that take little memory."""

from collections.abc import Callable
from collections.abc import Sequence
from contextlib import AbstractContextManager
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


def host_numbers(counts: tf.Tensor) -> list[tf.Tensor]:
    """Returns the rows of some counts where the host can read them.

    TensorFlow keeps int32 in the memory of the host. What it takes from a GPU
    it waits for, so one transfer for all counts is better than one for each.

    Args:
        counts: Any integers, each below 2³¹, of known shape.

    Returns:
        Along the first axis, int32.
    """
    return tf.unstack(tf.cast(counts, tf.int32))


def on_host() -> AbstractContextManager[None]:
    """Places what few numbers need where the host can read the result.

    To be used for constants, and for what reads nothing of the device.
    """
    return tf.device("CPU:0")


def host_length(values: tf.Tensor) -> tf.Tensor:
    """Returns the length of a vector where the host can read it.

    Returns:
        Shape `(1,)`, int64.
    """
    if values.shape[0] is None:
        return tf.shape(values, tf.int64)
    with on_host():
        return tf.constant([values.shape[0]], tf.int64)


def chosen(values: tf.Tensor, flags: tf.Tensor) -> tf.Tensor:
    """Returns the entries of a vector where flags are True.

    TensorFlow's own function computes shapes, for which the host waits.
    """
    return tf.gather(values, tf.where(flags)[:, 0])


def fold(seed: tf.Tensor, data: tf.Tensor | int) -> tf.Tensor:
    """Derives the seed of a numbered part from a seed.

    Args:
        seed: Shape `(2,)`, int32.
        data: Number of the part, an integer.
    """
    with on_host():
        # Philox, on a CPU as on a GPU. By name it takes forty operations.
        return tf.random.experimental.stateless_fold_in(
            seed, data, alg="auto_select"
        )
