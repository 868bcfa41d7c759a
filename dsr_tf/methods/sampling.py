"""Draws without replacement, in proportion to weights."""

import numpy as np
import tensorflow as tf


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
