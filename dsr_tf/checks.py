"""Checks of arguments, with the same messages everywhere."""

import math
from collections.abc import Sequence
from numbers import Integral
from numbers import Real
from typing import Any


def checked_count(
    name: str, value: Any, minimum: int = 0, optional: bool = False
) -> Any:
    """Returns a count as an `int`.

    Args:
        name: Name of the argument, for the message.
        value: What was passed; Python and NumPy integers are counts.
        minimum: Smallest count allowed.
        optional: Whether None is allowed.

    Raises:
        ValueError: If `value` is not such a count.
    """
    if optional and value is None:
        return None
    if _is(value, Integral) and value >= minimum:
        return int(value)
    raise ValueError(
        f"`{name}` must be an integer of at least {minimum}"
        f"{', or None' if optional else ''}. Received: {name}={value!r}"
    )


def checked_seed(value: Any) -> int:
    """Returns a seed as an `int` that fits TensorFlow's int32 seeds.

    Raises:
        ValueError: If `value` is not an integer from 0 to 2**31 - 1.
    """
    if _is(value, Integral) and 0 <= value < 2**31:
        return int(value)
    raise ValueError(
        "`seed` must be an integer from 0 to 2**31 - 1. "
        f"Received: seed={value!r}"
    )


def checked_fraction(name: str, value: Any) -> float:
    """Returns a fraction in `[0, 1)` as a `float`.

    Raises:
        ValueError: If `value` is not such a number.
    """
    if _is(value, Real) and 0.0 <= value < 1.0:
        return float(value)
    raise ValueError(
        f"`{name}` must be a fraction in [0, 1). Received: {name}={value!r}"
    )


def checked_number(name: str, value: Any, positive: bool = False) -> float:
    """Returns a finite number, at least 0 or above 0, as a `float`.

    Args:
        name: Name of the argument, for the message.
        value: What was passed.
        positive: Whether 0 is refused.

    Raises:
        ValueError: If `value` is not such a number.
    """
    if _is(value, Real) and math.isfinite(value):
        if value > 0 or (value == 0 and not positive):
            return float(value)
    raise ValueError(
        f"`{name}` must be a number {'above' if positive else 'of at least'} "
        f"0. Received: {name}={value!r}"
    )


def checked_choice(name: str, value: Any, choices: Sequence[Any]) -> Any:
    """Returns one of some choices.

    Raises:
        ValueError: If `value` is none of them.
    """
    if value in choices:
        return value
    raise ValueError(
        f"`{name}` must be one of {tuple(choices)}. Received: {name}={value!r}"
    )


def _is(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)
