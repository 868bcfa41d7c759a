"""How far a training has come, on a terminal."""

import sys
import time
from typing import Any

import keras

# Seconds between two drawings, and of an epoch before the first.
_PAUSE = 0.5
_WIDTH = 20
# To the beginning of the line, and empties it.
_CLEAR = "\r\x1b[K"


class Progress(keras.callbacks.Callback):
    """Draws a bar within epochs, and the time that is left of the training.

    It writes to a terminal alone, so that logs stay as they are. List it before
    the callbacks that print: it takes its bar away at the end of an epoch.

    Args:
        epochs: Epochs of the whole training.
        steps: Batches in an epoch.
        stream: Where to write; None for the standard output.
    """

    def __init__(self, epochs: int, steps: int, stream: Any = None) -> None:
        super().__init__()
        self.epochs, self.steps = epochs, steps
        self._stream = stream or sys.stdout
        self._is_shown = self._stream.isatty()
        self._epoch = 0
        self._begin: tuple[float, int] | None = None
        self._next = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch
        self._next = time.monotonic() + _PAUSE

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        now = time.monotonic()
        done = self._epoch * self.steps + batch + 1
        if self._begin is None:
            # The first batches compile the step: they tell no speed.
            self._begin = now, done
        if self._is_shown and now >= self._next:
            self._next = now + _PAUSE
            self._write(_CLEAR + self._line(batch + 1, done, now))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._clear()

    def on_test_begin(self, logs: Any = None) -> None:
        self._clear()

    def on_train_end(self, logs: Any = None) -> None:
        self._clear()

    def _line(self, step: int, done: int, now: float) -> str:
        filled = _WIDTH * step // self.steps
        bar = "#" * filled + "." * (_WIDTH - filled)
        text = (
            f"epoch {self._epoch + 1}/{self.epochs} [{bar}] {step}/{self.steps}"
        )
        assert self._begin is not None
        since, first = self._begin
        if done == first:
            return text
        left = (
            (now - since) / (done - first) * (self.epochs * self.steps - done)
        )
        return f"{text}  {duration(left)} left"

    def _clear(self) -> None:
        if self._is_shown:
            self._write(_CLEAR)

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def duration(seconds: float) -> str:
    """Returns a time in its two largest units, such as `3 h 20 min`."""
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
