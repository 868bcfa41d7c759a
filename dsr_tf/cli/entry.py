"""The program: it parses flags, runs one mode, and exits with a status."""

import os
import re
import sys
from collections.abc import Sequence
from typing import NoReturn

import tensorflow as tf
from absl import app
from absl import flags
from absl import logging

from dsr_tf.cli import flag_checks  # noqa: F401  Flags are checked as they parse.
from dsr_tf.cli.help import help_text
from dsr_tf.cli.modes import MODES
from dsr_tf.cli.typed import check_typed
from dsr_tf.distribute import OtherWorkerError
from dsr_tf.distribute import WorkersMissingError
from dsr_tf.runs import PreemptedError

FAILED = 1
BAD_FLAGS = 2
# The exit status "temporary failure: try again" of sysexits.h.
RESUME = 75
# As a shell has it: 128 and the number of SIGINT.
INTERRUPTED = 130


def main() -> None:
    """Runs the command line of this process, and exits."""
    app.run(_do, flags_parser=parse_flags)


def _do(argv: Sequence[str]) -> None:
    if len(argv) > 1:
        text = f"unexpected argument '{argv[1]}'; flags begin with --"
        _fail(text, BAD_FLAGS)
    if flags.FLAGS.verbosity <= 0:
        logging.set_verbosity(logging.ERROR)
    try:
        MODES[flags.FLAGS.mode]()
    except PreemptedError as stopped:
        _fail(f"{stopped}; run the same command to go on", RESUME)
    except KeyboardInterrupt:
        _fail("interrupted; the last checkpoint is kept", INTERRUPTED)
    except WorkersMissingError as error:
        _fail(str(error), RESUME)
    except OtherWorkerError as error:
        _fail(str(error), RESUME if error.was_stopped else FAILED)
    except (ValueError, RuntimeError, FloatingPointError, OSError) as error:
        logging.debug("The run failed.", exc_info=True)
        _fail(str(error), FAILED)
    except tf.errors.UnavailableError as error:
        logging.debug("The run failed.", exc_info=True)
        _fail_without(error)
    except tf.errors.OpError as error:
        logging.debug("The run failed.", exc_info=True)
        kind = type(error).__name__
        _fail(f"TensorFlow failed ({kind}): {_cause(error.message)}", FAILED)


def _fail_without(error: tf.errors.UnavailableError) -> NoReturn:
    """Ends the program after something it needs, as a worker, has gone."""
    task = re.search(r"/job:(\w+)/replica:\d+/task:(\d+)", error.message)
    if task is None:
        _fail(f"TensorFlow failed: {_cause(error.message)}", FAILED)
    job, index = task.groups()
    text = f"{job} {index} ended, or cannot be reached"
    _print(f"{text}; start all workers again to go on")
    # TensorFlow's own end would wait for that worker.
    os._exit(RESUME)


def _cause(message: str) -> str:
    """Returns the last line of a message that is not part of a trace."""
    lines = message.splitlines()
    return [x for x in lines if x.strip() and not x[0].isspace()][-1]


def parse_flags(argv: Sequence[str]) -> list[str]:
    """Parses flags; a bad one ends the program with one line."""
    if {"--help", "-help", "-h", "-?"} & set(argv[1:]):
        print(help_text())
        sys.exit(0)
    try:
        left = flags.FLAGS(argv)
        check_typed(argv)
        return left
    except flags.Error as error:
        _fail(" ".join(str(error).split()), BAD_FLAGS)


def _print(message: str) -> None:
    sys.stdout.flush()
    print(f"main.py: {message}", file=sys.stderr, flush=True)


def _fail(message: str, status: int) -> NoReturn:
    _print(message)
    sys.exit(status)
