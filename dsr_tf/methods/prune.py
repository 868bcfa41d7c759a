"""Chooses which units are pruned."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from dsr_tf.checks import checked_count
from dsr_tf.checks import checked_fraction
from dsr_tf.checks import checked_number
from dsr_tf.checks import keep
from dsr_tf.methods.context import Context
from dsr_tf.methods.context import Extent
from dsr_tf.methods.context import State
from dsr_tf.methods.ranking import at_most
from dsr_tf.methods.ranking import smallest
from dsr_tf.methods.scores import GRADIENT
from dsr_tf.methods.scores import Scores
from dsr_tf.methods.tracing import host_numbers
from dsr_tf.methods.tracing import in_turn
from dsr_tf.schedules import Moment
from dsr_tf.schedules import Schedule
from dsr_tf.schedules import as_schedule


@dataclass(frozen=True)
class Pruned:
    """Units to prune, of which some are not replaced.

    So the number of active weights falls.

    Args:
        positions: Positions of the units to prune, ascending, int64, one array
            for each tensor.
        removed: How many of them are not replaced, shape `(L,)`, int64.
    """

    positions: Sequence[tf.Tensor]
    removed: tf.Tensor


PruneFunction = Callable[[Context], Sequence[tf.Tensor] | Pruned]


class Prune:
    """Chooses which units are pruned, and keeps state between reallocations.

    Its state consists of numbers, such as a threshold, and of arrays with an
    entry for every unit, such as signs.
    """

    def initial_state(self) -> State:
        """Returns the numbers to remember before the first reallocation."""
        return {}

    def numbers(
        self, state: Mapping[str, float], moment: Moment
    ) -> Mapping[str, float]:
        """Returns `ctx.numbers` for a reallocation; runs on the host.

        Args:
            state: The numbers that it remembers.
            moment: The position in the training, for its schedules.
        """
        return state

    def remark(self, extents: Sequence[Extent], moment: Moment) -> str | None:
        """Says what a user may not expect where training begins.

        Args:
            extents: The tensors.
            moment: A period before training begins or goes on: where the
                schedules of what was trained before may stand.

        Returns:
            A sentence without its point, to be logged; None by default.
        """
        return None

    def remark_at_end(self, counts: Sequence[int]) -> str | None:
        """Says what went otherwise than asked, where training ends.

        Args:
            counts: How many units each of its last reallocations chose.

        Returns:
            A sentence without its point, to be logged; None by default.
        """
        return None

    def check(self, extents: Sequence[Extent]) -> None:
        """Raises a ValueError if it cannot prune tensors of these extents."""

    def num_left(self, state: Mapping[str, float]) -> int | None:
        """Returns after how many more reallocations it is done.

        A training that is too short for them is refused.

        Args:
            state: The numbers that it remembers.

        Returns:
            Their number; None where it has no end.
        """
        return None

    def is_done_after(
        self, moments: Iterable[Moment], extents: Sequence[Extent]
    ) -> bool:
        """Tells whether some reallocations bring it to its end.

        A training whose reallocations do not is refused.

        Args:
            moments: When they run.
            extents: The tensors before them.
        """
        return True

    def begin(
        self, ctx: Context, seed: tf.Tensor
    ) -> Mapping[str, Sequence[tf.Tensor]]:
        """Returns the arrays to begin a training with, by name.

        It is called when training begins and when it resumes. The weights may
        have been assigned in between.

        Args:
            ctx: The network. If training resumes, its tensors have the old
                arrays.
            seed: Shape `(2,)`, int32.

        Returns:
            For each name, one array for each tensor, with an entry for each
            active unit.
        """
        return {}

    def perturb(
        self, ctx: Context, seed: tf.Tensor
    ) -> Sequence[tf.Tensor] | None:
        """Returns new weights of the active units, of the shape of `values`.

        It is called before units are chosen. None leaves the weights unchanged.
        """
        return None

    def __call__(self, ctx: Context) -> Sequence[tf.Tensor] | Pruned:
        """Returns the positions of the units to prune, ascending, int64.

        As many grow, unless the method grows none, or this is a `Pruned`.
        """
        raise NotImplementedError

    def next_state(self, state: Mapping[str, float], num_pruned: int) -> State:
        """Returns the numbers to remember after pruning `num_pruned` units."""
        return dict(state)


@dataclass(frozen=True)
class Stateless(Prune):
    """A function that remembers nothing.

    Args:
        function: Returns the positions of the units to prune.
    """

    function: PruneFunction

    def __call__(self, ctx: Context) -> Sequence[tf.Tensor] | Pruned:
        return self.function(ctx)


_SMALLEST, _LARGEST = 2.0**-126, 2.0**127
# What a reallocation prunes at most, in terms of its target.
_MOST = 4
# Reallocations that a threshold may take to adapt.
_ADAPTING = 4


def adapted_threshold(
    threshold: float, num_below: int, num_pruned: int, tolerance: float
) -> float:
    """Returns the threshold of the next reallocation.

    It is doubled if fewer than `(1 - tolerance) * num_pruned` weights were
    pruned, halved if more than `(1 + tolerance) * num_pruned` were pruned, and
    unchanged otherwise. It stays within the normal float32 numbers, even if the
    target cannot be reached.

    Args:
        threshold: `H` of this reallocation.
        num_below: `sum(K_l)`, the number of weights that it pruned.
        num_pruned: `N_p`, the target.
        tolerance: `delta`, a fraction.
    """
    if num_below < (1 - tolerance) * num_pruned:
        return min(threshold * 2, _LARGEST)
    if num_below > (1 + tolerance) * num_pruned:
        return max(threshold / 2, _SMALLEST)
    return threshold


@dataclass(frozen=True)
class AdaptiveThreshold(Prune):
    """Prunes below one threshold for all tensors; it adapts to a target.

    A reallocation prunes at most four times the target: if more units are below
    the threshold, only the smallest of them.

    Args:
        num_pruned: `N_p`, number of units to prune in a reallocation, at least
            1.
        tolerance: `delta`, fraction of `num_pruned` by which the count may
            differ before the threshold changes, in `[0, 1)`.
        initial_threshold: `H` of the first reallocation, above 0.

    Raises:
        ValueError: If an argument is out of its range.

    Reference:
        [Mostafa & Wang, 2019](https://arxiv.org/abs/1902.05967), Algorithm 1.
    """

    num_pruned: int
    tolerance: float
    initial_threshold: float

    def __post_init__(self) -> None:
        first = checked_number(
            "initial_threshold", self.initial_threshold, True
        )
        keep(
            self,
            num_pruned=checked_count("num_pruned", self.num_pruned, minimum=1),
            tolerance=checked_fraction("tolerance", self.tolerance),
            initial_threshold=first,
        )

    def initial_state(self) -> State:
        """Returns the first threshold."""
        return {"threshold": self.initial_threshold}

    def check(self, extents: Sequence[Extent]) -> None:
        """Refuses a target that is not below the budget."""
        check_below_budget(self.num_pruned, extents)

    def remark_at_end(self, counts: Sequence[int]) -> str | None:
        """Says if no reallocation pruned as many units as asked."""
        most = self.tolerance * self.num_pruned
        if len(counts) < _ADAPTING or any(
            abs(x - self.num_pruned) <= most for x in counts
        ):
            return None
        return (
            f"no reallocation pruned `num_pruned={self.num_pruned}` units, to "
            f"within `tolerance={self.tolerance:g}`: the last of "
            f"{len(counts)} pruned {counts[-1]}. Leave `initial_threshold="
            f"{self.initial_threshold:g}` out, so that each finds its own "
            "threshold; or begin nearer to it"
        )

    def __call__(self, ctx: Context) -> list[tf.Tensor]:
        threshold = ctx.numbers["threshold"]
        below = in_turn(lambda x: x.smaller_than(threshold), ctx.tensors)
        return at_most(ctx, below, _MOST * self.num_pruned)

    def next_state(self, state: Mapping[str, float], num_pruned: int) -> State:
        """Returns the threshold after `num_pruned` units were pruned."""
        return {
            "threshold": adapted_threshold(
                state["threshold"], num_pruned, self.num_pruned, self.tolerance
            )
        }


def check_below_budget(num_pruned: int, extents: Sequence[Extent]) -> None:
    """Refuses to prune as many units as there are."""
    budget = sum(extent.num_active for extent in extents)
    if num_pruned >= budget:
        raise ValueError(
            "`num_pruned` must be smaller than the budget, which is the "
            "number of active weights of the model's sparse layers, or of "
            "active slices or blocks where these move as one. "
            f"Received: num_pruned={num_pruned}, budget={budget}"
        )


@dataclass(frozen=True)
class SmallestFraction(Prune):
    """Prunes the smallest weights of each tensor.

    Of `M` active units `int(drop_fraction * M) + 1` are pruned, but never more
    than there are inactive positions, and never all.

    Args:
        drop_fraction: Fraction of the active units, in `[0, 1)`, or a schedule
            of it.

    Raises:
        ValueError: If `drop_fraction` is out of its range.

    Reference:
        [Mocanu et al., 2018](https://arxiv.org/abs/1707.04780); the count
        follows the code of
        [Mostafa & Wang, 2019](https://arxiv.org/abs/1902.05967).
    """

    drop_fraction: float | Mapping[int, float] | Schedule

    def __post_init__(self) -> None:
        self._schedule()

    def _schedule(self) -> Schedule:
        return as_schedule(
            "drop_fraction", self.drop_fraction, checked_fraction
        )

    def numbers(
        self, state: Mapping[str, float], moment: Moment
    ) -> Mapping[str, float]:
        fraction = self._schedule()(moment)
        return {"drop_fraction": checked_fraction("drop_fraction", fraction)}

    def __call__(self, ctx: Context) -> list[tf.Tensor]:
        return in_turn(smallest, ctx.tensors, host_numbers(self.counts(ctx)))

    def counts(self, ctx: Context) -> tf.Tensor:
        """Returns how many units of each tensor to prune, `(L,)`, int64."""
        wanted = share_of(ctx.num_active, ctx.numbers["drop_fraction"]) + 1
        most = tf.minimum(ctx.num_inactive, ctx.num_active - 1)
        return tf.minimum(wanted, most)


@dataclass(frozen=True)
class SmallestShare(SmallestFraction):
    """Prunes a share of each tensor, and none where the share is 0.

    Of `M` active units `int(drop_fraction * M)` are pruned, but never all.

    Args:
        drop_fraction: Fraction of the active units, in `[0, 1)`, or a schedule
            of it.
        gradient_weight: `lambda`, at least 0. Units go by
            `|w| + lambda * |gradient|`.

    Raises:
        ValueError: If an argument is out of its range.

    Reference:
        [Evci et al., 2020](https://arxiv.org/abs/1911.11134), Algorithm 1; with
        gradients, [Yuan et al., 2021](https://arxiv.org/abs/2110.14032).
    """

    gradient_weight: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        weight = checked_number("gradient_weight", self.gradient_weight)
        keep(self, gradient_weight=weight)

    @property
    def scores(self) -> Scores | None:
        """The growth scores that it reads, if it reads any."""
        return GRADIENT if self.gradient_weight else None

    def __call__(self, ctx: Context) -> list[tf.Tensor]:
        counts = host_numbers(self.counts(ctx))
        weight = self.gradient_weight
        return in_turn(
            lambda x, count: smallest(x, count, weight), ctx.tensors, counts
        )

    def counts(self, ctx: Context) -> tf.Tensor:
        wanted = share_of(ctx.num_active, ctx.numbers["drop_fraction"])
        return tf.minimum(wanted, ctx.num_active - 1)


def share_of(counts: tf.Tensor, fraction: Any) -> tf.Tensor:
    """Returns `int(fraction * counts)`, int64."""
    share = tf.convert_to_tensor(fraction, tf.float64)
    return tf.cast(share * tf.cast(counts, tf.float64), tf.int64)
