"""Gradual magnitude pruning: to a sparsity, in steps."""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from dsr_tf.checks import checked_choice
from dsr_tf.checks import checked_count
from dsr_tf.checks import checked_fraction
from dsr_tf.checks import checked_number
from dsr_tf.checks import checked_switch
from dsr_tf.checks import keep
from dsr_tf.methods.beginnings import counts_at
from dsr_tf.methods.beginnings import many_go
from dsr_tf.methods.beginnings import nothing_goes
from dsr_tf.methods.context import Context
from dsr_tf.methods.context import Extent
from dsr_tf.methods.context import State
from dsr_tf.methods.method import Method
from dsr_tf.methods.prune import Prune
from dsr_tf.methods.ranking import beyond_largest
from dsr_tf.methods.ranking import smallest
from dsr_tf.methods.record import Record
from dsr_tf.methods.settings import choice
from dsr_tf.methods.settings import count
from dsr_tf.methods.settings import fraction
from dsr_tf.methods.settings import number
from dsr_tf.methods.settings import switch
from dsr_tf.methods.tracing import host_numbers
from dsr_tf.methods.tracing import in_turn
from dsr_tf.schedules import Exponential
from dsr_tf.schedules import Linear
from dsr_tf.schedules import Moment
from dsr_tf.schedules import checked_until

SCHEDULES = ("cubic", "exponential")


@dataclass(frozen=True)
class ToSparsity(Prune):
    """Prunes the smallest weights in steps, until a sparsity is reached.

    Let `x = k / n` after prune `k` of `n`; or, if `n` is not given, the share
    of the way until a share of the training. The sparsity is then
    `s_i + (s - s_i) * (1 - (1 - x)³)` with the cubic schedule; with the
    exponential one the density is `(1 - s_i)^(1 - x) * (1 - s)^x`. Tensors that
    are sparser than that already stay as they are. After the last prune exactly
    as many weights are left as new sparse tensors of that sparsity would hold:
    `sum(num_kept(size, s))`.

    Units of several sizes stay whole, so across tensors the last count may be
    lower by less than one unit.

    Args:
        sparsity: `s`, fraction of zeros at the end, in `[0, 1)`.
        num_prunes: `n`, number of prunes, at least 1; later ones do nothing.
            None to go by the training.
        schedule: `"cubic"` or `"exponential"`.
        across_tensors: Whether the weights of all tensors are ranked together,
            so that some become sparser than others; otherwise each tensor gets
            the same sparsity. The largest weight of a tensor is never pruned.
        initial_sparsity: `s_i`, the sparsity to begin from, in `[0, 1)` and at
            most `sparsity`. The first prune goes beyond it.
        power: Exponent in place of 3, above 0: 1 for a straight line. The
            exponential schedule takes 3 alone.
        until: Where it ends, if `num_prunes` is None: a share of the training,
            a float in `(0, 1]`, or an optimizer step, at least 2.

    Raises:
        ValueError: If an argument is out of its range.

    Reference:
        [Zhu & Gupta, 2017](https://arxiv.org/abs/1710.01878), equation 1.
    """

    sparsity: float
    num_prunes: int | None = None
    schedule: str = "cubic"
    across_tensors: bool = True
    initial_sparsity: float = 0.0
    power: float = 3.0
    until: float = 0.75

    def __post_init__(self) -> None:
        num_prunes = checked_count("num_prunes", self.num_prunes, 1, True)
        checked_choice("schedule", self.schedule, SCHEDULES)
        checked_switch("across_tensors", self.across_tensors)
        keep(
            self,
            sparsity=checked_fraction("sparsity", self.sparsity),
            num_prunes=num_prunes,
            initial_sparsity=_initial(self.initial_sparsity, self.sparsity),
            power=_power(self.power, self.schedule),
            until=checked_until("until", self.until),
        )

    def remark(self, extents: Sequence[Extent], moment: Moment) -> str | None:
        said = nothing_goes(*counts_at(extents, self.sparsity))
        done = 0.0 if self.num_prunes else self._done(moment)
        # That of the beginning may be reached in one prune.
        if said or not done:
            return said
        return many_go(extents, self.sparsity_at(done), late=True)

    def check(self, extents: Sequence[Extent]) -> None:
        """Refuses tensors that already hold fewer weights than the target."""
        alone = [[extent] for extent in extents]
        for ranked in [extents] if self.across_tensors else alone:
            self._check_together(ranked)

    def _check_together(self, extents: Sequence[Extent]) -> None:
        active, target = counts_at(extents, self.sparsity)
        if active < target:
            raise ValueError(
                "`sparsity` must be at least the sparsity of the model's "
                "sparse layers. Make these with `sparsity=0`, and load trained "
                f"weights. Received: sparsity={self.sparsity}, which leaves "
                f"{target} weights, but the layers hold {active}"
            )

    def initial_state(self) -> State:
        """Returns the number of prunes done, 0."""
        return {"prunes": 0}

    def num_left(self, state: Mapping[str, float]) -> int | None:
        """Returns the number of prunes to come, if it is known."""
        if self.num_prunes is None:
            return None
        return self.num_prunes - int(state["prunes"])

    def is_done_after(
        self, moments: Iterable[Moment], extents: Sequence[Extent]
    ) -> bool:
        return self.num_prunes is not None or any(
            self._done(moment) == 1.0 for moment in moments
        )

    def _done(self, moment: Moment) -> float:
        return Linear(0.0, 1.0, self.until)(moment)

    def next_state(self, state: Mapping[str, float], num_pruned: int) -> State:
        """Returns the number of prunes done."""
        done = state["prunes"] + 1
        return {"prunes": min(done, self.num_prunes or done)}

    def numbers(
        self, state: Mapping[str, float], moment: Moment
    ) -> Mapping[str, float]:
        if self.num_prunes is None:
            return {"sparsity": self.sparsity_at(self._done(moment))}
        return {"sparsity": self.sparsity_after(int(state["prunes"]) + 1)}

    def sparsity_after(self, prunes: int) -> float:
        """Returns the sparsity of each tensor after `prunes` prunes."""
        return self.sparsity_at(min(prunes / (self.num_prunes or 1), 1.0))

    def sparsity_at(self, done: float) -> float:
        """Returns the sparsity of each tensor at a share of the way."""
        if done == 1.0:
            return self.sparsity
        start, end = self.initial_sparsity, self.sparsity
        if self.schedule == "cubic":
            return start + (end - start) * (1 - (1 - done) ** self.power)
        # The density falls by equal factors.
        return 1 - Exponential(1 - start, 1 - end).at(done)

    def __call__(self, ctx: Context) -> list[tf.Tensor]:
        sparsity = tf.convert_to_tensor(ctx.numbers["sparsity"], tf.float64)
        units = [tensor.num_units for tensor in ctx.tensors]
        kept = num_kept_units(tf.constant(units, tf.float64), sparsity)
        if self.across_tensors:
            return beyond_largest(ctx, tf.reduce_sum(kept * ctx.unit_sizes))
        counts = tf.maximum(ctx.num_active - kept, 0)
        return in_turn(smallest, ctx.tensors, host_numbers(counts))


def _initial(initial: Any, sparsity: float) -> float:
    checked: float = checked_fraction("initial_sparsity", initial)
    if checked > sparsity:
        raise ValueError(
            "`initial_sparsity` must be at most `sparsity`. "
            f"Received: initial_sparsity={initial}, sparsity={sparsity}"
        )
    return checked


def _power(power: Any, schedule: str) -> float:
    checked = checked_number("power", power, True)
    if checked != 3 and schedule != "cubic":
        raise ValueError(
            "`power` must be 3, its default, with a schedule that is not "
            f"cubic. Received: power={power}, schedule={schedule!r}"
        )
    return checked


def num_kept_units(num_units: tf.Tensor, sparsity: tf.Tensor) -> tf.Tensor:
    """Computes `budget.num_kept` on the device.

    Args:
        num_units: Units of each tensor, shape `(L,)`, float64.
        sparsity: Fraction of zeros, a float64 scalar.
    """
    kept = tf.cast((1.0 - sparsity) * num_units + 0.1, tf.int64)
    return tf.maximum(kept, 1)


def gradual_pruning(
    sparsity: float,
    num_prunes: int | None = None,
    schedule: str = "cubic",
    across_tensors: bool = True,
    initial_sparsity: float = 0.0,
    power: float = 3.0,
    until: float = 0.75,
) -> Method:
    """Returns gradual magnitude pruning, which grows no weights.

    Args:
        sparsity: Fraction of zeros at the end, in `[0, 1)`.
        num_prunes: Number of prunes, at least 1; None to go by the training.
        schedule: `"cubic"` or `"exponential"`.
        across_tensors: Whether the weights of all tensors are ranked together.
        initial_sparsity: Fraction of zeros to begin from, at most `sparsity`.
        power: Exponent of the cubic schedule, above 0.
        until: Where the sparsity is reached, if `num_prunes` is None: a share
            of the training, or an optimizer step.

    Reference:
        [Zhu & Gupta, 2017](https://arxiv.org/abs/1710.01878).
    """
    rule = ToSparsity(
        sparsity,
        num_prunes,
        schedule,
        across_tensors,
        initial_sparsity,
        power,
        until,
    )
    return Method(prune=rule)


@dataclass(frozen=True)
class Settings:
    """The settings of `--method=compressed`."""

    num_prunes: int = count(
        20, "Number of prunes until the sparsity is reached."
    )
    prune_schedule: str = choice("cubic", SCHEDULES, "How the sparsity rises.")
    prune_across_tensors: bool = switch(
        True,
        "Rank the weights of all tensors together; otherwise every tensor gets "
        "the same sparsity.",
    )
    prune_initial_sparsity: float = fraction(
        0.0, "Sparsity to begin from, at most --sparsity."
    )
    prune_power: float = number(
        3.0, "Exponent of --prune_schedule=cubic: 1 for a line.", above=True
    )


def _build(settings: Settings, sparsity: float) -> Method:
    return gradual_pruning(
        sparsity,
        settings.num_prunes,
        settings.prune_schedule,
        settings.prune_across_tensors,
        settings.prune_initial_sparsity,
        settings.prune_power,
    )


RECORD = Record(
    name="compressed",
    help="a trained dense network, from --init_from, pruned in steps",
    label="compressed",
    settings=Settings,
    build=_build,
    starts_dense=True,
    requires=("init_from",),
)
