"""A process that calls functions, and may fail or die."""

import faulthandler
import multiprocessing
import os
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

_SPAWN = multiprocessing.get_context("spawn")
# Cards that wait for each other may wait for ever.
_MOST_SECONDS = 3600
# Characters of what the process wrote that are kept.
_KEPT = 4000


class Worker:
    """Calls functions in another process, and starts another if one fails.

    An error of a card can make all that its process does afterwards fail, and
    TensorFlow ends a process where it finds no way on.

    Example:
    >>> with Worker() as worker:
    ...     worker.call(divmod, 7, 2)
    """

    def __init__(self) -> None:
        self._process: Any = None

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *error: object) -> None:
        self._end()

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Returns what a function returns.

        If it fails, that is a dictionary with the traceback as `"error"`, and
        the end of what the process wrote as `"log"`.
        """
        if self._process is None:
            self._start()
        succeeded, found = self._called(function, arguments)
        if succeeded:
            return found
        self._end()
        log = Path(self._log.name).read_text(errors="replace")
        return {"error": found, "log": log[-_KEPT:]}

    def _called(self, *call: Any) -> tuple[bool, Any]:
        try:
            self._connection.send(call)
            if self._connection.poll(_MOST_SECONDS):
                return self._connection.recv()
            return False, f"It did not end in {_MOST_SECONDS} seconds."
        except (EOFError, OSError):
            self._process.join()
            return False, f"Its process died: {self._process.exitcode}"

    def _start(self) -> None:
        self._log = tempfile.NamedTemporaryFile()
        self._connection, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(
            target=_serve, args=(theirs, self._log.name), daemon=True
        )
        self._process.start()
        theirs.close()

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None


def _serve(connection: Any, log: str) -> None:
    """Calls what it is sent, until it is killed."""
    os.dup2(os.open(log, os.O_WRONLY | os.O_APPEND), 2)
    faulthandler.enable()
    while True:
        try:
            function, arguments = connection.recv()
            found = True, function(*arguments)
        except Exception:
            found = False, traceback.format_exc()
        connection.send(found)
