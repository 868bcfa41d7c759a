"""The side of the other workers; `rendezvous` says what they send."""

import select
import socket
import threading
import time
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from typing import Self

from dsr_tf.distribute.errors import OtherWorkerError
from dsr_tf.distribute.meeting import CONNECT
from dsr_tf.distribute.meeting import RETRY
from dsr_tf.distribute.meeting import Line
from dsr_tf.distribute.meeting import is_stop
from dsr_tf.distribute.meeting import split_address


class Guest:
    """The side of a worker that is not the chief.

    Args:
        server: A socket that listens, which keeps the port.
        addresses: Host and port of each worker, the chief first.
        index: Which of them is this process.
        facts: What has to be the same on all workers, by name.
    """

    def __init__(
        self,
        server: socket.socket,
        addresses: Sequence[str],
        index: int,
        facts: Mapping[str, str],
    ) -> None:
        self._server = server
        self._chief = addresses[0]
        self._hello = {"dsr_tf": 1, "index": index, "facts": dict(facts)}
        self._missing = [self._chief]
        self._line: Line | None = None
        self._attempt: _Attempt | None = None
        self._next = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: Any) -> None:
        if self._line:
            if is_stop(kind):
                self._line.send({"stopped": True})
            self._line.close()

    def missing(self) -> list[str]:
        """Returns the addresses of the workers that are not there."""
        return self._missing

    def work(self, seconds: float) -> bool:
        """Hears the chief for some time; returns whether all are there.

        Raises:
            ValueError: If facts of a worker differ from those of the chief.
            OtherWorkerError: If a worker was asked to stop.
        """
        if self._line is None:
            self._connect(seconds)
            return False
        readable, _, _ = select.select([self._line], [], [], seconds)
        messages = self._line.read() if readable else []
        if messages is None or self._line.is_silent():
            self._lose()
            return False
        return any([self._take(message) for message in messages])

    def _connect(self, seconds: float) -> None:
        if self._attempt is None:
            time.sleep(max(0.0, min(seconds, self._next - time.monotonic())))
            self._next = time.monotonic() + RETRY
            self._attempt = _Attempt(self._chief)
        if not self._attempt.wait(seconds):
            return
        connection, self._attempt = self._attempt.connection, None
        if connection is not None:
            self._line = Line(connection)
            if not self._line.send(self._hello):
                self._lose()

    def _lose(self) -> None:
        if self._line:
            self._line.close()
        self._line = None
        self._missing = [self._chief]

    def _take(self, message: Mapping[str, Any]) -> bool:
        if "error" in message:
            raise ValueError(message["error"])
        if "stopped" in message:
            raise OtherWorkerError.stopped(message["stopped"])
        if "missing" in message and self._line:
            self._missing = [str(x) for x in message["missing"]]
            self._line.send({})
        return "go" in message


class _Attempt:
    """An attempt to connect, in a thread.

    Looking up a name can take long, and no signal is heard while it does.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self.connection: socket.socket | None = None
        self._thread = threading.Thread(target=self._connect, daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Waits for the end; returns whether it has come."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _connect(self) -> None:
        target = split_address(self._address)
        # It is tried again.
        with suppress(OSError, UnicodeError):
            connection = socket.create_connection(target, timeout=CONNECT)
            # Where nothing listens, a socket may be connected to itself.
            if connection.getsockname() == connection.getpeername():
                connection.close()
            else:
                self.connection = connection
