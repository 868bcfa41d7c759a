"""Addresses of workers, and connections between them."""

import errno
import json
import os
import socket
import time
from collections.abc import Mapping
from typing import Any

# Seconds without a message until the other side counts as gone, and between two
# tries to connect.
_SILENCE = 8.0
RETRY = 0.5
# Seconds in which a process that held the port before may still end.
_PORT_WAIT = 5.0
# Seconds for a connection, and for what is sent through it.
CONNECT = 5.0
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
                time.sleep(RETRY)
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
        connection.settimeout(CONNECT)
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


def is_stop(kind: type[BaseException] | None) -> bool:
    """Tells whether a worker ends because a signal asked it to."""
    return kind is not None and not issubclass(kind, Exception)
