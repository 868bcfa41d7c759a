"""Signals that wait until workers can end together."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_NAMES = ("SIGTERM", "SIGINT", "SIGUSR1", "SIGHUP")
_ENDING = {getattr(signal, x) for x in _NAMES if hasattr(signal, x)}


@contextmanager
def held_signals() -> Iterator[None]:
    """Lets signals that end a job wait until the block has ended.

    A worker that ended while others start TensorFlow with it would keep them
    waiting there, where they hear nothing.
    """
    before = _mask(signal.SIG_BLOCK, _ENDING)
    try:
        yield
    finally:
        _mask(signal.SIG_SETMASK, before)


def let_through() -> None:
    """Within `held_signals`: handles the signals that wait."""
    before = _mask(signal.SIG_UNBLOCK, _ENDING)
    _mask(signal.SIG_SETMASK, before)


def _mask(how: Any, signals: Any) -> Any:
    # Not all systems have it.
    if hasattr(signal, "pthread_sigmask"):
        return signal.pthread_sigmask(how, signals)
    return set()
