"""Plans how many units of each tensor a reallocation prunes and grows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import tensorflow as tf

from dsr_tf.budget import apportion


@dataclass(frozen=True)
class Plan:
    """Counts of units for each tensor: shape `(L,)`, int64.

    Args:
        active: Active units, before pruning.
        exempt: 1 if all units were chosen, so that the first must stay; else 0.
        spared: How many of the largest chosen units stay, because nothing could
            replace them.
        grown: Units that grow.
    """

    active: np.ndarray | tf.Tensor
    exempt: np.ndarray | tf.Tensor
    spared: np.ndarray | tf.Tensor
    grown: np.ndarray | tf.Tensor

    @property
    def rows(self) -> list[np.ndarray | tf.Tensor]:
        """The counts, in the order of the arguments."""
        return [self.active, self.exempt, self.spared, self.grown]


def plan_within_tensors(
    active: tf.Tensor,
    chosen: tf.Tensor,
    inactive: tf.Tensor,
    is_finite: tf.Tensor,
    removed: tf.Tensor,
) -> Plan:
    """Plans a reallocation in which every tensor gets back what it lost.

    It needs no exact division, and so it runs on the device.

    Args:
        active: Active units of each tensor, before pruning, shape `(L,)`.
        chosen: Units chosen for pruning.
        inactive: Inactive units, before pruning.
        is_finite: Whether all weights are finite, bool; otherwise nothing
            moves.
        removed: Chosen units that are not replaced.
    """
    exempt = tf.cast((active == chosen) & (chosen > 0), tf.int64)
    pruned = chosen - exempt
    replaced = pruned - tf.minimum(removed, pruned)
    grown = tf.minimum(replaced, inactive)
    return Plan(
        active,
        exempt,
        tf.where(is_finite, replaced - grown, pruned),
        tf.where(is_finite, grown, tf.zeros_like(grown)),
    )


def plan_across_tensors(
    proportions: Sequence[float] | np.ndarray,
    active: Sequence[int],
    chosen: Sequence[int],
    inactive: Sequence[int],
    sizes: Sequence[int],
    unspent: int = 0,
    removed: Sequence[int] | None = None,
) -> tuple[Plan, int]:
    """Plans a reallocation that moves weights from tensor to tensor.

    The budget, counted in weights, falls by what is removed, and no more. The
    arithmetic is exact, and runs on the host.

    Args:
        proportions: Share of each tensor in the pruned weights.
        active: Active units of each tensor, before pruning.
        chosen: Units chosen for pruning.
        inactive: Inactive units, before pruning.
        sizes: Weights in a unit of each tensor.
        unspent: Weights that the last reallocation left unspent.
        removed: Chosen units that are not replaced; none by default.

    Returns:
        The plan, and the weights that stay unspent.

    Raises:
        ValueError: If a proportion is negative, NaN or infinite.
    """
    shares = _exact(proportions)
    exempt = [a == c > 0 for a, c in zip(active, chosen, strict=True)]
    pruned = [c - e for c, e in zip(chosen, exempt, strict=True)]
    ends = removed or [0] * len(pruned)
    replaced = [p - min(r, p) for p, r in zip(pruned, ends, strict=True)]
    lost = _weights(replaced, sizes)
    wanted = apportion(sum(lost), shares, _weights(inactive, sizes))
    grown = apportion(sum(wanted) + unspent, wanted, inactive, sizes)
    gained = _weights(grown, sizes)
    surplus = sum(lost) + unspent - sum(gained)
    short = [max(n - g, 0) for n, g in zip(lost, gained, strict=True)]
    spared = apportion(surplus, short, replaced, sizes)
    surplus -= sum(_weights(spared, sizes))
    rows = (np.array(x, np.int64) for x in (active, exempt, spared, grown))
    return Plan(*rows), surplus


def _weights(units: Sequence[int], sizes: Sequence[int]) -> list[int]:
    return [n * size for n, size in zip(units, sizes, strict=True)]


def _exact(proportions: Sequence[float] | np.ndarray) -> list[int]:
    """Returns integers of the same proportions."""
    values = np.asarray(proportions).tolist()
    if not all(0 <= value < math.inf for value in values):
        raise ValueError(
            "`allocate` must return proportions that are finite and not "
            f"negative. Received: proportions={values}"
        )
    fractions = [Fraction(value) for value in values]
    scale = math.lcm(*(x.denominator for x in fractions))
    return [int(x * scale) for x in fractions]
