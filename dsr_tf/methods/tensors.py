"""What a method sees of a network, and counting in it."""

from collections.abc import Sequence
from dataclasses import dataclass

import tensorflow as tf

State = dict[str, float]


@dataclass(frozen=True)
class Tensors:
    """The sparse tensors of a network, flat, in units that move as one.

    Args:
        weights: One tensor of shape `(n_l,)` each, any floating type; of units
            of several weights, the mean magnitudes.
        masks: uint8 tensors of the same shapes: 1 active, 0 not.
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


def num_ones(mask: tf.Tensor) -> tf.Tensor:
    """Counts the ones of a mask, exactly, as an int64 scalar.

    Sums of bytes first: a cast of the whole mask would take 8 bytes a weight.
    """
    block = 128
    length = tf.size(mask, out_type=tf.int64)
    whole = length - length % block
    sums = tf.reduce_sum(tf.reshape(mask[:whole], [-1, block]), axis=1)
    return tf.reduce_sum(tf.cast(sums, tf.int64)) + tf.reduce_sum(
        tf.cast(mask[whole:], tf.int64)
    )


def first_active(mask: tf.Tensor) -> tf.Tensor:
    """Keeps only the active entry of lowest index: a mask of one."""
    return tf.one_hot(tf.argmax(mask), tf.size(mask), dtype=mask.dtype)


def activate(mask: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
    """Returns the mask with ones at `positions`, shape `(k,)`, int64."""
    return tf.tensor_scatter_nd_update(
        mask, positions[:, None], tf.ones_like(positions, mask.dtype)
    )


def largest_between(
    weights: tf.Tensor, mask: tf.Tensor, kept: tf.Tensor, count: int
) -> tf.Tensor:
    """Finds the largest of the weights that are in `mask`, not in `kept`.

    Args:
        weights: Shape `(n,)`.
        mask: Shape `(n,)`, uint8.
        kept: Shape `(n,)`, uint8, a subset of `mask`.
        count: How many to find.

    Returns:
        Their positions, shape `(count,)`, int64; ties by lower index.
    """
    candidates = tf.where(mask > kept)[:, 0]
    order = tf.argsort(
        tf.abs(tf.gather(weights, candidates)),
        direction="DESCENDING",
        stable=True,
    )
    return tf.gather(candidates, order[:count])
