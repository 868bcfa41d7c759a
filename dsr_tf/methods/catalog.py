"""The methods: each a choice of prune, allocate and grow."""

from dsr_tf.methods import allocate
from dsr_tf.methods import grow
from dsr_tf.methods import prune
from dsr_tf.methods.method import Method


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
