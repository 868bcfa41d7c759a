"""Splits a budget between the kernels of a model."""

from collections.abc import Sequence

import numpy as np

from dsr_tf.budget import apportion
from dsr_tf.budget import num_kept
from dsr_tf.units import Units


def uniform(kernel: Units) -> int:
    """Returns the kernel's size: equal density for all."""
    return kernel.num_weights


def erk(kernel: Units) -> int:
    """Returns the sum of the kernel's dimensions: Erdős–Rényi-kernel.

    The density is then in proportion to `sum(shape) / prod(shape)`: large
    kernels become sparser, small kernels denser.

    Reference:
        [Evci et al., 2020](https://arxiv.org/abs/1911.11134), section 3.
    """
    return sum(kernel.shape)


DISTRIBUTIONS = {"uniform": uniform, "erk": erk}


def among_the_best(
    kernels: Sequence[Units], scores: Sequence[np.ndarray], total: int
) -> list[int]:
    """Counts the weights of each kernel among the best of all kernels.

    A unit counts by the mean score of its weights; ties go by kernel, then by
    index. The best unit of each kernel is left out, as that has it anyway.

    Args:
        kernels: The units of each kernel.
        scores: A score of at least 0 for each weight of each kernel.
        total: Weights to count. There are fewer where scores are 0.
    """
    means = [
        kernel.magnitudes(score)
        for kernel, score in zip(kernels, scores, strict=True)
    ]
    others = [np.delete(row, row.argmax()) for row in means]
    which = np.repeat(np.arange(len(others)), [row.size for row in others])
    flat = np.concatenate(others)
    order = np.argsort(-flat, kind="stable")
    sizes = np.array([kernel.size for kernel in kernels])
    fits = np.cumsum(sizes[which[order]]) <= total
    best = which[order][fits & (flat[order] > 0)]
    return (np.bincount(best, minlength=len(kernels)) * sizes).tolist()


def share_out(
    kernels: Sequence[Units],
    sparsity: float,
    distribution: str | Sequence[np.ndarray],
) -> list[int]:
    """Splits a budget between kernels.

    The budget is `int((1 - sparsity) * size + 0.1)` over all kernels together,
    and is met exactly. If units have several weights, less than one unit may
    stay unused. Every kernel gets at least one unit, and at most its size; the
    rest goes to the other kernels, in proportion.

    Args:
        kernels: The units of each kernel.
        sparsity: Fraction of zeros over all kernels, in `[0, 1)`.
        distribution: `"uniform"` or `"erk"`; or a score for each weight of
            each kernel: each gets as many as it has of the best.

    Returns:
        Number of weights of each kernel.

    Raises:
        ValueError: If the budget is less than one unit for each kernel.
    """
    sizes = [kernel.size for kernel in kernels]
    budget = num_kept(sum(kernel.num_weights for kernel in kernels), sparsity)
    if budget < sum(sizes):
        raise ValueError(
            "`sparsity` must leave every kernel a weight, or one unit if its "
            f"mask moves several weights as one: at least {sum(sizes)} weights "
            f"in all. Received: sparsity={sparsity}, which leaves {budget}"
        )
    left = budget - sum(sizes)
    if isinstance(distribution, str):
        shares = [DISTRIBUTIONS[distribution](kernel) for kernel in kernels]
    else:
        shares = among_the_best(kernels, distribution, left)
    counts = apportion(
        left,
        shares,
        [kernel.count - 1 for kernel in kernels],
        sizes,
    )
    return [(n + 1) * size for n, size in zip(counts, sizes, strict=True)]
