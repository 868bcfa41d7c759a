"""The chief's side of a meeting of workers; `rendezvous` says what it sends."""

import select
import socket
import time
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import Self

from dsr_tf.distribute.errors import OtherWorkerError
from dsr_tf.distribute.meeting import Line
from dsr_tf.distribute.meeting import is_stop

# Seconds between two messages to a worker.
_PERIOD = 1.0


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
        if is_stop(kind):
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
