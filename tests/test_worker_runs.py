"""Runs of main.py by two workers, which something befalls."""

import json
import socket
import time
import zipfile

import pytest

from tests.processes import start
from tests.processes import tf_configs

pytestmark = pytest.mark.slow

FLAGS = ("--strategy=multi_worker", "--epochs=3")
RESUME = 75


@pytest.fixture(scope="module")
def begin(starter):
    """Starts the run of a worker."""

    def begin_one(path, text, *more):
        given = *FLAGS, f"--run_dir={path}", *more
        return starter.start(*given, TF_CONFIG=text)

    return begin_one


def ends(runs):
    """Returns status, output and errors of each run."""
    ended = [run.finish() for run in runs]
    return [(x.returncode, x.stdout, x.stderr) for x in ended]


def test_differing_flags_are_named_before_anything_is_written(begin, tmp_path):
    path = tmp_path / "run"
    given = ["--seed=0"], ["--seed=1", "--batch_size=50"]
    pairs = zip(tf_configs(), given, strict=True)
    runs = [begin(path, text, *own) for text, own in pairs]
    for status, output, errors in ends(runs):
        assert status == 1
        assert output == ""
        assert errors == (
            "main.py: The workers must have the same flags, data and code. "
            "Received: --batch_size is 100 on worker 0 and 50 on worker 1; "
            "--seed is 0 on worker 0 and 1 on worker 1\n"
        )
    assert not path.exists()


def addresses(text):
    return json.loads(text)["cluster"]["worker"]


WAITING = {"SIGTERM": 0, "SIGINT": 1, "SIGUSR1": 1, "SIGHUP": 0}


@pytest.fixture(scope="module")
def waiting(begin, tmp_path_factory):
    """Returns, by signal, a worker that waits, and for whom."""
    path, found = tmp_path_factory.mktemp("waiting"), {}
    for name, index in WAITING.items():
        text = tf_configs()[index]
        other = addresses(text)[1 - index]
        found[name] = begin(path / name, text), other
    return found


@pytest.mark.parametrize("name", WAITING)
def test_a_signal_ends_a_worker_that_waits(waiting, name):
    run, other = waiting[name]
    line = f"main.py: waiting for {other}, for 5 s so far"
    assert run.lines("stderr", 1) == [line]
    run.send(name)
    begun = time.monotonic()
    ((status, output, errors),) = ends([run])
    assert time.monotonic() - begun < 5
    assert (status, output) == (RESUME, "")
    last = f"main.py: stopped on {name}; run the same command to go on"
    assert errors.splitlines() == [line, last]


def test_a_worker_that_comes_late_is_waited_for(begin, tmp_path):
    path, texts = tmp_path / "run", tf_configs(3)
    of = addresses(texts[0])
    more = "--batch_size=90", "--epochs=1"
    first, gone = (begin(path, x, *more) for x in texts[:2])
    lines = [run.lines("stderr", 1)[0] for run in (first, gone)]
    assert f"waiting for {of[2]}" in lines[1]
    gone.send("SIGKILL")
    gone.finish()
    others = [begin(path, x, *more) for x in texts[1:]]
    found = ends([first, *others])
    assert [status for status, _, _ in found] == [0, 0, 0], found
    said = [lines[0], "main.py: all 3 workers are there"]
    assert found[0][2].splitlines() == said
    summary = json.loads((path / "summary.json").read_text())
    (layer, *_), counts = summary["layers"], summary["training_multiply_adds"]
    assert layer["shape"] == [64, 300]
    # Batches of 90 of 1500 images, whatever the workers are.
    assert counts == 3 * 1440 * summary["num_active"]


def test_a_port_in_use_is_said_in_a_line(begin, tmp_path):
    text = tf_configs()[0]
    port = int(addresses(text)[0].rpartition(":")[2])
    with socket.create_server(("localhost", port)):
        ((status, _, errors),) = ends([begin(tmp_path / "run", text)])
    assert status == 1
    assert len(errors.splitlines()) == 1, errors
    assert f"port {port} cannot be used (Address already in use)" in errors


@pytest.fixture(scope="module")
def limited(starter):
    """Returns, by index, the address that a worker misses, and its process."""
    texts = [tf_configs()[index] for index in range(2)]
    return [
        (addresses(x)[1 - index], start(starter, "wait.py", 2, TF_CONFIG=x))
        for index, x in enumerate(texts)
    ]


@pytest.mark.parametrize("index", [0, 1])
def test_the_wait_has_a_limit(limited, index):
    other, run = limited[index]
    ended = run.finish()
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == (
        "WorkersMissingError: All workers must start within 2 seconds. "
        f"Received: no answer from {other}"
    )


LONG = ("--epochs=4", "--checkpoint_steps=4")


def train(begin, path):
    """Starts two workers; returns them once both are in training."""
    runs = [begin(path, x, *LONG) for x in tf_configs()]
    assert runs[0].lines("stdout", 1)[0].startswith("epoch 1/4")
    return runs


def end_both(begin, path):
    """Runs two workers to their end; returns what the run has written."""
    for status, _, errors in ends(
        [begin(path, x, *LONG) for x in tf_configs()]
    ):
        assert (status, errors) == (0, "")
    with zipfile.ZipFile(path / "model.keras") as file:
        weights = file.read("model.weights.h5")
    return (path / "metrics.csv").read_bytes(), weights


@pytest.fixture(scope="module")
def whole(begin, tmp_path_factory):
    return end_both(begin, tmp_path_factory.mktemp("whole") / "run")


@pytest.mark.parametrize("index", [0, 1])
def test_without_a_worker_the_other_ends_and_both_go_on(
    begin, tmp_path, whole, index
):
    path = tmp_path / "run"
    runs = train(begin, path)
    runs[index].send("SIGKILL")
    begun = time.monotonic()
    found = ends(runs)
    assert time.monotonic() - begun < 30
    status, _, errors = found[1 - index]
    assert status == RESUME
    assert errors == (
        f"main.py: worker {index} ended, or cannot be reached; start all "
        "workers again to go on\n"
    )
    assert end_both(begin, path) == whole


# Of the others, `tests/trials.py` tries many.
@pytest.mark.parametrize("name, index", [("SIGTERM", 1), ("SIGINT", 0)])
def test_a_signal_to_one_ends_both_and_both_go_on(
    begin, tmp_path, whole, index, name
):
    path = tmp_path / "run"
    runs = train(begin, path)
    runs[index].send(name)
    # A second one changes nothing; SIGINT is a person's, and ends at once.
    if name != "SIGINT":
        time.sleep(0.02)
        runs[index].send(name)
    for status, _, errors in ends(runs):
        assert status == RESUME
        assert len(errors.splitlines()) == 1
        assert errors.endswith("; run the same command to go on\n")
    assert end_both(begin, path) == whole
