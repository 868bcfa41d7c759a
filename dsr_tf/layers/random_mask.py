"""The first mask of a sparse tensor."""

import math

import numpy as np


def num_kept(size: int, sparsity: float) -> int:
    """Returns how many weights of a tensor are active at the start.

    Args:
        size: Number of entries, at least 1.
        sparsity: Fraction of zeros, in `[0, 1)`.

    Returns:
        `int((1 - sparsity) * size + 0.1)`, and never less than 1.

    Reference:
        [Mostafa & Wang, 2019](https://arxiv.org/abs/1902.05967), code.
    """
    return max(1, int((1.0 - sparsity) * size + 0.1))


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
