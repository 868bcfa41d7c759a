"""The two sides of a meeting of workers: the chief's, and that of the others.

`rendezvous` says what they send.
"""

import errno
import json
import os
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

# Seconds between two messages of the chief, without one until the other side
# counts as gone, and between two tries to connect.
_PERIOD = 1.0
_SILENCE = 8.0
_RETRY = 0.5
# Seconds in which a process that held the port before may still end.
_PORT_WAIT = 5.0
_CONNECT = 5.0
# Bytes of the longest message; what sends more is no worker.
_LONGEST = 1_000_000


def split_address(address: str) -> tuple[str, int]:
    """Returns host and port of an address such as `host:2222`.

    Raises:
        ValueError: If there is no port.
    """
    host, _, port = address.rpartition("://")[2].rpartition(":")
    return host.strip("[]"), int(port)


def listen(address: str) -> socket.socket:
    """Returns a socket that listens at the port of this worker.

    Raises:
        OSError: If another process uses the port, and goes on to use it.
    """
    _, port = split_address(address)
    dual = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual else socket.AF_INET
    end = time.monotonic() + _PORT_WAIT
    while True:
        try:
            return socket.create_server(
                ("", port), family=family, dualstack_ipv6=dual, backlog=1024
            )
        except OSError as error:
            if error.errno == errno.EADDRINUSE and time.monotonic() < end:
                time.sleep(_RETRY)
                continue
            reason = os.strerror(error.errno or 0)
            raise OSError(
                f"This worker must be able to listen at {address}. Received: "
                f"port {port} cannot be used ({reason}). End the "
                "process that uses it, or name another port for this worker "
                "on all workers."
            ) from error


class Line:
    """A connection that sends and gets messages.

    Args:
        connection: A connected socket, which becomes the line's own.

    Attributes:
        heard: When the last message came.
    """

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(_CONNECT)
        self._connection = connection
        self._rest = b""
        self.heard = time.monotonic()

    def fileno(self) -> int:
        return self._connection.fileno()

    def send(self, message: Mapping[str, Any]) -> bool:
        """Sends a message; returns False if the other side has gone."""
        try:
            self._connection.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            return False
        return True

    def read(self) -> list[dict[str, Any]] | None:
        """Returns the messages that have come.

        None stands for the end: the other side has gone, or is no worker.
        """
        try:
            data = self._connection.recv(65536)
            *lines, self._rest = (self._rest + data).split(b"\n")
            messages = [json.loads(line) for line in lines]
        except (OSError, ValueError):
            return None
        all_known = all(isinstance(x, dict) for x in messages)
        if not data or not all_known or len(self._rest) > _LONGEST:
            return None
        self.heard = time.monotonic()
        return messages

    def is_silent(self) -> bool:
        """Tells whether no message has come for long."""
        return time.monotonic() - self.heard > _SILENCE

    def close(self) -> None:
        self._connection.close()


class Host:
    """The chief's side: it waits for the others, and lets them go on.

    Args:
        server: A socket that listens.
        addresses: Host and port of each worker, the chief first.
        index: 0.
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
        self._addresses = addresses
        self._facts = facts
        self._strangers: list[Line] = []
        self._workers: dict[int, Line] = {}
        self._sent = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: Any) -> None:
        if _is_stop(kind):
            self._tell({"stopped": 0})
        for line in [*self._strangers, *self._workers.values()]:
            line.close()

    def missing(self) -> list[str]:
        """Returns the addresses of the workers that are not there."""
        return [self._addresses[i] for i in self._absent()]

    def work(self, seconds: float) -> bool:
        """Hears the others for some time; returns whether all are there.

        Raises:
            ValueError: If facts of a worker differ from those of the chief.
            OtherWorkerError: If a worker was asked to stop.
        """
        lines = [*self._strangers, *self._workers.values()]
        watched: list[Any] = [self._server, *lines]
        readable, _, _ = select.select(watched, [], [], seconds)
        for each in readable:
            if each is self._server:
                self._strangers.append(Line(self._server.accept()[0]))
            else:
                self._hear(each)
        for line in lines:
            if line.is_silent():
                self._drop(line)
        if time.monotonic() - self._sent > _PERIOD:
            self._sent = time.monotonic()
            self._tell({"missing": self.missing()})
        if self._absent():
            return False
        # From here on, what connects is to wait for TensorFlow's server.
        self._server.close()
        self._tell({"go": True})
        return True

    def _absent(self) -> list[int]:
        every = range(1, len(self._addresses))
        return [i for i in every if i not in self._workers]

    def _tell(self, message: Mapping[str, Any]) -> None:
        for line in list(self._workers.values()):
            if not line.send(message):
                self._drop(line)

    def _drop(self, line: Line) -> None:
        line.close()
        self._strangers = [x for x in self._strangers if x is not line]
        workers = self._workers.items()
        self._workers = {i: x for i, x in workers if x is not line}

    def _hear(self, line: Line) -> None:
        messages = line.read()
        if messages is None:
            self._drop(line)
            return
        for message in messages:
            if message.get("dsr_tf") == 1 and line in self._strangers:
                self._welcome(line, message)
            if message.get("stopped"):
                for index in [i for i, x in self._workers.items() if x is line]:
                    self._tell({"stopped": index})
                    raise OtherWorkerError.stopped(index)

    def _welcome(self, line: Line, message: Mapping[str, Any]) -> None:
        index, theirs = message.get("index"), message.get("facts")
        if type(index) is not int or not isinstance(theirs, dict):
            self._drop(line)
            return
        differing = [
            f"{name} is {value} on worker 0 and {theirs.get(name)} on "
            f"worker {index}"
            for name, value in self._facts.items()
            if theirs.get(name) != value
        ]
        if differing:
            text = (
                "The workers must be given the same cluster and devices. "
                f"Received: {'; '.join(differing)}"
            )
            self._tell({"error": text})
            line.send({"error": text})
            raise ValueError(text)
        self._strangers.remove(line)
        # One that was started again; the old one may not be known as dead.
        if index in self._workers:
            self._workers[index].close()
        self._workers[index] = line


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
            if _is_stop(kind):
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
            self._next = time.monotonic() + _RETRY
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


def _is_stop(kind: type[BaseException] | None) -> bool:
    """Tells whether a worker ends because a signal asked it to."""
    return kind is not None and not issubclass(kind, Exception)


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
            connection = socket.create_connection(target, timeout=_CONNECT)
            # Where nothing listens, a socket may be connected to itself.
            if connection.getsockname() == connection.getpeername():
                connection.close()
            else:
                self.connection = connection
