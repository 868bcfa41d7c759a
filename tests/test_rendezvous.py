import json
import socket
import threading
import time

import pytest

from dsr_tf.distribute import OtherWorkerError
from dsr_tf.distribute import WorkersMissingError
from dsr_tf.distribute import guest
from dsr_tf.distribute import host
from dsr_tf.distribute import meeting
from dsr_tf.distribute import rendezvous
from tests.processes import free_ports

FACTS = {"the cluster": "two"}


@pytest.fixture
def addresses():
    return [f"localhost:{port}" for port in free_ports(3)]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(rendezvous, "_FIRST_REPORT", 1.0)
    monkeypatch.setattr(rendezvous, "_REPORTS", 1.0)
    monkeypatch.setattr(host, "_PERIOD", 0.1)
    monkeypatch.setattr(meeting, "_SILENCE", 1.5)
    monkeypatch.setattr(meeting, "RETRY", 0.1)
    monkeypatch.setattr(guest, "RETRY", 0.1)
    monkeypatch.setattr(meeting, "_PORT_WAIT", 0.5)


class Stop(BaseException):
    """What a handler of a signal may raise."""


class Worker(threading.Thread):
    """A worker that meets the others; `end` is what came of it."""

    def __init__(
        self, addresses, index, facts=FACTS, seconds=30.0, stops=False
    ):
        super().__init__()
        self.lines, self.end, self.stops = [], None, stops
        self.given = (addresses, index, facts, seconds, self.report)
        self.start()

    def run(self):
        try:
            rendezvous.meet(*self.given)
            self.end = "met"
        except BaseException as error:
            self.end = error

    def report(self, line):
        self.lines.append(line)
        if self.stops:
            raise Stop


def wait_for(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def finish(*workers):
    for worker in workers:
        worker.join(60)
        assert not worker.is_alive()
    return [worker.end for worker in workers]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_workers_meet_in_any_order(addresses, order):
    workers = []
    for index in order:
        workers.append(Worker(addresses, index))
        time.sleep(0.3)
        if len(workers) < 3:
            assert all(worker.is_alive() for worker in workers)
    assert finish(*workers) == ["met"] * 3


def test_ports_are_free_when_workers_have_met(addresses):
    finish(*(Worker(addresses, i) for i in range(3)))
    for address in addresses:
        meeting.listen(address).close()


def test_each_says_for_whom_it_waits(addresses):
    first, third = Worker(addresses, 0), Worker(addresses, 2)
    wait_for(lambda: len(first.lines) > 1 and len(third.lines) > 1)
    second = Worker(addresses, 1)
    assert finish(first, second, third) == ["met"] * 3
    for worker in (first, third):
        assert worker.lines[0] == f"waiting for {addresses[1]}, for 1 s so far"
        assert worker.lines[1] == f"waiting for {addresses[1]}, for 2 s so far"
        assert worker.lines[-1] == "all 3 workers are there"
    assert second.lines == []


def test_without_the_chief_it_is_the_chief_that_is_missing(addresses):
    second = Worker(addresses, 1, seconds=1.5)
    (end,) = finish(second)
    assert second.lines[0] == f"waiting for {addresses[0]}, for 1 s so far"
    assert str(end) == (
        "All workers must start within 1.5 seconds. Received: no answer from "
        f"{addresses[0]}"
    )


def test_the_limit_names_all_that_are_missing(addresses):
    (end,) = finish(Worker(addresses, 0, seconds=0.5))
    assert type(end) is WorkersMissingError
    assert isinstance(end, TimeoutError)
    assert str(end) == (
        "All workers must start within 0.5 seconds. Received: no answer from "
        f"{addresses[1]}, {addresses[2]}"
    )


def connected(address):
    """Returns a connection, as soon as something listens."""
    found = []

    def connect():
        attempt = guest._Attempt(address)
        attempt.wait(5)
        found.append(attempt.connection)
        return attempt.connection is not None

    wait_for(connect)
    return found[-1]


def hello(index, facts=FACTS):
    return json.dumps({"dsr_tf": 1, "index": index, "facts": facts}).encode()


@pytest.mark.parametrize("dies", [True, False])
def test_a_worker_that_ends_while_others_wait_is_missing_again(addresses, dies):
    first = Worker(addresses, 0)
    # The other kind is still connected and no longer answers.
    gone = connected(addresses[0])
    gone.sendall(hello(1) + b"\n")
    wait_for(lambda: first.lines)
    assert f"for {addresses[2]}, for" in first.lines[0]
    if dies:
        gone.close()
    wait_for(lambda: f"for {addresses[1]}, {addresses[2]}" in first.lines[-1])
    others = [Worker(addresses, 1), Worker(addresses, 2)]
    assert finish(first, *others) == ["met"] * 3
    gone.close()


def test_a_worker_that_is_started_again_takes_its_place(addresses):
    first = Worker(addresses, 0)
    gone = connected(addresses[0])
    gone.sendall(hello(1) + b"\n")
    second = Worker(addresses, 1)
    # Until it is let go.
    while gone.recv(1000):
        pass
    assert finish(first, second, Worker(addresses, 2)) == ["met"] * 3


def test_workers_wait_for_a_chief_that_is_started_again(addresses):
    # A chief that ends before all are there.
    (end,) = finish(Worker(addresses, 0, seconds=0.5))
    assert type(end) is WorkersMissingError
    others = [Worker(addresses, 1), Worker(addresses, 2)]
    first = Worker(addresses, 0, seconds=0.0)
    finish(first)
    assert finish(Worker(addresses, 0), *others) == ["met"] * 3


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff\xfe\n",
        b"[1]\n",
        b'{"dsr_tf": 1}\n',
        b'{"dsr_tf": 1, "index": "1", "facts": {}}\n',
        b"x" * 2_000_000,
        b"",
    ],
    ids=range(7),
)
def test_what_is_no_worker_does_not_disturb(addresses, sent):
    first = Worker(addresses, 0)
    with connected(addresses[0]) as stranger:
        try:
            stranger.sendall(sent)
            wait_for(lambda: first.lines)
            assert f"for {addresses[1]}, {addresses[2]}" in first.lines[0]
            # It is sent nothing, and let go.
            assert stranger.recv(100) == b""
        except ConnectionError:
            pass
    others = [Worker(addresses, 1), Worker(addresses, 2)]
    assert finish(first, *others) == ["met"] * 3


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_what_is_no_chief_is_not_taken_for_one(addresses, answer):
    with meeting.listen(addresses[0]) as server:
        second = Worker(addresses, 1, seconds=1.0)
        connection, _ = server.accept()
        connection.sendall(answer)
        (end,) = finish(second)
        connection.close()
    assert type(end) is WorkersMissingError
    assert str(end).endswith(f"no answer from {addresses[0]}")


def test_different_clusters_end_all(addresses):
    first, second = Worker(addresses, 0), Worker(addresses, 1)
    time.sleep(0.5)
    third = Worker(addresses, 2, {"the cluster": "three"})
    for end in finish(first, second, third):
        assert type(end) is ValueError
        assert str(end) == (
            "The workers must be given the same cluster and devices. "
            "Received: the cluster is two on worker 0 and three on worker 2"
        )


@pytest.mark.parametrize("index", [0, 1])
def test_a_worker_that_is_stopped_while_it_waits_ends_all(addresses, index):
    workers = [Worker(addresses, i, stops=i == index) for i in range(2)]
    found = finish(*workers)
    assert type(found[index]) is Stop
    assert type(found[1 - index]) is OtherWorkerError
    assert found[1 - index].was_stopped
    assert str(found[1 - index]) == (
        f"worker {index} ended: it was asked to stop"
    )


@pytest.mark.parametrize("index", [0, 1])
def test_a_port_in_use_is_named(addresses, index):
    port = int(addresses[index].rpartition(":")[2])
    with socket.create_server(("localhost", port)):
        (end,) = finish(Worker(addresses, index))
    assert type(end) is OSError
    assert str(end) == (
        f"This worker must be able to listen at {addresses[index]}. Received: "
        f"port {port} cannot be used (Address already in use). End the process "
        "that uses it, or name another port for this worker on all workers."
    )


def test_a_port_that_becomes_free_is_waited_for(addresses):
    port = int(addresses[0].rpartition(":")[2])
    server = socket.create_server(("localhost", port))
    threading.Timer(0.2, server.close).start()
    meeting.listen(addresses[0]).close()


@pytest.mark.parametrize(
    "address, expected",
    [
        ("host0:2222", ("host0", 2222)),
        ("grpc://host0:2222", ("host0", 2222)),
        ("[::1]:80", ("::1", 80)),
        ("10.0.0.1:1", ("10.0.0.1", 1)),
    ],
)
def test_addresses_have_a_host_and_a_port(address, expected):
    assert meeting.split_address(address) == expected
