"""Trains a sparse network. `python main.py --help` lists the flags."""

import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

# A file that is opened takes the place of a stream that is closed.
while (_next := os.open(os.devnull, os.O_RDWR)) <= 2:
    pass
os.close(_next)
sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
SCREEN = os.dup(2)
# The exit status "temporary failure: try again" of sysexits.h.
RESUME = 75
# As a shell has it: 128 and the number of SIGINT.
INTERRUPTED = 130


@contextlib.contextmanager
def quiet_start() -> Iterator[None]:
    """Keeps TensorFlow's start-up messages off the screen, unless it fails.

    C++ writes them before any log level is obeyed, so the file descriptor
    itself is redirected.
    """
    # Where other workers are named, TensorFlow also logs that one of them has
    # gone, many times.
    several = {"TF_CONFIG", "SLURM_STEP_NUM_TASKS"} & set(os.environ)
    level = "3" if several else "2"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", level)
    sys.stderr.flush()
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            yield
        except Exception:
            aside.seek(0)
            os.write(SCREEN, aside.read())
            raise
        finally:
            os.dup2(SCREEN, 2)


def leave(number: int, frame: Any) -> None:
    """Ends the program while there is nothing to save."""
    os.dup2(SCREEN, 2)
    name = signal.Signals(number).name
    message, status = (
        f"stopped on {name}; run the same command to go on",
        RESUME,
    )
    if number == signal.SIGINT and not trains():
        message, status = "interrupted", INTERRUPTED
    # Not `print`: another stream may stand for stderr at this moment.
    os.write(2, f"main.py: {message}\n".encode())
    sys.exit(status)


def trains() -> bool:
    """Tells whether a run is asked for; the flags are not parsed yet."""
    words = " ".join(sys.argv[1:]).replace("=", " ").split()
    modes = [
        mode
        for flag, mode in zip(words, words[1:], strict=False)
        if flag in ("--mode", "-mode")
    ]
    return modes[-1:] in ([], ["train"])


def leave_on_signals() -> None:
    """Calls `leave` on what ends a job, except on what is ignored."""
    for name in ("SIGTERM", "SIGINT", "SIGUSR1", "SIGHUP"):
        number = getattr(signal, name, None)
        if number and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, leave)


if __name__ == "__main__":
    leave_on_signals()
    with quiet_start():
        import tensorflow as tf

        from dsr_tf import cli

        # What looks for GPUs first prints if there is none.
        tf.config.list_physical_devices()
    cli.main()
