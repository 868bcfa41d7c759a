"""Draws without replacement, in proportion to weights."""

import numpy as np
import tensorflow as tf

from dsr_tf.methods.tracing import compiled
from dsr_tf.methods.tracing import on_host

# Below the logarithm of any float32, -103.3, by more than noise, which lies
# between -7 and 37, can make up.
_NOTHING = -150.0


def gumbel_noise(shape: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Draws from the standard Gumbel distribution, float64.

    The largest of `log(weight) + noise` are a draw without replacement in
    proportion to weights: the first in proportion to all weights, the next to
    those that are left, and so on. In float32 equal draws would be common among
    millions.

    Args:
        shape: Shape of the noise.
        seed: Shape `(2,)`, int32. Equal seeds give equal noise.
    """
    uniform = tf.random.stateless_uniform(
        shape,
        seed,
        # Not 0, of which there is no logarithm.
        np.finfo(np.float64).tiny,
        1.0,
        tf.float64,
        alg="auto_select",
    )
    return -tf.math.log(-tf.math.log(uniform))


def ones_at(positions: tf.Tensor, length: int) -> tf.Tensor:
    """Returns zeros, float32, shape `(length,)`, with ones at positions."""
    ones = tf.ones_like(positions, tf.float32)
    with on_host():
        shape = tf.constant([length], tf.int64)
    return tf.scatter_nd(positions[:, None], ones, shape)


@compiled
def drawn_inactive(
    scores: tf.Tensor, active: tf.Tensor, count: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    """Draws inactive units without replacement, in proportion to scores.

    Units of score 0 are drawn where the others are too few, all of these alike.

    Args:
        scores: A score a unit, float32, at least 0.
        active: Above 0 where a unit is active, of the same shape.
        count: How many to draw, int32.
        seed: Shape `(2,)`, int32. Equal seeds give equal draws.

    Returns:
        Their positions, shape `(count,)`, int64.
    """
    logs = tf.where(scores > 0, tf.math.log(scores), _NOTHING)
    keys = logs + tf.cast(gumbel_noise(tf.shape(scores), seed), tf.float32)
    keys = tf.where(active > 0, -float("inf"), keys)
    best = tf.math.top_k(keys, count).indices
    return tf.cast(best, tf.int64)
