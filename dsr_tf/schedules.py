"""Schedules: numbers that change while a network trains.

A schedule is any function from a `Moment` to a number. The schedules of this
file have a text form, for the command line and for the settings of a run:

| text | schedule |
|---|---|
| `0.1` | `Constant(0.1)` |
| `0:0.1,25:0.02` | `ByEpoch(((0, 0.1), (25, 0.02)))` |
| `linear:0.5:0.1` | `Linear(0.5, 0.1)`, over the whole training |
| `cosine:0.3:0:0.75` | `Cosine(0.3, 0, 0.75)`, over its first three quarters |
| `cubic:0:0.9:0.5` | `Cubic(0, 0.9, 0.5)`, over its first half |
| `exponential:0.1:0.001` | `Exponential(0.1, 0.001)` |
| `share:0:0.5,0.75:0` | `ByShare(((0, 0.5), (0.75, 0)))` |
| `times:100` | `Times(100)`, a period |
"""

import math
from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dsr_tf.checks import checked_count
from dsr_tf.checks import checked_fraction
from dsr_tf.checks import checked_function
from dsr_tf.checks import checked_kind
from dsr_tf.checks import checked_number
from dsr_tf.checks import is_integer
from dsr_tf.checks import is_number
from dsr_tf.checks import keep
from dsr_tf.checks import of_python


@dataclass(frozen=True)
class Moment:
    """A position in a training.

    Args:
        step: Optimizer steps taken so far.
        epoch: Epoch, counted from 0; None where it is not known.
        num_steps: Optimizer steps of the whole training; None where that is
            not known.
    """

    step: int
    epoch: int | None = None
    num_steps: int | None = None


Schedule = Callable[[Moment], Any]


@dataclass(frozen=True)
class Constant:
    """Always the same value."""

    value: Any

    def __post_init__(self) -> None:
        keep(self, value=of_python(self.value))

    def __call__(self, moment: Moment) -> Any:
        return self.value

    @property
    def values(self) -> tuple[Any, ...]:
        """All values of the schedule."""
        return (self.value,)

    def __str__(self) -> str:
        return f"{self.value}"


@dataclass(frozen=True)
class ByEpoch:
    """Gives a new value from certain epochs on.

    Args:
        entries: Pairs of epoch and value, the first for epoch 0, the epochs
            rising; or a mapping, `{from_epoch: value}`, in any order.

    Raises:
        ValueError: If the epochs do not begin at 0 or do not rise; at a call,
            if the epoch is not known.
    """

    entries: Any

    def __post_init__(self) -> None:
        entries = _pairs(self.entries, checked_count, "epoch")
        epochs = [epoch for epoch, _ in entries]
        if epochs[:1] != [0] or epochs != sorted(set(epochs)):
            raise ValueError(
                "`entries` must have an entry for epoch 0 and rising epochs. "
                f"Received: entries={self.entries}"
            )
        keep(self, entries=entries)

    def __call__(self, moment: Moment) -> Any:
        if moment.epoch is None:
            raise ValueError(
                "A schedule by epoch needs to know the epoch. Give the "
                "`Reallocator` its `steps_per_epoch`. "
                f"Received: the schedule {self} at step {moment.step}"
            )
        return [v for start, v in self.entries if start <= moment.epoch][-1]

    @property
    def values(self) -> tuple[Any, ...]:
        """All values of the schedule."""
        return tuple(value for _, value in self.entries)

    def __str__(self) -> str:
        return ",".join(f"{epoch}:{value}" for epoch, value in self.entries)


@dataclass(frozen=True)
class Ramp:
    """Goes from one value to another, along a curve, and stays there.

    Args:
        start: Value before the first step.
        end: Value from `until` on.
        until: Where it ends: a share of the training, a float in `(0, 1]`, or
            an optimizer step, an integer of at least 2.

    Raises:
        ValueError: If an argument is out of its range; at a call, if `until`
            is a share and the length of the training is not known.
    """

    start: float
    end: float
    until: float = 1.0

    def __post_init__(self) -> None:
        keep(
            self,
            start=_checked_value("start", self.start),
            end=_checked_value("end", self.end),
            until=checked_until("until", self.until),
        )

    def curve(self, x: float) -> float:
        """Returns the share of the change, from 0 to 1, at time share `x`."""
        raise NotImplementedError

    def __call__(self, moment: Moment) -> float:
        end = _resolved(self.until, moment)
        return self.at(min(moment.step / end, 1.0))

    def at(self, x: float) -> float:
        """Returns the value at a share of the way, in `[0, 1]`."""
        if x >= 1.0:
            return self.end
        return self.start + (self.end - self.start) * self.curve(x)

    @property
    def values(self) -> tuple[float, ...]:
        """The values between which all others lie."""
        return (self.start, self.end)

    def __str__(self) -> str:
        parts = [self.start, self.end]
        parts += [] if self.until == 1.0 else [self.until]
        return ":".join([type(self).__name__.lower(), *map(str, parts)])


class Linear(Ramp):
    """A straight line: the curve is `x`."""

    def curve(self, x: float) -> float:
        return x


class Cosine(Ramp):
    """Half a cosine: the curve is `(1 - cos(pi * x)) / 2`.

    Reference:
        [Dettmers & Zettlemoyer, 2019](https://arxiv.org/abs/1907.04840).
    """

    def curve(self, x: float) -> float:
        return (1 - math.cos(math.pi * x)) / 2


class Cubic(Ramp):
    """Fast at first: the curve is `1 - (1 - x)³`.

    Reference:
        [Zhu & Gupta, 2017](https://arxiv.org/abs/1710.01878), equation 1.
    """

    def curve(self, x: float) -> float:
        return 1 - (1 - x) ** 3


class Exponential(Ramp):
    """Equal factors in equal times: `start * (end / start)^x`, both above 0."""

    def __post_init__(self) -> None:
        super().__post_init__()
        checked_number("start", self.start, positive=True)
        checked_number("end", self.end, positive=True)

    def at(self, x: float) -> float:
        if x >= 1.0:
            return self.end
        return self.start * (self.end / self.start) ** x


@dataclass(frozen=True)
class ByShare:
    """Gives a new value from certain shares of the training on.

    Args:
        entries: Pairs of share and value, the first for share 0, the shares
            rising and below 1; or a mapping, `{from_share: value}`.

    Raises:
        ValueError: If the shares do not begin at 0 or do not rise; at a call,
            if the length of the training is not known.
    """

    entries: Any

    def __post_init__(self) -> None:
        entries = _pairs(self.entries, checked_fraction, "share")
        shares = [share for share, _ in entries]
        if shares[:1] != [0] or shares != sorted(set(shares)):
            raise ValueError(
                "`entries` must have an entry for share 0 and rising shares. "
                f"Received: entries={self.entries}"
            )
        keep(self, entries=entries)

    def __call__(self, moment: Moment) -> Any:
        length = _resolved(1.0, moment)
        return [v for x, v in self.entries if x * length <= moment.step][-1]

    @property
    def values(self) -> tuple[Any, ...]:
        """All values of the schedule."""
        return tuple(value for _, value in self.entries)

    def __str__(self) -> str:
        pairs = ",".join(f"{share}:{value}" for share, value in self.entries)
        return f"share:{pairs}"


# The period of a training whose length is not known.
_UNKNOWN = 100


@dataclass(frozen=True)
class Times:
    """A period: what comes so many times in a training, at equal distances.

    Where the length of the training is not known, the period is 100 steps.

    Args:
        times: How often, at least 1.
        least: Fewest optimizer steps between two, at least 1, but never more
            than a quarter of the training: short trainings have fewer of them.

    Raises:
        ValueError: If an argument is out of its range.
    """

    times: int = 100
    least: int = 10

    def __post_init__(self) -> None:
        keep(
            self,
            times=checked_count("times", self.times, minimum=1),
            least=checked_count("least", self.least, minimum=1),
        )

    def __call__(self, moment: Moment) -> int:
        if moment.num_steps is None:
            return _UNKNOWN
        least = min(self.least, moment.num_steps // 4)
        return max(1, least, round(moment.num_steps / self.times))

    @property
    def values(self) -> tuple[int, ...]:
        """The smallest value that there may be."""
        return (self.least,)

    def __str__(self) -> str:
        least = "" if self.least == 10 else f":{self.least}"
        return f"times:{self.times}{least}"


DEFAULT_PERIOD = Times()
RAMPS = {x.__name__.lower(): x for x in (Linear, Cosine, Cubic, Exponential)}


@dataclass(frozen=True)
class FromEpoch:
    """An end, given as an epoch.

    Args:
        epoch: First epoch after the end, counted from 0.
    """

    epoch: int

    def __post_init__(self) -> None:
        keep(self, epoch=checked_count("epoch", self.epoch))


End = int | float | FromEpoch | None
# The end of the training: what grows in its very last step would stay 0.
WHOLE = 1.0


def is_whole(end: End) -> bool:
    """Tells whether an end is that of the training."""
    return isinstance(end, float) and end == WHOLE


def checked_end(name: str, end: Any) -> End:
    """Returns an end, with numbers of Python.

    Args:
        name: Name of the argument, for the message.
        end: An optimizer step, an integer; a share of the training, a float in
            `(0, 1]`; a `FromEpoch`; or None for never.

    Raises:
        ValueError: If it is none of these.
    """
    if end is None or isinstance(end, FromEpoch):
        return end
    return _checked_part(name, end, minimum=0)


def has_ended(end: End, moment: Moment) -> bool:
    """Tells whether an end has been reached.

    Raises:
        ValueError: If the moment lacks the epoch, or the length of the
            training, that the end needs. The end of a training of unknown
            length needs none: it has not been reached.
    """
    if end is None or (is_whole(end) and moment.num_steps is None):
        return False
    if isinstance(end, FromEpoch):
        if moment.epoch is None:
            raise ValueError(
                "A stop at an epoch needs to know the epoch. Give the "
                f"`Reallocator` its `steps_per_epoch`. Received: stop={end}"
            )
        return moment.epoch >= end.epoch
    return moment.step >= _resolved(end, moment)


def as_schedule(
    name: str, value: Any, check: Callable[[str, Any], Any]
) -> Schedule:
    """Returns an argument as a schedule, and checks its values.

    Args:
        name: Name of the argument, for messages.
        value: A number; `{from_epoch: number}`; or a schedule. The values of a
            user's own function are not known in advance, and not checked.
        check: Takes the name and a value, and returns the value or raises a
            ValueError.

    Raises:
        ValueError: If a value is refused, or the epochs do not begin at 0.
    """
    if isinstance(value, Mapping):
        return _by_epoch(name, value, check)
    if isinstance(value, Constant):
        value = value.value
    if isinstance(value, ByEpoch):
        return _by_epoch(name, dict(value.entries), check)
    if isinstance(value, ByShare):
        return ByShare(tuple((x, check(name, v)) for x, v in value.entries))
    if isinstance(value, Ramp | Times):
        for number in value.values:
            check(name, number)
        return value
    if callable(value):
        return value
    return Constant(check(name, value))


def _pairs(
    entries: Any, check: Callable[[str, Any], Any], what: str
) -> tuple[tuple[Any, Any], ...]:
    """Returns pairs of a start and a value, those of a mapping in order."""
    is_mapping = isinstance(entries, Mapping)
    pairs = list(entries.items()) if is_mapping else entries
    if not isinstance(pairs, list | tuple) or not all(map(_is_pair, pairs)):
        raise ValueError(
            f"`entries` must be pairs of {what} and value, or a mapping from "
            f"{what}s to values. Received: entries={entries!r}"
        )
    checked = [
        (check(f"entries' {what}s", x), of_python(value)) for x, value in pairs
    ]
    return tuple(sorted(checked, key=lambda x: x[0]) if is_mapping else checked)


def _is_pair(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2


def _by_epoch(
    name: str, value: Mapping[int, Any], check: Callable[[str, Any], Any]
) -> ByEpoch:
    for epoch in value:
        checked_count(f"{name}'s epochs", epoch)
    if 0 not in value:
        raise ValueError(
            f"`{name}` must have a value for epoch 0. "
            f"Received: {name}={dict(value)}"
        )
    return ByEpoch({epoch: check(name, v) for epoch, v in value.items()})


def parse(text: str, number: Callable[[str], Any] = float) -> Any:
    """Reads a schedule from its text form: see the top of this file.

    Args:
        text: The text.
        number: Reads one value: `int` or `float`.

    Raises:
        ValueError: If the text has none of these forms.
    """
    checked_kind("text", text, str, "a text")
    checked_function("number", number)
    try:
        return _parsed(text, number)
    # Of too many parts: there are no more arguments.
    except (ValueError, TypeError) as error:
        raise ValueError(
            "A schedule must be written as a number; by epoch, as "
            "'0:0.1,25:0.02'; by share, as 'share:0:0.1,0.5:0.02'; a period "
            "as 'times:100'; or as 'linear:0.5:0.1' or "
            f"'linear:0.5:0.1:0.75', with one of {', '.join(RAMPS)}. "
            f"Received: {text!r} ({error})"
        ) from error


def _parsed(text: str, number: Callable[[str], Any]) -> Any:
    name, _, rest = text.partition(":")
    if name in RAMPS:
        start, end, *until = rest.split(":")
        return RAMPS[name](number(start), number(end), *map(_until, until))
    if name == "times":
        return Times(*map(int, rest.split(":")))
    if name == "share":
        pairs = [part.split(":") for part in rest.split(",")]
        return ByShare(tuple((float(x), number(value)) for x, value in pairs))
    if ":" not in text:
        return Constant(number(text))
    pairs = [part.split(":") for part in text.split(",")]
    return ByEpoch(tuple((int(epoch), number(value)) for epoch, value in pairs))


def identity(schedule: Any) -> str:
    """Returns a text that is equal for equal schedules in every process."""
    if isinstance(schedule, Constant | ByEpoch | ByShare | Ramp | Times):
        return str(schedule)
    return getattr(schedule, "__qualname__", type(schedule).__qualname__)


def _until(text: str) -> float:
    return int(text) if text.isdigit() and text != "1" else float(text)


def checked_until(name: str, until: Any) -> int | float:
    """Returns where a ramp ends, as a number of Python.

    Args:
        name: Name of the argument, for the message.
        until: A share of the training, a float in `(0, 1]`, or an optimizer
            step, an integer of at least 2.

    Raises:
        ValueError: If it is neither.
    """
    # An integer 1 is meant to be the whole: nobody ends a ramp at step 1.
    return _checked_part(name, until, minimum=2)


def _checked_part(name: str, value: Any, minimum: int) -> int | float:
    """Returns a share of the training, or a step of it."""
    if is_integer(value) and value >= minimum:
        return int(value)
    if is_number(value) and not is_integer(value) and 0.0 < value <= 1.0:
        return float(value)
    raise ValueError(
        f"`{name}` must be a share of the training, a float in (0, 1], or "
        f"an optimizer step, an integer of at least {minimum}. "
        f"Received: {name}={value!r}"
    )


def _checked_value(name: str, value: Any) -> int | float:
    checked_number(name, value)
    # A period, and its text, keep their integers.
    return int(value) if is_integer(value) else float(value)


def _resolved(until: float, moment: Moment) -> float:
    if not isinstance(until, float):
        return until
    if moment.num_steps is None:
        raise ValueError(
            "A share of the training needs to know its length. Give `fit` its "
            "`steps_per_epoch`, or a `Reallocator` its `num_steps`; or take a "
            "step instead of a share. "
            f"Received: a share of {until} at step {moment.step}"
        )
    return until * moment.num_steps
