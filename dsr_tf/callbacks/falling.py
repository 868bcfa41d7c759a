"""A fraction of weights to move that falls until masks stop changing."""

from typing import Any

from dsr_tf.schedules import Cosine
from dsr_tf.schedules import End
from dsr_tf.schedules import FromEpoch
from dsr_tf.schedules import Schedule
from dsr_tf.schedules import checked_until

_STOP = 0.75


def falling(
    fraction: float, stop_epoch: int | None, stop: End
) -> tuple[float | Schedule, End]:
    """Returns a fraction that falls to 0, and when masks stop changing.

    Args:
        fraction: What it begins with.
        stop_epoch: The end as an epoch, with which it does not fall; or None.
        stop: The end, or None for three quarters of the training.
    """
    if stop_epoch is not None or isinstance(stop, FromEpoch):
        return fraction, stop
    end = _STOP if stop is None else stop
    return falling_until(fraction, end), end


def falling_until(fraction: float, stop: Any) -> Schedule:
    """Returns a fraction that falls to 0 along half a cosine.

    Args:
        fraction: What it begins with.
        stop: The end: a share of the training, or an optimizer step.
    """
    # Here, as the schedule would call it `until`.
    return Cosine(fraction, 0.0, checked_until("stop", stop))
