"""Trains a sparse network. `python main.py --help` lists the flags."""

import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

SCREEN = os.dup(2)
# The exit status "temporary failure: try again" of sysexits.h.
RESUME = 75


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
    message = f"stopped on {name}; run the same command to go on"
    print(f"main.py: {message}", file=sys.stderr)
    sys.exit(RESUME)


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
