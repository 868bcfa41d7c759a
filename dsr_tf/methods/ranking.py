"""Finds the smallest active units, of one tensor or of all together."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from dsr_tf.methods.context import Context
from dsr_tf.methods.context import SparseTensor
from dsr_tf.methods.cutoff import surplus
from dsr_tf.methods.tracing import chosen
from dsr_tf.methods.tracing import compiled
from dsr_tf.methods.tracing import in_turn
from dsr_tf.methods.tracing import on_host


def smallest(
    tensor: SparseTensor, count: tf.Tensor, gradient_weight: float = 0.0
) -> tf.Tensor:
    """Finds the smallest active units of a tensor.

    Args:
        tensor: The tensor.
        count: How many, an integer from 0 to `tensor.num_active`. Ties go
            to the lower position.
        gradient_weight: What is added to a magnitude for each of its growth
            score, at least 0.

    Returns:
        Their positions, shape `(count,)`, ascending, int64.
    """
    worth = importance(tensor, gradient_weight)
    return _smallest(tensor.positions, worth, tf.cast(count, tf.int32))


def importance(tensor: SparseTensor, gradient_weight: float) -> tf.Tensor:
    """Returns `|w| + gradient_weight * |gradient|` of the active units.

    Args:
        tensor: The tensor, with growth scores unless the weight is 0.
        gradient_weight: At least 0.

    Returns:
        Shape `(num_active,)`; float32 or wider if gradients count.
    """
    if not gradient_weight:
        return tensor.magnitudes
    scores = tf.gather(tensor.growth_scores, tensor.positions)
    magnitudes = tensor.magnitudes
    wide = magnitudes.dtype if magnitudes.dtype.size > 4 else tf.float32
    return tf.cast(magnitudes, wide) + tf.cast(gradient_weight * scores, wide)


@compiled
def _smallest(
    positions: tf.Tensor, magnitudes: tf.Tensor, count: tf.Tensor
) -> tf.Tensor:
    order = tf.argsort(magnitudes, stable=True)
    # Cut once it is int64: a GPU cuts int32, which the order is, on the host.
    return tf.sort(tf.gather(positions, order)[:count])


def beyond_largest(
    ctx: Context,
    budget: tf.Tensor,
    gradient_weight: float = 0.0,
    in_units: bool = False,
) -> list[tf.Tensor]:
    """Finds all active units except the largest of all tensors together.

    The largest unit of each tensor is kept first; ties go by tensor, then by
    index.

    Args:
        ctx: The network.
        budget: Weights to keep, int64, at least one unit for each tensor.
        in_units: Whether the budget counts units instead.
        gradient_weight: What is added to a magnitude for each of its growth
            score, at least 0.

    Returns:
        Their positions, ascending, int64. If units are single weights, exactly
        `budget` weights are kept in all, or all if fewer are active.
    """
    dtype = _widest(ctx)
    scores = in_turn(
        lambda x: _largest_first(
            tf.cast(importance(x, gradient_weight), dtype)
        ),
        ctx.tensors,
    )
    each = [1 if in_units else x.unit_size for x in ctx.tensors]
    goes = surplus(tf.concat(scores, axis=0), budget, _sizes(scores, each))
    parts = _split(goes, ctx.num_active)
    return list(map(chosen, [x.positions for x in ctx.tensors], parts))


def _split(flags: tf.Tensor, sizes: tf.Tensor) -> list[tf.Tensor]:
    """Splits flags into parts of given lengths, int64."""
    # Not `tf.split`: no GPU splits bool.
    with on_host():
        sizes = tf.identity(sizes)
        starts = tf.unstack(tf.cumsum(sizes, exclusive=True)[:, None])
        lengths = tf.unstack(sizes[:, None])
    return list(map(lambda a, n: tf.slice(flags, a, n), starts, lengths))


def _widest(ctx: Context) -> tf.DType:
    """Returns the widest type of all weights, and float32 at least."""
    types = [tensor.values.dtype for tensor in ctx.tensors]
    return max([tf.float32, *types], key=lambda x: x.size)


def _sizes(scores: Sequence[tf.Tensor], each: Sequence[int]) -> tf.Tensor:
    """Returns a size for each active unit, or one for all."""
    if len(set(each)) == 1:
        return tf.constant(each[0], tf.int64)
    # Not `tf.repeat`, which in a graph makes a matrix of tensors by weights.
    sizes = [
        tf.fill(tf.shape(row), tf.constant(size, tf.int64))
        for row, size in zip(scores, each, strict=True)
    ]
    return tf.concat(sizes, axis=0)


@compiled
def _largest_first(scores: tf.Tensor) -> tf.Tensor:
    """Raises the largest score of a tensor above all scores of the others."""
    # Of equal ones the first. There may be none.
    first = tf.math.top_k(scores, tf.minimum(tf.size(scores), 1)).indices
    places = tf.cast(first, tf.int64)
    above = tf.fill(tf.shape(places), tf.constant(np.inf, scores.dtype))
    return tf.tensor_scatter_nd_update(scores, places[:, None], above)


def smallest_of_all(ctx: Context, count: int) -> list[tf.Tensor]:
    """Finds the smallest units of all tensors together.

    Args:
        ctx: The network.
        count: How many; fewer are found if one unit of each tensor is to stay.

    Returns:
        Their positions, ascending, int64, one array for each tensor.
    """
    active = ctx.num_active
    least = tf.cast(tf.size(active), tf.int64)
    kept = tf.maximum(tf.reduce_sum(active) - count, least)
    return beyond_largest(ctx, kept, in_units=True)


def at_most(
    ctx: Context, positions: Sequence[tf.Tensor], count: int
) -> list[tf.Tensor]:
    """Leaves out the largest of some units, if these are too many.

    Args:
        ctx: The network.
        positions: Positions of active units, ascending, int64, one array for
            each tensor.
        count: How many at most, of all tensors together. Ties go by tensor,
            then by position.
    """
    sizes = tf.stack([tf.size(x, out_type=tf.int64) for x in positions])

    def smallest_of_these() -> list[tf.Tensor]:
        magnitudes = in_turn(
            lambda x, some: tf.cast(x.magnitudes_at(some), tf.float64),
            ctx.tensors,
            positions,
        )
        order = tf.argsort(tf.concat(magnitudes, axis=0), stable=True)
        # A GPU reshapes int32 on the host, and scatters no bool.
        order = tf.cast(order, tf.int64)
        first = order[:count, None]
        ones = tf.ones(tf.shape(first)[:1], tf.int8)
        goes = tf.scatter_nd(first, ones, tf.shape(order, tf.int64))
        return list(map(chosen, positions, _split(goes > 0, sizes)))

    return tf.cond(
        tf.reduce_sum(sizes) > count,
        smallest_of_these,
        lambda: list(map(tf.identity, positions)),
    )
