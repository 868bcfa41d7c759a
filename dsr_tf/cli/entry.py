"""The program: it parses flags, runs one mode, and exits with a status."""

import contextlib
import io
import os
import signal
import sys
from collections.abc import Iterator
from collections.abc import Sequence
from typing import NoReturn

import tensorflow as tf
from absl import app
from absl import flags
from absl import logging

from dsr_tf.cli import flag_checks  # noqa: F401  Flags are checked as they parse.
from dsr_tf.cli.flag_files import parsed
from dsr_tf.cli.help import help_text
from dsr_tf.cli.modes import MODES
from dsr_tf.cli.typed import check_typed
from dsr_tf.distribute import OtherWorkerError
from dsr_tf.distribute import WorkersMissingError
from dsr_tf.reports.texts import visible
from dsr_tf.runs import PreemptedError

FAILED = 1
BAD_FLAGS = 2
# The exit status "temporary failure: try again" of sysexits.h.
RESUME = 75
# As a shell has it: 128 and the number of SIGINT.
INTERRUPTED = 130
# As of programs that SIGPIPE ends.
UNREAD = 141


def main() -> None:
    """Runs the command line of this process, and exits."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names may hold what the terminal has no character for.
        sys.stdout.reconfigure(errors="backslashreplace")
    app.run(_do, flags_parser=parse_flags)


def _do(argv: Sequence[str]) -> None:
    if len(argv) > 1:
        text = f"unexpected argument '{argv[1]}'; flags begin with --"
        _fail(text, BAD_FLAGS)
    if flags.FLAGS.verbosity <= 0:
        logging.set_verbosity(logging.ERROR)
    trains = flags.FLAGS.mode == "train"
    if not trains:
        _take_interrupts()
    try:
        with _to_a_reader():
            MODES[flags.FLAGS.mode]()
    except PreemptedError as stopped:
        _fail(f"{stopped}; run the same command to go on", RESUME)
    except KeyboardInterrupt:
        kept = "; the last checkpoint is kept" if trains else ""
        _fail(f"interrupted{kept}", INTERRUPTED)
    except WorkersMissingError as error:
        _fail(str(error), RESUME)
    except OtherWorkerError as error:
        _fail(str(error), RESUME if error.was_stopped else FAILED)
    except (ValueError, RuntimeError, FloatingPointError, OSError) as error:
        logging.debug("The run failed.", exc_info=True)
        _fail(str(error), FAILED)
    except (MemoryError, OverflowError) as error:
        logging.debug("The run failed.", exc_info=True)
        is_full = isinstance(error, MemoryError)
        what = (
            "the memory is not enough" if is_full else "a number is too large"
        )
        _fail(f"{what} ({error})", FAILED)
    except tf.errors.OpError as error:
        logging.debug("The run failed.", exc_info=True)
        kind = type(error).__name__
        _fail(f"TensorFlow failed ({kind}): {_cause(error.message)}", FAILED)


def _take_interrupts() -> None:
    """Lets Ctrl-C end what has nothing to save at once."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextlib.contextmanager
def _to_a_reader() -> Iterator[None]:
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


def _cause(message: str) -> str:
    """Returns the last line of a message that is not part of a trace."""
    lines = [x for x in message.splitlines() if x.strip()]
    return [message, *(x for x in lines if not x[0].isspace())][-1]


def parse_flags(argv: Sequence[str]) -> list[str]:
    """Parses flags; a bad one ends the program with one line."""
    if {"--help", "-help", "-h", "-?"} & set(argv[1:]):
        _show_help()
    try:
        left = parsed(argv)
        check_typed(argv)
        return left
    except flags.Error as error:
        _fail(str(error), BAD_FLAGS)


def _show_help() -> NoReturn:
    try:
        with _to_a_reader():
            print(help_text())
    except OSError as error:
        _fail(str(error), FAILED)
    sys.exit(0)


def _fail(message: str, status: int) -> NoReturn:
    """Ends the program with one line, whatever the message holds."""
    try:
        sys.stdout.flush()
    except OSError:
        _drop_output()
    lines = [x.strip() for x in message.splitlines()]
    line = visible(" ".join(filter(None, lines)))
    print(f"main.py: {line}", file=sys.stderr)
    sys.exit(status)
