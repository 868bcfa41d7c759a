"""How many weights each tensor gets back: pure integer arithmetic."""

from collections.abc import Sequence


def apportion(
    total: int, shares: Sequence[int], capacity: Sequence[int]
) -> list[int]:
    """Splits a count in proportion to shares, none above its capacity.

    Largest remainders get the units that rounding leaves over; ties go to the
    lower index. What a full entry cannot take is offered again to the others,
    in proportion, until all is placed. Exact for counts of any size.

    Args:
        total: Number of units to place, at least 0.
        shares: Proportions, non-negative, one an entry. Where all open
            entries have share 0, their free capacity is the proportion.
        capacity: Largest count of each entry, non-negative.

    Returns:
        Counts that add up to `min(total, sum(capacity))`.
    """
    placed = [0] * len(shares)
    left = min(total, sum(capacity))
    while left > 0:
        free = [c - p for c, p in zip(capacity, placed, strict=True)]
        offer = [s if f else 0 for s, f in zip(shares, free, strict=True)]
        if not any(offer):
            offer = free
        for i, count in enumerate(_largest_remainder(left, offer)):
            taken = min(count, free[i])
            placed[i] += taken
            left -= taken
    return placed


def _largest_remainder(total: int, shares: Sequence[int]) -> list[int]:
    whole = sum(shares)
    counts = [total * share // whole for share in shares]
    remainders = [total * share % whole for share in shares]
    by_remainder = sorted(range(len(shares)), key=lambda i: -remainders[i])
    for i in by_remainder[: total - sum(counts)]:
        counts[i] += 1
    return counts


def what_it_lost(
    num_survivors: Sequence[int],
    num_pruned: Sequence[int],
    capacity: Sequence[int],
) -> list[int]:
    """Gives every tensor as many weights as were pruned in it.

    Args:
        num_survivors: Weights of each tensor that were not pruned.
        num_pruned: Weights of each tensor that were pruned.
        capacity: Inactive positions of each tensor before pruning.

    Returns:
        `num_pruned`.
    """
    return list(num_pruned)


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
        capacity: Inactive positions of each tensor before pruning.

    Returns:
        `G_l`, adding up to `min(sum(num_pruned), sum(capacity))`.

    Reference:
        [Mostafa & Wang, 2019](https://arxiv.org/abs/1902.05967), Algorithm 1.
    """
    return apportion(sum(num_pruned), num_survivors, capacity)
