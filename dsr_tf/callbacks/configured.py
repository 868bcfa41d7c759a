"""Callbacks as configs: plain values that a file can hold."""

import functools
import inspect
from collections.abc import Mapping
from typing import Any
from typing import Self

from dsr_tf.checks import of_python
from dsr_tf.schedules import ByEpoch
from dsr_tf.schedules import ByShare
from dsr_tf.schedules import Constant
from dsr_tf.schedules import FromEpoch
from dsr_tf.schedules import Ramp
from dsr_tf.schedules import Times
from dsr_tf.schedules import parse

_SCHEDULE, _BY_EPOCH, _FROM_EPOCH = "schedule", "by_epoch", "from_epoch"


class Configured:
    """Gives classes `get_config` and `from_config`, from their arguments."""

    _given: dict[str, Any]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            cls.__init__ = _remembering(cls.__init__)  # type: ignore

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that it was made with, as JSON can hold them.

        Raises:
            ValueError: If one is an object of the user's own, such as a
                function.
        """
        return {name: _plain(name, x) for name, x in self._given.items()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Makes a callback from what `get_config` returned."""
        return cls(**{name: _read(x) for name, x in config.items()})


def _remembering(init: Any) -> Any:
    """Returns a constructor that remembers its arguments."""
    signature = inspect.signature(init)

    @functools.wraps(init)
    def remembering(self: Any, *args: Any, **kwargs: Any) -> None:
        # That of a class derived from this one calls this one, too.
        if "_given" not in vars(self):
            self._given = _given(signature, self, *args, **kwargs)
        init(self, *args, **kwargs)

    return remembering


def _given(
    signature: inspect.Signature, *args: Any, **kwargs: Any
) -> dict[str, Any]:
    """Returns the arguments but the first, by the names that they go by."""
    bound = signature.bind(*args, **kwargs).arguments
    _, *names = bound
    found: dict[str, Any] = {}
    for name in names:
        kind = signature.parameters[name].kind
        others = kind is inspect.Parameter.VAR_KEYWORD
        found |= bound[name] if others else {name: bound[name]}
    return found


def _plain(name: str, value: Any) -> Any:
    value = of_python(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, FromEpoch):
        return {_FROM_EPOCH: value.epoch}
    if isinstance(value, Constant | ByEpoch | ByShare | Ramp | Times):
        return {_SCHEDULE: str(value)}
    if isinstance(value, Mapping):
        return {_BY_EPOCH: [[int(x), of_python(y)] for x, y in value.items()]}
    raise ValueError(
        f"`{name}` must be a number, a text, a mapping or a schedule of "
        f"`dsr_tf.schedules` for a config. Received: {name}={value!r}"
    )


def _read(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    ((kind, own),) = value.items()
    if kind == _SCHEDULE:
        return parse(own, _number)
    return FromEpoch(own) if kind == _FROM_EPOCH else dict(own)


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)
