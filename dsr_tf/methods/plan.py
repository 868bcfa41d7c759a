"""The integer arithmetic of a reallocation: how many of each tensor."""

from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dsr_tf.budget import apportion

Allocate = Callable[[Sequence[int], Sequence[int], Sequence[int]], list[int]]


@dataclass(frozen=True)
class Plan:
    """Counts of units, one a tensor.

    Args:
        rescued: Whether all would go, so that the first has to stay.
        pruned: Units that go by the method's choice, but for the rescued.
        grown: Units that come.
        pardoned: Units among the pruned that stay, as nothing could replace
            them: in the tensors that lose more than they gain.
        inactive: Inactive units, before pruning.
        unspent: Weights of the budget that no whole unit could take.
    """

    rescued: list[bool]
    pruned: list[int]
    grown: list[int]
    pardoned: list[int]
    inactive: list[int]
    unspent: int = 0

    @property
    def moves(self) -> np.ndarray:
        """What it takes to carry it out, in one array for the device.

        Rows of rescued, pardoned, inactive and grown units, int64.
        """
        rows = [self.rescued, self.pardoned, self.inactive, self.grown]
        return np.array(rows, np.int64)


def make_plan(
    allocate: Allocate | None,
    active: Sequence[int],
    gone: Sequence[int],
    inactive: Sequence[int],
    sizes: Sequence[int],
    unspent: int = 0,
) -> Plan:
    """Plans a reallocation that conserves the budget, counted in weights.

    Args:
        allocate: Splits what was pruned, in weights; None where none come.
        active: Active units of each tensor, before pruning.
        gone: Units that pruning would take.
        inactive: Inactive units, before pruning.
        sizes: Weights in a unit of each tensor.
        unspent: Weights that the last reallocation left unspent.

    Raises:
        ValueError: If `allocate` grows more than was pruned.
    """
    rescued = [a == g > 0 for a, g in zip(active, gone, strict=True)]
    pruned = [g - r for g, r in zip(gone, rescued, strict=True)]
    kept = [a - p for a, p in zip(active, pruned, strict=True)]
    none = [0] * len(pruned)
    if not allocate:
        return Plan(rescued, pruned, none, none, list(inactive))
    lost = _weights(pruned, sizes)
    wanted = allocate(_weights(kept, sizes), lost, _weights(inactive, sizes))
    if min(wanted) < 0 or sum(wanted) > sum(lost):
        raise ValueError(
            "`allocate` must return counts that add up to no more than was "
            f"pruned, {sum(lost)}. Received: {wanted}"
        )
    grown = apportion(sum(wanted) + unspent, wanted, inactive, sizes)
    gained = _weights(grown, sizes)
    surplus = sum(lost) + unspent - sum(gained)
    short = [max(n - g, 0) for n, g in zip(lost, gained, strict=True)]
    pardoned = apportion(surplus, short, pruned, sizes)
    surplus -= sum(_weights(pardoned, sizes))
    return Plan(rescued, pruned, grown, pardoned, list(inactive), surplus)


def _weights(units: Sequence[int], sizes: Sequence[int]) -> list[int]:
    return [n * size for n, size in zip(units, sizes, strict=True)]
