"""How many weights each tensor gets back: pure integer arithmetic."""

from collections.abc import Sequence
from fractions import Fraction


def apportion(
    total: int,
    shares: Sequence[int],
    capacity: Sequence[int],
    unit_sizes: Sequence[int] | None = None,
) -> list[int]:
    """Splits a count in proportion to shares, none above its capacity.

    Largest remainders get what rounding leaves over; ties go to the lower
    index. What a full entry cannot take is offered again to the others, in
    proportion, until all is placed. Exact for counts of any size.

    Args:
        total: Number of weights to place, at least 0.
        shares: Proportions, non-negative, one an entry. Where all open
            entries have share 0, their free capacity is the proportion.
        capacity: Largest number of units of each entry, non-negative.
        unit_sizes: Weights in a unit of each entry; 1 by default. A unit stays
            whole, so less than one may be left over.

    Returns:
        Numbers of units. Their weights never exceed `total`, and with units of
        one weight add up to `min(total, sum(capacity))`.
    """
    sizes = unit_sizes or [1] * len(shares)
    placed = [0] * len(shares)
    left = total
    while left > 0:
        free = [c - p for c, p in zip(capacity, placed, strict=True)]
        room = [
            n * size if size <= left else 0
            for n, size in zip(free, sizes, strict=True)
        ]
        offer = [s if r else 0 for s, r in zip(shares, room, strict=True)]
        if not any(offer):
            offer = room
        if not any(offer):
            break
        for i, count in enumerate(_largest_remainder(left, offer, sizes)):
            taken = min(count, free[i])
            placed[i] += taken
            left -= taken * sizes[i]
    return placed


def _largest_remainder(
    total: int, shares: Sequence[int], sizes: Sequence[int]
) -> list[int]:
    quotas = [
        Fraction(total * share, sum(shares) * size)
        for share, size in zip(shares, sizes, strict=True)
    ]
    counts = [int(quota) for quota in quotas]
    left = total - sum(n * u for n, u in zip(counts, sizes, strict=True))
    for i in sorted(range(len(quotas)), key=lambda i: counts[i] - quotas[i]):
        if shares[i] and sizes[i] <= left:
            counts[i] += 1
            left -= sizes[i]
    return counts


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
