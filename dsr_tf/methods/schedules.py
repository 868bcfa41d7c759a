"""Values that change at given epochs."""

from collections.abc import Mapping
from typing import TypeVar

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
    epochs_valid = all(_is_count(epoch) for epoch in schedule)
    if not epochs_valid or 0 not in schedule:
        raise ValueError(
            f"`{name}` must map epochs, counted from 0, to values, and have "
            f"an entry for epoch 0. Received: {name}={schedule}"
        )


def _is_count(epoch: object) -> bool:
    return isinstance(epoch, int) and not isinstance(epoch, bool) and epoch >= 0
