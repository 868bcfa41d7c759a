"""A fraction of weights to move that falls until masks stop changing."""

from dsr_tf.schedules import Cosine
from dsr_tf.schedules import End
from dsr_tf.schedules import FromEpoch
from dsr_tf.schedules import Schedule
from dsr_tf.schedules import checked_end

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
    checked_end("stop", stop)
    end = _STOP if stop is None else stop
    return Cosine(fraction, 0.0, end), end
