"""Prunes the smallest weights of all tensors together, as many as asked."""

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from dsr_tf.checks import checked_count
from dsr_tf.checks import checked_fraction
from dsr_tf.checks import is_integer
from dsr_tf.methods.context import Context
from dsr_tf.methods.context import Extent
from dsr_tf.methods.prune import Prune
from dsr_tf.methods.prune import check_below_budget
from dsr_tf.methods.prune import share_of
from dsr_tf.methods.ranking import beyond_largest
from dsr_tf.methods.ranking import smallest_of_all
from dsr_tf.schedules import Moment
from dsr_tf.schedules import Schedule
from dsr_tf.schedules import as_schedule


@dataclass(frozen=True)
class SmallestOfAll(Prune):
    """Prunes the smallest units of all tensors together, as many as asked.

    So the threshold of Algorithm 1 is found at once, and need not adapt. The
    largest unit of each tensor stays.

    Args:
        num_pruned: A count of units, an integer of at least 1. Or a share of
            the active weights, a float in `[0, 1)`, or a schedule of it: of `M`
            weights `int(share * M)` are pruned; where units are several
            weights, at least that many, and less than one unit more.

    Raises:
        ValueError: If `num_pruned` is out of its range.

    Reference:
        [Mostafa & Wang, 2019](https://arxiv.org/abs/1902.05967), Algorithm 1.
    """

    num_pruned: int | float | Mapping[int, float] | Schedule

    def __post_init__(self) -> None:
        self._amount()

    def _amount(self) -> Any:
        if is_integer(self.num_pruned):
            return checked_count("num_pruned", self.num_pruned, minimum=1)
        return as_schedule("num_pruned", self.num_pruned, checked_fraction)

    def check(self, extents: Sequence[Extent]) -> None:
        """Refuses a count that is not below the budget."""
        if is_integer(self.num_pruned):
            check_below_budget(self._amount(), extents)

    def numbers(
        self, state: Mapping[str, float], moment: Moment
    ) -> Mapping[str, float]:
        amount = self._amount()
        if is_integer(amount):
            return {}
        return {"share": checked_fraction("num_pruned", amount(moment))}

    def __call__(self, ctx: Context) -> list[tf.Tensor]:
        amount = self._amount()
        if is_integer(amount):
            return smallest_of_all(ctx, amount)
        active = tf.reduce_sum(ctx.num_active * ctx.unit_sizes)
        gone = share_of(active, ctx.numbers["share"])
        # One unit of each tensor stays.
        least = tf.reduce_sum(ctx.unit_sizes)
        return beyond_largest(ctx, tf.maximum(active - gone, least))
