"""Small networks, as methods see them."""

import numpy as np
import tensorflow as tf

from dsr_tf.methods.masked import MaskedContext
from dsr_tf.methods.masked import MaskedTensor


def masked(weights, mask, unit_size=1, dtype="float32", **arrays):
    """Returns a tensor; units of several weights get equal ones.

    Args:
        weights: A weight a unit.
        mask: One entry a unit.
        unit_size: Weights in a unit.
        dtype: Type of the weights.
        **arrays: What the method keeps, an entry a unit.
    """
    rows = np.tile(np.asarray(weights, np.float64), (unit_size, 1))
    return MaskedTensor(
        tf.constant(np.array(mask, bool)),
        tf.cast(tf.constant(rows), dtype),
        arrays={name: tf.constant(values) for name, values in arrays.items()},
    )


def context(weights, masks, unit_sizes=None, **numbers):
    """Returns a network of such tensors, with the numbers of its method."""
    sizes = unit_sizes or [1] * len(weights)
    rows = zip(weights, masks, sizes, strict=True)
    return MaskedContext([masked(*row) for row in rows], numbers)


def lists(tensors):
    """Returns the values of tensors, as lists."""
    return [tensor.numpy().tolist() for tensor in tensors]
