"""What the program prints at its end, and its exit status."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from dsr_tf import launch
from dsr_tf.reports.texts import visible

FAILED = 1
BAD_FLAGS = 2
# As of programs that SIGPIPE ends.
UNREAD = 141


def fail(message: str, status: int) -> NoReturn:
    """Ends the program with one line, whatever the message holds."""
    say(message)
    sys.exit(status)


def say(message: str) -> None:
    """Prints one line on the program's end."""
    try:
        sys.stdout.flush()
    except OSError:
        _drop_output()
    lines = [x.strip() for x in message.splitlines()]
    line = visible(" ".join(filter(None, lines)))
    print(f"{launch.name()}: {line}", file=sys.stderr, flush=True)


@contextmanager
def to_a_reader() -> Iterator[None]:
    """Ends the program quietly when nobody reads on, as with `head`."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        sys.exit(UNREAD)


def _drop_output() -> None:
    """Sends what is still unwritten nowhere; Python would try once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
