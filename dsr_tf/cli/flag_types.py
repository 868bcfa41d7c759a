"""Kinds of flags that absl does not have: bounded numbers and schedules."""

import math
from typing import Any

from absl import flags

from dsr_tf import schedules
from dsr_tf.runs.build import MODELS
from dsr_tf.runs.build import is_own
from dsr_tf.runs.config import AUTO
from dsr_tf.runs.own_network import is_file
from dsr_tf.runs.own_network import is_function
from dsr_tf.runs.own_network import near_applications
from dsr_tf.schedules import ByEpoch
from dsr_tf.schedules import Constant
from dsr_tf.units import Granularity

_UNTIL = (
    "; UNTIL, after END, must be a share of the training, above 0 and at most "
    "1, or an optimizer step, at least 2"
)
# TensorFlow computes in 32 bits.
LARGEST_INT = 2**31 - 1
_LARGEST = 3.4e38
_TOO_LARGE = "must be a number that 32 bits can hold"


class Number(flags.FloatParser):
    """Parses a finite number that is at least `lower` and below `below`.

    Args:
        lower: Smallest value.
        below: The limit that values must be below.
        above: Whether `lower` itself is refused.
    """

    def __init__(
        self, lower: float = 0.0, below: float = math.inf, above: bool = False
    ) -> None:
        super().__init__()
        self._lower, self._below, self._above = lower, below, above
        self.syntactic_help = f"a number {'above' if above else 'from'} " + (
            f"{lower:g}" + (f", below {below:g}" if below < math.inf else "")
        )

    def parse(self, argument: Any) -> float:
        number = super().parse(argument)
        if not self.allows(number):
            raise ValueError(f"must be {self.syntactic_help}")
        if number > _LARGEST:
            raise ValueError(_TOO_LARGE)
        return number

    def allows(self, number: float) -> bool:
        """Tells whether a number is within the bounds."""
        above = number > self._lower
        within = above or (number == self._lower and not self._above)
        return within and number < self._below


class Schedule(flags.ArgumentParser):
    """Parses a schedule from its text form, or one value for all epochs.

    Args:
        number: `int` or `float`.
        bounds: The allowed values.
        by_epoch: Whether a single value is written with epoch 0, as in `0:15`;
            otherwise as in `15`.
        ramps: Whether the schedule may change from step to step.
        ends_at_lower: Whether a ramp may end at the lower bound, which other
            values must be above.
    """

    def __init__(
        self,
        number: type,
        bounds: Number,
        by_epoch: bool,
        ramps: bool,
        ends_at_lower: bool = False,
    ) -> None:
        self._number, self._bounds = number, bounds
        self._by_epoch, self._ramps = by_epoch, ramps
        self._ends_at_lower = ends_at_lower
        self.syntactic_help = _schedule_help(number, bounds, ramps)

    def flag_type(self) -> str:
        return f"schedule of {self._number.__name__}"

    def parse(self, argument: Any) -> Any:
        try:
            schedule = self._schedule(argument)
            allowed = all(map(self._bounds.allows, self._bounded(schedule)))
        # A text may have too many parts, or none.
        except (ValueError, TypeError):
            allowed = False
        if not allowed:
            # Of KIND:START:END:UNTIL.
            more = _UNTIL if self._ramps and _has_until(argument) else ""
            raise ValueError(f"must be {self.syntactic_help}{more}")
        if not self._fits(schedule):
            raise ValueError(_TOO_LARGE)
        return schedule

    def _bounded(self, schedule: Any) -> list[Any]:
        """Returns the values that must be within the bounds."""
        is_ramp = isinstance(schedule, schedules.Ramp)
        if self._ends_at_lower and is_ramp and schedule.end == 0:
            return [schedule.start]
        return list(schedule.values)

    def _fits(self, schedule: Any) -> bool:
        most = LARGEST_INT if self._number is int else _LARGEST
        steps = [epoch for epoch, _ in getattr(schedule, "entries", ())]
        steps.append(getattr(schedule, "until", 1))
        return max(schedule.values) <= most and max(steps) <= LARGEST_INT

    def _schedule(self, argument: Any) -> Any:
        if not callable(argument):
            argument = schedules.parse(str(argument), self._number)
        if self._by_epoch and isinstance(argument, Constant):
            return ByEpoch(((0, argument.value),))
        by_step = schedules.Ramp | schedules.ByShare | schedules.Times
        if isinstance(argument, by_step) and not self._ramps:
            raise ValueError("no ramp")
        return argument


class Amount(flags.ArgumentParser):
    """Parses a count, an integer, or shares: a number or a schedule."""

    syntactic_help = (
        "a whole number from 1, or a share from 0, below 1, or a schedule of "
        "shares, such as 0:0.1,25:0.05 or cosine:0.3:0.01:0.75"
    )

    def parse(self, argument: Any) -> Any:
        if str(argument).strip().lstrip("+-").isdigit():
            return self._count(int(argument))
        shares = Schedule(float, Number(below=1.0), False, True)
        try:
            found = shares.parse(argument)
        except ValueError as error:
            raise ValueError(f"must be {self.syntactic_help}") from error
        return found.value if isinstance(found, Constant) else found

    def _count(self, count: int) -> int:
        if count < 1:
            raise ValueError(f"must be {self.syntactic_help}")
        if count > LARGEST_INT:
            raise ValueError(f"must be at most {LARGEST_INT}")
        return count


class Period(Schedule):
    """Parses a schedule of steps, or `auto`."""

    def __init__(self) -> None:
        super().__init__(int, Number(lower=1), by_epoch=True, ramps=True)
        self.syntactic_help = f"{AUTO}, {self.syntactic_help}"

    def parse(self, argument: Any) -> Any:
        return AUTO if argument == AUTO else super().parse(argument)


class GranularityName(flags.ArgumentParser):
    """Parses what moves as one, and returns its name."""

    syntactic_help = "weight, kernel or ROWSxCOLUMNS, such as 16x16"

    def parse(self, argument: Any) -> str:
        try:
            return str(Granularity.of(argument))
        except ValueError as error:
            raise ValueError(f"must be {self.syntactic_help}") from error


class ModelName(flags.ArgumentParser):
    """Parses the name of a network, without looking for files or modules."""

    syntactic_help = (
        f"{', '.join(MODELS)}, a name of keras.applications, such as "
        "MobileNetV2, a .keras file, or module:function"
    )

    def parse(self, argument: Any) -> str:
        name = str(argument)
        if "\0" in name:
            raise ValueError("must not hold a null byte")
        if is_own(name) and not is_file(name) and not is_function(name):
            near = near_applications(name)
            if near != [name]:
                hint = f"; near: {', '.join(near)}" if near else ""
                raise ValueError(f"must be {self.syntactic_help}{hint}")
        return name


def _has_until(argument: Any) -> bool:
    kind, *parts = str(argument).split(":")
    return kind in schedules.RAMPS and len(parts) == 3


def _schedule_help(number: type, bounds: Number, ramps: bool) -> str:
    limits = bounds.syntactic_help.removeprefix("a number ")
    text = (
        f"one {number.__name__} {limits}, or a schedule of EPOCH:VALUE with an "
        "entry for epoch 0, such as 0:8,25:4"
    )
    if not ramps:
        return text
    more = "or share:SHARE:VALUE, such as share:0:8,0.5:4"
    return f"{text}, or KIND:START:END, such as cosine:8:4, {more}"


def define_number(
    name: str, default: float | None, help: str, **bounds: Any
) -> Any:
    """Defines a flag of a `Number`."""
    return flags.DEFINE(
        Number(**bounds),
        name,
        default,
        help,
        serializer=flags.ArgumentSerializer(),
    )


def define_amount(name: str, default: Any, help: str) -> Any:
    """Defines a flag of an `Amount`."""
    return flags.DEFINE(
        Amount(), name, default, help, serializer=flags.ArgumentSerializer()
    )


def define_schedule(
    name: str,
    default: Any,
    help: str,
    number: type = float,
    by_epoch: bool = True,
    ramps: bool = True,
    ends_at_lower: bool = False,
    **bounds: Any,
) -> Any:
    """Defines a flag of a `Schedule`."""
    return flags.DEFINE(
        Schedule(number, Number(**bounds), by_epoch, ramps, ends_at_lower),
        name,
        default,
        help,
        serializer=flags.ArgumentSerializer(),
    )
