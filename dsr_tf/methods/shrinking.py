"""Pruning to a sparsity that rises, and replacing weights meanwhile."""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass

import tensorflow as tf

from dsr_tf.checks import checked_fraction
from dsr_tf.checks import checked_number
from dsr_tf.checks import keep
from dsr_tf.methods.beginnings import counts_at
from dsr_tf.methods.beginnings import many_go
from dsr_tf.methods.beginnings import nothing_goes
from dsr_tf.methods.context import Context
from dsr_tf.methods.context import Extent
from dsr_tf.methods.gradual import num_kept_units
from dsr_tf.methods.prune import Prune
from dsr_tf.methods.prune import Pruned
from dsr_tf.methods.prune import share_of
from dsr_tf.methods.ranking import beyond_largest
from dsr_tf.methods.ranking import smallest
from dsr_tf.methods.scores import GRADIENT
from dsr_tf.methods.scores import Scores
from dsr_tf.methods.tracing import host_numbers
from dsr_tf.methods.tracing import in_turn
from dsr_tf.schedules import Moment
from dsr_tf.schedules import Schedule
from dsr_tf.schedules import as_schedule


@dataclass(frozen=True)
class ShrinkAndReplace(Prune):
    """Prunes to a rising sparsity for good, and a share to be replaced.

    First the least important weights of all tensors together go, until as many
    are left as new tensors of the sparsity of this moment would hold. Then a
    share of each tensor goes, its least important weights, and is replaced.

    Args:
        sparsity: Fraction of zeros, a schedule that rises to its last value;
            fractions in `[0, 1)`.
        drop_fraction: Fraction of the weights of each tensor that is replaced,
            in `[0, 1)`, or a schedule of it.
        gradient_weight: `lambda`, at least 0: importance is
            `|w| + lambda * |gradient|`.

    Raises:
        ValueError: If an argument is out of its range.
    """

    sparsity: Schedule
    drop_fraction: float | Mapping[int, float] | Schedule
    gradient_weight: float = 0.0

    def __post_init__(self) -> None:
        self._schedules()
        weight = checked_number("gradient_weight", self.gradient_weight)
        keep(self, gradient_weight=weight)

    def _schedules(self) -> dict[str, Schedule]:
        values = {
            "sparsity": self.sparsity,
            "drop_fraction": self.drop_fraction,
        }
        return {
            name: as_schedule(name, value, checked_fraction)
            for name, value in values.items()
        }

    @property
    def scores(self) -> Scores | None:
        """The growth scores that it reads, if it reads any."""
        return GRADIENT if self.gradient_weight else None

    @property
    def last_sparsity(self) -> float | None:
        """The sparsity at the end; None where the schedule does not tell."""
        values = getattr(self._schedules()["sparsity"], "values", None)
        return values[-1] if values else None

    def numbers(
        self, state: Mapping[str, float], moment: Moment
    ) -> Mapping[str, float]:
        return {
            name: checked_fraction(name, schedule(moment))
            for name, schedule in self._schedules().items()
        }

    def check(self, extents: Sequence[Extent]) -> None:
        """Refuses tensors that already hold fewer weights than at the end."""
        if self.last_sparsity is None:
            return
        active, target = self._counts(extents)
        # Units of several sizes can leave less than one of them unspent.
        if active + max(x.unit_size for x in extents) <= target:
            raise ValueError(
                "`sparsity` must be at least that of the model's sparse "
                f"layers. Received: sparsity={self.last_sparsity}, which "
                f"leaves {target} weights, but the layers hold {active}"
            )

    def remark(self, extents: Sequence[Extent], moment: Moment) -> str | None:
        if self.last_sparsity is not None:
            if said := nothing_goes(*self._counts(extents)):
                return said
        sparsity = self.numbers({}, moment)["sparsity"]
        return many_go(extents, sparsity, late=moment.step > 0)

    def _counts(self, extents: Sequence[Extent]) -> tuple[int, int]:
        """Returns the weights that there are, and those at the end."""
        return counts_at(extents, self.last_sparsity or 0.0)

    def is_done_after(
        self, moments: Iterable[Moment], extents: Sequence[Extent]
    ) -> bool:
        if self.last_sparsity is None:
            return True
        active, target = self._counts(extents)
        schedule = self._schedules()["sparsity"]
        return active <= target or any(
            schedule(moment) == self.last_sparsity for moment in moments
        )

    def __call__(self, ctx: Context) -> Pruned:
        units = [tensor.num_units for tensor in ctx.tensors]
        sparsity = tf.convert_to_tensor(ctx.numbers["sparsity"], tf.float64)
        kept = num_kept_units(tf.constant(units, tf.float64), sparsity)
        budget = tf.reduce_sum(kept * ctx.unit_sizes)
        beyond = beyond_largest(ctx, budget, self.gradient_weight)
        removed = tf.stack([tf.size(x, out_type=tf.int64) for x in beyond])
        left = ctx.num_active - removed
        share = share_of(left, ctx.numbers["drop_fraction"])
        replaced = tf.minimum(share, left - 1)
        counts = host_numbers(removed + replaced)
        weight = self.gradient_weight
        gone = in_turn(
            lambda x, count: smallest(x, count, weight), ctx.tensors, counts
        )
        return Pruned(gone, removed)
