"""The map from the positions of a kernel to a bank of shared values."""

import numpy as np


def bank_size(size: int, sparsity: float) -> int:
    """Returns how many values make up a hashed kernel.

    Args:
        size: Number of kernel entries, at least 1.
        sparsity: Fraction of parameters saved, in `[0, 1)`.

    Returns:
        `round((1 - sparsity) * size)`, and never less than 1.
    """
    return max(1, round((1.0 - sparsity) * size))


def balanced_map(
    size: int, count: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draws which bank entry each kernel position uses, uniformly.

    A pure function of its arguments: equal on every device and in every
    process. Numbers of positions per bank entry differ by at most one.

    Args:
        size: Number of kernel positions.
        count: Number of bank entries, from 1 to `size`.
        seed: Non-negative integer.

    Returns:
        Two int64 arrays of length `size`: the bank entry of each position; and
        a permutation of the positions whose element `i` uses bank entry
        `i % count`.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    order = generator.permutation(size)
    index = np.empty(size, np.int64)
    index[order] = np.arange(size) % count
    return index, order
