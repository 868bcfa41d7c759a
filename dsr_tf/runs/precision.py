"""The precision that networks are built with."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras


@contextmanager
def precision(kind: str | None) -> Iterator[None]:
    """Lets networks compute in 16 bits that are built within.

    Args:
        kind: `"float16"` or `"bfloat16"`; None changes nothing.
    """
    if kind is None:
        yield
        return
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(f"mixed_{kind}")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
