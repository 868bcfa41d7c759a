"""The first mask of a sparse tensor."""

import math

import numpy as np

from dsr_tf.budget import num_kept
from dsr_tf.units import Units


def random_mask(
    shape: tuple[int, ...], sparsity: float, seed: int
) -> np.ndarray:
    """Draws a mask with an exact number of ones, uniformly.

    A pure function of its arguments: equal on every device and in every
    process.

    Args:
        shape: Shape of the tensor.
        sparsity: Fraction of zeros, in `[0, 1)`.
        seed: Non-negative integer.

    Returns:
        uint8 array of shape `shape` with `num_kept(size, sparsity)` ones.
    """
    size = math.prod(shape)
    mask = np.zeros(size, np.uint8)
    generator = np.random.Generator(np.random.PCG64(seed))
    count = num_kept(size, sparsity)
    mask[generator.choice(size, count, replace=False, shuffle=False)] = 1
    return mask.reshape(shape)


def first_mask(units: Units, sparsity: float, seed: int) -> np.ndarray:
    """Draws the first mask of a kernel, uint8, of its shape.

    Args:
        units: The units of the kernel.
        sparsity: Fraction of zeros, in `[0, 1)`.
        seed: Non-negative integer.
    """
    return units.spread(random_mask(units.grid, sparsity, seed))
