"""Finds which units are too many for a budget, without sorting them all."""

import numpy as np
import tensorflow as tf

from dsr_tf.methods.tracing import compiled

# Bits that are looked at together: so many counters fit into a cache.
_DIGIT = 11


@compiled
def surplus(
    scores: tf.Tensor,
    budget: tf.Tensor,
    sizes: tf.Tensor,
    owners: tf.Tensor | None,
) -> tf.Tensor:
    """Tells which units go if the best, one after another, use up a budget.

    The first unit that does not fit goes, and all that come after it. Ties go
    to the lower index. It counts the units by the bits of their scores, the
    highest bits first, which takes a tenth of the time of sorting millions.

    Args:
        scores: Shape `(n,)`, float32 or float64, at least 0; infinity is the
            best. Denormal numbers count as 0.
        budget: An int64 scalar.
        sizes: What a unit takes of the budget, shape `(L,)`, int64.
        owners: Which of `sizes` is that of each unit, shape `(n,)`, int64; None
            if there is but one.

    Returns:
        Shape `(n,)`, bool: True where a unit goes.
    """
    # Some devices compare denormal numbers as 0, and others do not.
    tiny = tf.constant(np.finfo(scores.dtype.as_numpy_dtype).tiny, scores.dtype)
    scores = tf.where(scores < tiny, tf.zeros_like(scores), scores)
    limit, above = _limit(scores, sizes, budget, owners)
    ties = tf.where(tf.equal(scores, limit))
    tied = (
        tf.zeros_like(ties[:, 0])
        if owners is None
        else tf.gather_nd(owners, ties)
    )
    late = above + tf.cumsum(tf.gather(sizes, tied)) > budget
    # As int8: no GPU scatters bool.
    late = tf.scatter_nd(
        ties, tf.cast(late, tf.int8), tf.shape(scores, tf.int64)
    )
    return (scores < limit) | (late > 0)


def _limit(
    scores: tf.Tensor,
    sizes: tf.Tensor,
    budget: tf.Tensor,
    owners: tf.Tensor | None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Finds the score at which units begin not to fit.

    Returns:
        The score, 0 if all units fit; and what the units above it take, int64.
    """
    bits = tf.bitcast(scores, tf.int32 if scores.dtype.size == 4 else tf.int64)
    limit = tf.zeros([], bits.dtype)
    above = tf.zeros([], tf.int64)
    for shift in reversed(range(0, 8 * bits.dtype.size - 1, _DIGIT)):
        # Below 2 ** _DIGIT where all higher bits are those of the limit.
        digits = tf.bitwise.right_shift(
            tf.bitwise.bitwise_xor(bits, limit),
            tf.constant(shift, bits.dtype),
        )
        taken = _taken(digits, sizes, owners)
        from_here = above + tf.cumsum(taken, reverse=True)
        num_over = tf.reduce_sum(tf.cast(from_here > budget, tf.int64))
        digit = tf.maximum(num_over - 1, 0)
        above = from_here[digit] - taken[digit]
        limit += tf.bitwise.left_shift(
            tf.cast(digit, bits.dtype), tf.constant(shift, bits.dtype)
        )
    return tf.bitcast(limit, scores.dtype), above


def _taken(
    digits: tf.Tensor, sizes: tf.Tensor, owners: tf.Tensor | None
) -> tf.Tensor:
    """Returns what the units of each digit take, shape `(2 ** _DIGIT,)`."""
    length = 2**_DIGIT
    if owners is None:
        return sizes[0] * _counts(digits, tf.constant(length))
    # One more, for units that have other higher bits.
    digits = tf.minimum(tf.cast(digits, tf.int64), length)
    number = tf.size(sizes)
    counts = _counts(digits + owners * (length + 1), number * (length + 1))
    counts = tf.reshape(counts, [-1, length + 1])[:, :length]
    return tf.reduce_sum(counts * sizes[:, None], axis=0)


def _counts(values: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """Counts each of the integers below `length`, as int64."""
    counts = tf.raw_ops.DenseBincount(
        input=values,
        size=tf.cast(length, values.dtype),
        weights=tf.zeros([0], tf.int32),
    )
    return tf.cast(counts, tf.int64)
