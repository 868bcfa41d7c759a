"""The methods: each a choice of prune, allocate and grow."""

from dsr_tf.methods import allocate
from dsr_tf.methods import grow
from dsr_tf.methods import prune
from dsr_tf.methods.gradual import ToSparsity
from dsr_tf.methods.method import Method
from dsr_tf.methods.signs import SignFlipped


def dsr(
    num_pruned: int,
    tolerance: float = 0.1,
    initial_threshold: float = 1e-3,
    regrow_stddev: float = 0.0,
) -> Method:
    """Dynamic sparse reparameterization.

    Args:
        num_pruned: `N_p`, number of weights to prune in a reallocation.
        tolerance: `delta`, fraction of `num_pruned`, in `[0, 1)`.
        initial_threshold: `H` of the first reallocation, above 0.
        regrow_stddev: Standard deviation of new weights, at least 0.

    Reference:
        [Mostafa & Wang, 2019](https://arxiv.org/abs/1902.05967), Algorithm 1.
    """
    return Method(
        prune=prune.AdaptiveThreshold(num_pruned, tolerance, initial_threshold),
        allocate=allocate.in_proportion_to_survivors,
        grow=grow.AtRandom(regrow_stddev),
    )


def set_method(drop_fraction: float) -> Method:
    """Sparse evolutionary training.

    Args:
        drop_fraction: Fraction of the active weights of each tensor that is
            pruned in a reallocation, in `[0, 1)`.

    Reference:
        [Mocanu et al., 2018](https://arxiv.org/abs/1707.04780).
    """
    return Method(
        prune=prune.SmallestFraction(drop_fraction),
        allocate=allocate.what_it_lost,
        grow=grow.AtRandom(),
    )


def deepr() -> Method:
    """Deep rewiring: its noise and its signs are for the caller to keep.

    Reference:
        [Bellec et al., 2018](https://arxiv.org/abs/1711.05136).
    """
    return Method(
        prune=SignFlipped(),
        allocate=allocate.what_it_lost,
        grow=grow.AtRandom(),
    )


def gradual_pruning(
    sparsity: float,
    num_prunes: int,
    schedule: str = "cubic",
    across_tensors: bool = True,
) -> Method:
    """Gradual magnitude pruning: weights go and none come.

    Args:
        sparsity: Fraction of zeros at the end, in `[0, 1)`.
        num_prunes: Number of prunes, at least 1.
        schedule: `"cubic"` or `"exponential"`.
        across_tensors: Whether the weights of all tensors are ranked together.

    Reference:
        [Zhu & Gupta, 2017](https://arxiv.org/abs/1710.01878).
    """
    return Method(
        prune=ToSparsity(sparsity, num_prunes, schedule, across_tensors)
    )
