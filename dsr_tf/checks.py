"""Checks of arguments, with the same messages everywhere."""

import math
import re
from collections.abc import Callable
from collections.abc import Sequence
from numbers import Integral
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np


def is_integer(value: Any) -> bool:
    """Tells whether a value is an integer, of Python or NumPy, and no bool."""
    return _is(value, Integral)


def is_number(value: Any) -> bool:
    """Tells whether a value is a number, of Python or NumPy, and no bool."""
    return _is(value, Real)


def of_python(value: Any) -> Any:
    """Returns a NumPy number as one of Python, and anything else as it is."""
    return value.item() if isinstance(value, np.generic) else value


def keep(owner: Any, **values: Any) -> None:
    """Stores checked values in a frozen dataclass.

    NumPy's numbers compute otherwise: `1 - np.float32(0.9)` in 32 bits, and
    `4 * np.uint8(100)` fails.

    Args:
        owner: The dataclass.
        **values: Its new values, by the names of its fields.
    """
    for name, value in values.items():
        object.__setattr__(owner, name, value)


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
    if is_integer(value) and value >= minimum:
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
    if is_integer(value) and 0 <= value < 2**31:
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
    if is_number(value) and 0.0 <= value < 1.0:
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
    if is_number(value) and math.isfinite(value):
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
    # Not `in`: an array is equal to nothing, and to everything in part.
    if any(isinstance(value, type(x)) and value == x for x in choices):
        return value
    raise ValueError(
        f"`{name}` must be one of {tuple(choices)}. Received: {name}={value!r}"
    )


def checked_switch(name: str, value: Any) -> bool:
    """Returns yes or no as a `bool`.

    Raises:
        ValueError: If `value` is not True or False, or 1 or 0.
    """
    if isinstance(value, bool | np.bool_ | Integral) and value in (0, 1):
        return bool(value)
    raise ValueError(
        f"`{name}` must be True or False. Received: {name}={value!r}"
    )


def checked_path(name: str, value: Any) -> Path:
    """Returns a path as a `Path`.

    Raises:
        ValueError: If `value` is neither a text nor a path, or a remote one,
            or holds a null byte.
    """
    checked_kind(name, value, str | Path, "a path")
    if str(value) == "":
        raise ValueError(f"`{name}` must be a path. Received: {name}=''")
    if "\0" in str(value):
        raise ValueError(
            f"`{name}` must be a path, without a null byte. "
            f"Received: {name}={str(value)!r}"
        )
    if is_remote(value):
        raise ValueError(
            f"`{name}` must be a path of this machine: files are not written "
            f"to remote places. Received: {name}={value}"
        )
    return Path(value)


def is_remote(path: str | Path) -> bool:
    """Tells whether a path names a remote place, such as `gs://bucket/run`."""
    # `Path` leaves one of the two slashes.
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(path)) is not None


def checked_folder(name: str, value: Any) -> Path:
    """Returns the path of a folder, which need not be there yet.

    Raises:
        ValueError: If `value` is no path, or that of a file.
    """
    path = checked_path(name, value)
    if path.exists() and not path.is_dir():
        raise ValueError(
            f"`{name}` must be a folder. Received: {name}={path}, a file"
        )
    return path


def checked_function(name: str, value: Any, optional: bool = False) -> Any:
    """Returns a function, or whatever else can be called.

    Args:
        name: Name of the argument, for the message.
        value: What was passed.
        optional: Whether None is allowed.

    Raises:
        ValueError: If `value` cannot be called.
    """
    return checked_kind(name, value, Callable, "a function", optional)


def checked_kind(
    name: str, value: Any, kind: Any, what: str, optional: bool = False
) -> Any:
    """Returns an object of a class.

    Args:
        name: Name of the argument, for the message.
        value: What was passed.
        kind: The class, or a union of several.
        what: The class in words, with its article.
        optional: Whether None is allowed.

    Raises:
        ValueError: If `value` is of another class.
    """
    if isinstance(value, kind) or (optional and value is None):
        return value
    raise ValueError(
        f"`{name}` must be {what}{', or None' if optional else ''}. "
        f"Received: {name}={value!r}"
    )


def checked_list(name: str, value: Any, kind: Any, what: str) -> list[Any]:
    """Returns a sequence of objects of a class as a list.

    Args:
        name: Name of the argument, for the message.
        value: What was passed.
        kind: Class of the objects.
        what: The sequence in words, with its article.

    Raises:
        ValueError: If `value` is no list or tuple of such objects.
    """
    is_list = isinstance(value, list | tuple)
    if is_list and all(isinstance(x, kind) for x in value):
        return list(value)
    raise ValueError(f"`{name}` must be {what}. Received: {name}={value!r}")


def first_line(error: Exception) -> str:
    """Returns the kind of an error and the first line of its message."""
    lines = [x for x in str(error).splitlines() if x.strip()] or [""]
    return f"{type(error).__name__}: {lines[0].strip().rstrip(':')}"


def _is(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)
