"""The start of the program, before TensorFlow is loaded.

`import dsr_tf` loads this file first, and it begins at once where the package
is the program: as `python main.py`, `python -m dsr_tf` or `dsr-tf`.
"""

import atexit
import os
import shlex
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO
from typing import Any

# The exit status "temporary failure: try again" of sysexits.h.
RESUME = 75
# As a shell has it: 128 and the number of SIGINT.
INTERRUPTED = 130
# Seconds to end in.
_GRACE = 5.0
_COMMAND = "dsr-tf"

_screen: int | None = None
_aside: IO[bytes] | None = None


def name() -> str:
    """Returns what the user calls the program, for its messages."""
    if Path(sys.argv[0]).stem == _COMMAND:
        return _COMMAND
    return "dsr_tf" if _is_module() else "main.py"


def command() -> str | None:
    """Returns the command that began the program; None in other programs."""
    if not is_program():
        return None
    words = {"main.py": "python main.py", "dsr_tf": "python -m dsr_tf"}
    program = words.get(name(), name())
    return " ".join([program, *map(shlex.quote, sys.argv[1:])])


def is_program() -> bool:
    """Tells whether the package is the program, and not a part of another."""
    # Set by main.py: other programs may have a file of that name.
    is_main = getattr(sys.modules["__main__"], "RUNS_DSR_TF", False)
    return is_main or _is_module() or Path(sys.argv[0]).stem == _COMMAND


def _is_module() -> bool:
    words = sys.orig_argv
    return "-m" in words and words[words.index("-m") :][1:2] == ["dsr_tf"]


def begin() -> None:
    """Hears signals, and keeps TensorFlow's start-up messages off the screen.

    C++ writes them before any log level is obeyed, so the file descriptor
    itself is redirected. Where the start fails, they are shown at the end.
    """
    global _screen, _aside
    if _screen is not None:
        return
    _open_streams()
    _leave_on_signals()
    # Where other workers are named, TensorFlow also logs that one of them has
    # gone, many times.
    several = {"TF_CONFIG", "SLURM_STEP_NUM_TASKS"} & set(os.environ)
    level = "3" if several else "2"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", level)
    _screen = os.dup(2)
    _aside = tempfile.TemporaryFile()
    sys.stderr.flush()
    os.dup2(_aside.fileno(), 2)
    atexit.register(_show)


def started() -> None:
    """Gives the screen back."""
    global _aside
    if _aside is not None and _screen is not None:
        sys.stderr.flush()
        os.dup2(_screen, 2)
        _aside.close()
        _aside = None


def _open_streams() -> None:
    # A file that is opened takes the place of a stream that is closed.
    while (opened := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(opened)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def _show() -> None:
    """Shows what was kept off the screen, of a start that failed."""
    if _aside is not None and _screen is not None:
        sys.stderr.flush()
        _aside.seek(0)
        os.write(_screen, _aside.read())


def _leave_on_signals() -> None:
    """Calls `_leave` on what ends a job, except on what is ignored."""
    for each in ("SIGTERM", "SIGINT", "SIGUSR1", "SIGHUP"):
        number = getattr(signal, each, None)
        if number and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _leave)


def _leave(number: int, frame: Any) -> None:
    """Ends the program while there is nothing to save."""
    started()
    said = f"stopped on {signal.Signals(number).name}"
    message, status = f"{said}; run the same command to go on", RESUME
    if number == signal.SIGINT and not _trains():
        message, status = "interrupted", INTERRUPTED
    # Not `print`: another stream may stand for stderr at this moment.
    os.write(2, f"{name()}: {message}\n".encode())
    # Python drops what is raised within the callback of a weak reference.
    late = threading.Timer(_GRACE, os._exit, [status])
    late.daemon = True
    late.start()
    sys.exit(status)


def _trains() -> bool:
    """Tells whether a run is asked for; the flags are not parsed yet."""
    words = " ".join(sys.argv[1:]).replace("=", " ").split()
    modes = [
        mode
        for flag, mode in zip(words, words[1:], strict=False)
        if flag in ("--mode", "-mode")
    ]
    return modes[-1:] in ([], ["train"], ["prune"])


if is_program():
    begin()
