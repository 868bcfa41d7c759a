"""How many weights each tensor gets back: pure integer arithmetic."""

from collections.abc import Sequence

from dsr_tf.budget import apportion


def what_it_lost(
    num_survivors: Sequence[int],
    num_pruned: Sequence[int],
    capacity: Sequence[int],
) -> list[int]:
    """Gives every tensor as many weights as were pruned in it.

    Or as many as it has room for: then some are not pruned after all.

    Args:
        num_survivors: Weights of each tensor that were not pruned.
        num_pruned: Weights of each tensor that were pruned.
        capacity: Inactive weights of each tensor before pruning.

    Returns:
        `num_pruned`, none above its capacity.
    """
    return [min(n, room) for n, room in zip(num_pruned, capacity, strict=True)]


def in_proportion_to_survivors(
    num_survivors: Sequence[int],
    num_pruned: Sequence[int],
    capacity: Sequence[int],
) -> list[int]:
    """Gives every tensor its share of the survivors of pruning.

    `G_l = round(R_l / sum(R) * sum(K))`, balanced so that `sum(G) = sum(K)`.

    Args:
        num_survivors: `R_l`, weights of each tensor that were not pruned.
        num_pruned: `K_l`, weights of each tensor that were pruned.
        capacity: Inactive weights of each tensor before pruning.

    Returns:
        `G_l`, adding up to `min(sum(num_pruned), sum(capacity))`.

    Reference:
        [Mostafa & Wang, 2019](https://arxiv.org/abs/1902.05967), Algorithm 1.
    """
    return apportion(sum(num_pruned), num_survivors, capacity)
