"""How the program ends when something fails."""

import os
import re
from typing import NoReturn

import tensorflow as tf
from absl import logging

from dsr_tf.cli.flag_names import in_flags
from dsr_tf.cli.output import FAILED
from dsr_tf.cli.output import fail
from dsr_tf.cli.output import say
from dsr_tf.distribute import OtherWorkerError
from dsr_tf.distribute import WorkersMissingError
from dsr_tf.launch import INTERRUPTED
from dsr_tf.launch import RESUME
from dsr_tf.runs import PreemptedError

# What may happen to a correct program; anything else is a fault in it, and
# shows where it is.
EXPECTED = (
    KeyboardInterrupt,
    ValueError,
    RuntimeError,
    FloatingPointError,
    OSError,
    MemoryError,
    OverflowError,
    PreemptedError,
    tf.errors.OpError,
)


def end(error: BaseException, trains: bool) -> NoReturn:
    """Ends the program with one line on an error, and its status.

    Args:
        error: One of those that are `EXPECTED`.
        trains: Whether a run was being trained.
    """
    if isinstance(error, PreemptedError):
        fail(f"{error}; run the same command to go on", RESUME)
    if isinstance(error, KeyboardInterrupt):
        kept = "; the last checkpoint is kept" if trains else ""
        fail(f"interrupted{kept}", INTERRUPTED)
    if isinstance(error, WorkersMissingError):
        fail(str(error), RESUME)
    if isinstance(error, OtherWorkerError):
        fail(str(error), RESUME if error.was_stopped else FAILED)
    logging.debug("The run failed.", exc_info=error)
    # Where workers end, TensorFlow has errors of several kinds.
    if isinstance(error, tf.errors.OpError) and (
        isinstance(error, tf.errors.UnavailableError)
        or "Collective ops is aborted" in error.message
    ):
        _end_without(error)
    fail(_reason(error), FAILED)


def _reason(error: BaseException) -> str:
    if isinstance(error, tf.errors.OpError):
        kind = type(error).__name__
        return f"TensorFlow failed ({kind}): {_cause(error.message)}"
    if isinstance(error, MemoryError):
        return f"the memory is not enough ({error})"
    if isinstance(error, OverflowError):
        return f"a number is too large ({error})"
    return in_flags(str(error))


def _end_without(error: tf.errors.OpError) -> NoReturn:
    """Ends the program after something it needs, as a worker, has gone."""
    who = _missing(error.message)
    say(f"{who} ended, or cannot be reached; start all workers again to go on")
    # TensorFlow's own end would wait for that worker.
    os._exit(RESUME)


def _missing(message: str) -> str:
    """Returns the worker that an error of TensorFlow names."""
    # The name of an operation may hold the device that it ran on: this worker.
    task = re.search(r"(?<!device_)/job:(\w+)/replica:\d+/task:(\d+)", message)
    return "another worker" if task is None else " ".join(task.groups())


def _cause(message: str) -> str:
    """Returns the last line of a message that is not part of a trace."""
    lines = [x for x in message.splitlines() if x.strip()]
    return [message, *(x for x in lines if not x[0].isspace())][-1]
