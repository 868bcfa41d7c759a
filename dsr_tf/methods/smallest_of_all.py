"""Prunes a share of all weights: the smallest of all tensors together."""

from collections.abc import Mapping
from dataclasses import dataclass

import tensorflow as tf

from dsr_tf.checks import checked_fraction
from dsr_tf.methods.context import Context
from dsr_tf.methods.gradual import beyond_largest
from dsr_tf.methods.prune import Prune
from dsr_tf.methods.prune import share_of
from dsr_tf.schedules import Moment
from dsr_tf.schedules import Schedule
from dsr_tf.schedules import as_schedule


@dataclass(frozen=True)
class SmallestOfAll(Prune):
    """Prunes the smallest units of all tensors together, as many as asked.

    Of `M` active weights `int(drop_fraction * M)` are pruned; where units are
    several weights, at least that many, and less than one unit more. So the
    threshold of Algorithm 1 is found at once, and need not adapt. The largest
    unit of each tensor stays.

    Args:
        drop_fraction: Fraction of the active weights, in `[0, 1)`, or a
            schedule of it.

    Raises:
        ValueError: If `drop_fraction` is out of its range.

    Reference:
        [Mostafa & Wang, 2019](https://arxiv.org/abs/1902.05967), Algorithm 1.
    """

    drop_fraction: float | Mapping[int, float] | Schedule

    def __post_init__(self) -> None:
        self._schedule()

    def _schedule(self) -> Schedule:
        return as_schedule("num_pruned", self.drop_fraction, checked_fraction)

    def numbers(
        self, state: Mapping[str, float], moment: Moment
    ) -> Mapping[str, float]:
        fraction = self._schedule()(moment)
        return {"drop_fraction": checked_fraction("num_pruned", fraction)}

    def __call__(self, ctx: Context) -> list[tf.Tensor]:
        active = tf.reduce_sum(ctx.num_active * ctx.unit_sizes)
        gone = share_of(active, ctx.numbers["drop_fraction"])
        # One unit of each tensor stays.
        least = tf.reduce_sum(ctx.unit_sizes)
        return beyond_largest(ctx, tf.maximum(active - gone, least))
