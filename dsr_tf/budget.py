"""How many weights a sparsity leaves of a tensor."""


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
