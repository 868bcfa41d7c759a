"""Finds which units are too many for a budget, without sorting them."""

import numpy as np
import tensorflow as tf

from dsr_tf.methods.masked import count_ones
from dsr_tf.methods.tracing import compiled


def surplus(
    scores: tf.Tensor, budget: tf.Tensor, sizes: tf.Tensor
) -> tf.Tensor:
    """Tells which units go if the best, one after another, use up a budget.

    The first unit that does not fit goes, and all that come after it. Of equal
    scores the lower index comes first. The score from which on units go is
    found bit by bit, by counting, in a fraction of the time that it takes to
    sort millions.

    Args:
        scores: Shape `(n,)`, float32 or float64, at least 0; infinity is the
            best. Denormal numbers count as 0.
        budget: An int64 scalar.
        sizes: What each unit takes of the budget, shape `(n,)`, int64; or a
            scalar, for all of them.

    Returns:
        Shape `(n,)`, bool: True where a unit goes.
    """
    if sizes.shape.rank:
        return _surplus(scores, budget, sizes)
    # All of one size: as many whole units as fit.
    return _surplus(scores, budget // sizes, None)


@compiled
def _surplus(
    scores: tf.Tensor, budget: tf.Tensor, sizes: tf.Tensor | None
) -> tf.Tensor:
    # Some devices compare denormal numbers as 0, and others do not.
    tiny = tf.constant(np.finfo(scores.dtype.as_numpy_dtype).tiny, scores.dtype)
    scores = tf.where(scores < tiny, tf.zeros_like(scores), scores)
    limit, more = _limit(scores, budget, sizes)
    left = budget - more
    ties = tf.where(tf.equal(scores, limit))
    each = tf.ones_like(ties[:, 0])
    if sizes is not None:
        each = tf.gather_nd(sizes, ties)
    # As int8: no GPU scatters bool.
    late = tf.cast(tf.cumsum(each) > left, tf.int8)
    late = tf.scatter_nd(ties, late, tf.shape(scores, tf.int64))
    return (scores < limit) | (late > 0)


def _limit(
    scores: tf.Tensor, budget: tf.Tensor, sizes: tf.Tensor | None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Finds the largest score from which on units take more than a budget.

    It is 0 if all units fit. Floating numbers that are not negative have the
    order of their bits, read as an integer.

    Returns:
        The score, and what those above it take.
    """
    if sizes is None:
        # To be counted eight at a time; what is 0 is above no limit.
        scores = tf.pad(scores, [[0, -tf.size(scores) % 8]])
    limit = tf.zeros([], tf.int64)
    for bit in reversed(range(8 * scores.dtype.size - 1)):
        higher = limit + tf.constant(1 << bit, tf.int64)
        reached = scores >= _of_bits(higher, scores.dtype)
        limit = tf.where(_taken(reached, sizes) > budget, higher, limit)
    found = _of_bits(limit, scores.dtype)
    return found, _taken(scores > found, sizes)


def _of_bits(bits: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Returns the floating number of some bits, given as int64."""
    if dtype.size == 4:
        # Not before: a GPU leaves what is computed in int32 to the host.
        bits = tf.cast(bits, tf.int32)
    return tf.bitcast(bits, dtype)


def _taken(chosen: tf.Tensor, sizes: tf.Tensor | None) -> tf.Tensor:
    """Returns what the chosen units take, or how many they are; int64."""
    if sizes is None:
        return count_ones(tf.cast(chosen, tf.uint8))
    return tf.reduce_sum(tf.where(chosen, sizes, tf.zeros_like(sizes)))
