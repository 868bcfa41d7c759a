"""Counts of weights: how many a sparsity keeps, and how to split a count."""

from collections.abc import Sequence
from fractions import Fraction


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
    return max(1, int((1.0 - float(sparsity)) * size + 0.1))


def apportion(
    total: int,
    shares: Sequence[int],
    capacity: Sequence[int],
    unit_sizes: Sequence[int] | None = None,
) -> list[int]:
    """Splits a count in proportion to shares, up to a capacity for each.

    The largest remainders get the weights that rounding leaves over; ties go
    to the lower index. If an entry is full, the rest of its share is split
    between the others, in proportion, until all weights are placed. The result
    is exact for counts of any size.

    Args:
        total: Number of weights to place, at least 0.
        shares: Non-negative proportions, one for each entry. If all open
            entries have share 0, their free capacity is the proportion.
        capacity: Largest number of units of each entry, non-negative.
        unit_sizes: Weights in a unit of each entry; 1 by default. A unit stays
            whole, so less than one unit may be left over.

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
