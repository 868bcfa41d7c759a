"""Values that change at given epochs."""

from collections.abc import Mapping
from typing import TypeVar

from dsr_tf.checks import checked_count

Number = TypeVar("Number", int, float)


def piecewise(schedule: Mapping[int, Number], epoch: int) -> Number:
    """Returns the value that a schedule gives an epoch.

    Args:
        schedule: Value from each epoch on, `{from_epoch: value}`, as checked
            by `validate`.
        epoch: Epoch, counted from 0.

    Returns:
        Value of the latest entry that is not after `epoch`.
    """
    return schedule[max(start for start in schedule if start <= epoch)]


def validate(name: str, schedule: Mapping[int, float]) -> None:
    """Refuses a schedule that does not give every epoch a value.

    Args:
        name: Name of the argument, for the message.
        schedule: `{from_epoch: value}`.

    Raises:
        ValueError: If there is no entry for epoch 0, or an epoch is not a
            non-negative integer.
    """
    for epoch in schedule:
        checked_count(f"{name}'s epochs", epoch)
    if 0 not in schedule:
        raise ValueError(
            f"`{name}` must have a value for epoch 0. "
            f"Received: {name}={schedule}"
        )
