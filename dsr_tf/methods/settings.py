"""The settings of a method: each has a default, a help line and a range."""

import dataclasses
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_KEY = "setting"
# Bounds are exclusive.
_ABOVE_1 = 1.0 + 2.0**-52


class Amount:
    """The kind of a setting that is a count, or a share, or a schedule of it.

    A count is an integer; a share is a float in `[0, 1)`.
    """


@dataclass(frozen=True)
class Setting:
    """The facts about one field of a dataclass of settings.

    Args:
        name: Name of the field, and of the flag.
        default: Its default.
        help: One line of help.
        kind: `int`, `float`, `str`, `bool` or `Amount`.
        lower: For numbers, the smallest value.
        below: For numbers, the limit that values must be below, or None.
        above: Whether `lower` itself is refused.
        choices: For texts, the allowed values.
        scheduled: Whether it may be a schedule.
    """

    name: str
    default: Any
    help: str
    kind: type
    lower: float = 0.0
    below: float | None = None
    above: bool = False
    choices: tuple[str, ...] = ()
    scheduled: bool = False


def count(default: int, help: str, minimum: int = 1) -> Any:
    """Makes a field for a count of at least `minimum`."""
    return _field(default, help=help, kind=int, lower=minimum)


def amount(default: Any, help: str) -> Any:
    """Makes a field for a count of at least 1, a share, or its schedule."""
    return _field(default, help=help, kind=Amount, below=1.0)


def fraction(default: float, help: str) -> Any:
    """Makes a field for a fraction in `[0, 1)`."""
    return _field(default, help=help, kind=float, below=1.0)


def share(default: float, help: str) -> Any:
    """Makes a field for a share of the training, above 0 and at most 1."""
    return _field(default, help=help, kind=float, above=True, below=_ABOVE_1)


def number(default: float | None, help: str, above: bool = False) -> Any:
    """Makes a field for a number of at least 0, or above 0."""
    return _field(default, help=help, kind=float, above=above)


def scheduled_fraction(default: Any, help: str) -> Any:
    """Makes a field for a fraction in `[0, 1)`, or a schedule of it."""
    return _field(default, help=help, kind=float, below=1.0, scheduled=True)


def scheduled_number(default: Any, help: str) -> Any:
    """Makes a field for a number of at least 0, or a schedule of it."""
    return _field(default, help=help, kind=float, scheduled=True)


def choice(default: str, choices: Sequence[str], help: str) -> Any:
    """Makes a field for one of some texts."""
    return _field(default, help=help, kind=str, choices=tuple(choices))


def switch(default: bool, help: str) -> Any:
    """Makes a field for yes or no."""
    return _field(default, help=help, kind=bool)


def settings_of(settings: type) -> Iterator[Setting]:
    """Yields the facts about each field of a dataclass of settings."""
    for own in dataclasses.fields(settings):
        yield Setting(own.name, own.default, **own.metadata[_KEY])


def _field(default: Any, **facts: Any) -> Any:
    return dataclasses.field(default=default, metadata={_KEY: facts})
