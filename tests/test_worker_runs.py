"""Runs of main.py by two workers, which something befalls."""

import json
import signal
import socket
import time
import zipfile

import pytest

from tests.command_line import start
from tests.processes import TIMEOUT
from tests.processes import start as run_script
from tests.processes import tf_configs

pytestmark = pytest.mark.slow

FLAGS = ("--strategy=multi_worker", "--epochs=3")
RESUME = 75


def begin(path, *each):
    """Starts workers, each with flags of its own besides the common ones."""
    return [
        begin_one(path, text, *own)
        for own, text in zip(each, tf_configs(len(each)), strict=True)
    ]


def ends(processes):
    """Returns status, output and errors of each process."""
    try:
        return [
            (process.returncode, *texts)
            for process in processes
            for texts in [process.communicate(timeout=TIMEOUT)]
        ]
    finally:
        for process in processes:
            process.kill()


def test_differing_flags_are_named_before_anything_is_written(tmp_path):
    path = tmp_path / "run"
    processes = begin(path, ["--seed=0"], ["--seed=1", "--batch_size=50"])
    for status, output, errors in ends(processes):
        assert status == 1
        assert output == ""
        assert errors == (
            "main.py: The workers must have the same flags, data and code. "
            "Received: --batch_size is 100 on worker 0 and 50 on worker 1; "
            "--seed is 0 on worker 0 and 1 on worker 1\n"
        )
    assert not path.exists()


def begin_one(path, text, *more):
    flags = (*FLAGS, f"--run_dir={path}", *more)
    # As main.py has it, unless the tests' own level is there.
    return start(*flags, TF_CONFIG=text, TF_CPP_MIN_LOG_LEVEL="3")


def addresses(text):
    return json.loads(text)["cluster"]["worker"]


@pytest.mark.parametrize(
    "name, index",
    [("SIGTERM", 0), ("SIGINT", 1), ("SIGUSR1", 1), ("SIGHUP", 0)],
)
def test_a_signal_ends_a_worker_that_waits(tmp_path, index, name):
    text = tf_configs()[index]
    process = begin_one(tmp_path / "run", text)
    line = process.stderr.readline()
    other = addresses(text)[1 - index]
    assert line == f"main.py: waiting for {other}, for 5 s so far\n"
    process.send_signal(getattr(signal, name))
    begin = time.monotonic()
    ((status, output, errors),) = ends([process])
    assert time.monotonic() - begin < 5
    assert (status, output) == (RESUME, "")
    assert errors == (
        f"main.py: stopped on {name}; run the same command to go on\n"
    )


def test_a_worker_that_comes_late_is_waited_for(tmp_path):
    path, texts = tmp_path / "run", tf_configs(3)
    of = addresses(texts[0])
    first = begin_one(path, texts[0], "--batch_size=90")
    gone = begin_one(path, texts[1], "--batch_size=90")
    lines = [x.stderr.readline() for x in (first, gone)]
    assert f"waiting for {of[2]}" in lines[1]
    gone.kill()
    gone.communicate()
    others = [begin_one(path, x, "--batch_size=90") for x in texts[1:]]
    found = ends([first, *others])
    assert [status for status, _, _ in found] == [0, 0, 0], found
    assert found[0][2] == "main.py: all 3 workers are there\n"
    assert (path / "summary.json").exists()


def test_a_port_in_use_is_said_in_a_line(tmp_path):
    text = tf_configs()[0]
    port = int(addresses(text)[0].rpartition(":")[2])
    with socket.create_server(("localhost", port)):
        ((status, _, errors),) = ends([begin_one(tmp_path / "run", text)])
    assert status == 1
    assert len(errors.splitlines()) == 1, errors
    assert f"port {port} cannot be used (Address already in use)" in errors


@pytest.mark.parametrize("index", [0, 1])
def test_the_wait_has_a_limit(index):
    text = tf_configs()[index]
    process = run_script("wait.py", 2, TF_CONFIG=text)
    output, _ = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0, output
    other = addresses(text)[1 - index]
    assert output.splitlines()[-1] == (
        "WorkersMissingError: All workers must start within 2 seconds. "
        f"Received: no answer from {other}"
    )


LONG = ("--epochs=8", "--checkpoint_steps=4")


def train(path, *more):
    """Starts two workers; returns them once both are in training."""
    texts = tf_configs()
    processes = [begin_one(path, x, *LONG, *more) for x in texts]
    for _ in range(2):
        assert processes[0].stdout.readline().startswith("epoch ")
    return processes


def end_both(path, *more):
    """Runs two workers to their end; returns what the run has written."""
    for status, _, errors in ends(
        [begin_one(path, x, *LONG, *more) for x in tf_configs()]
    ):
        assert (status, errors) == (0, "")
    with zipfile.ZipFile(path / "model.keras") as file:
        weights = file.read("model.weights.h5")
    return (path / "metrics.csv").read_bytes(), weights


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return end_both(tmp_path_factory.mktemp("whole") / "run")


@pytest.mark.parametrize("index", [0, 1])
def test_without_a_worker_the_other_ends_and_both_go_on(tmp_path, whole, index):
    path = tmp_path / "run"
    processes = train(path)
    processes[index].kill()
    begin = time.monotonic()
    found = ends(processes)
    assert time.monotonic() - begin < 30
    status, _, errors = found[1 - index]
    assert status == RESUME
    assert errors == (
        f"main.py: worker {index} ended, or cannot be reached; start all "
        "workers again to go on\n"
    )
    assert end_both(path) == whole


# Of the others, `tests/trials.py` tries many.
@pytest.mark.parametrize("name, index", [("SIGTERM", 1), ("SIGINT", 0)])
def test_a_signal_to_one_ends_both_and_both_go_on(tmp_path, whole, index, name):
    path = tmp_path / "run"
    processes = train(path)
    processes[index].send_signal(getattr(signal, name))
    # A second one changes nothing; SIGINT is a person's, and ends at once.
    if name != "SIGINT":
        time.sleep(0.02)
        processes[index].send_signal(getattr(signal, name))
    for status, _, errors in ends(processes):
        assert status == RESUME
        assert len(errors.splitlines()) == 1
        assert errors.endswith("; run the same command to go on\n")
    assert end_both(path) == whole
