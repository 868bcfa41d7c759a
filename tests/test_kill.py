"""Runs that are ended at certain moments; `test_trials.py` ends them at any."""

import re
import resource
import signal
import time
import zipfile
from pathlib import Path

import pytest

from dsr_tf.runs.earlier import CHECKPOINTS
from tests.command_line import start

pytestmark = pytest.mark.slow

FLAGS = (
    "--epochs=8",
    "--period=5",
    "--checkpoint_steps=5",
    "--keep_best=val_accuracy",
)
RESUME = 75
PATIENCE = 300


def contents(path):
    """Returns metrics, and weights, masks and slots of the models of a run."""
    found = {"metrics": (path / "metrics.csv").read_bytes()}
    for name in ("model.keras", "best.keras", "initial.keras"):
        with zipfile.ZipFile(path / name) as file:
            found[name] = file.read("model.weights.h5")
    return found


def finish(starter, path):
    """Lets a run go on to its end; returns what it printed."""
    run = starter.start(*FLAGS, f"--run_dir={path}")
    assert run.wait(PATIENCE) == 0, run.text("stderr")
    return run.text("stdout")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, starter):
    """Returns what a run that nothing stopped has written."""
    path = tmp_path_factory.mktemp("runs") / "whole"
    finish(starter, path)
    return contents(path)


def test_a_run_survives_kills_while_it_writes(tmp_path, starter, whole):
    path = tmp_path / "run"
    kills = 0
    for _ in range(3):
        run = starter.start(*FLAGS, f"--run_dir={path}")
        while run.poll() is None and not any(path.glob("**/*_temp*")):
            time.sleep(0.0005)
        run.send("SIGKILL")
        kills += run.wait(PATIENCE) == -signal.SIGKILL
    assert kills
    finish(starter, path)
    assert contents(path) == whole


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1", "SIGHUP"])
def test_a_signal_ends_a_run_that_goes_on(tmp_path, starter, whole, name):
    path = tmp_path / "run"
    run = starter.start(*FLAGS, f"--run_dir={path}")
    while len(run.text("stdout").splitlines()) < 2:
        assert run.wait(0.01) is None
    run.send(name)
    assert run.wait(PATIENCE) == RESUME
    errors = run.text("stderr")
    assert f"on {name}; run the same command to go on" in errors
    assert len(errors.splitlines()) == 1
    assert run.text("stdout").startswith("epoch 1/8")
    assert finish(starter, path).startswith("resuming after epoch ")
    assert contents(path) == whole


def test_sigterm_before_training_asks_to_be_run_again(tmp_path):
    process = start(f"--run_dir={tmp_path / 'run'}")
    while process.poll() is None and not _catches_sigterm(process.pid):
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == RESUME
    assert "run the same command to go on" in errors


def _catches_sigterm(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    caught = int(re.search(r"SigCgt:\s*(\w+)", status)[1], 16)
    return caught >> (signal.SIGTERM - 1) & 1


def test_a_full_disk_ends_a_run_and_leaves_its_checkpoint(
    tmp_path, starter, whole
):
    path = tmp_path / "run"
    run = starter.start(*FLAGS, f"--run_dir={path}")
    folder = path / CHECKPOINTS
    while not any(folder.glob("*.index")):
        assert run.wait(0.01) is None
    # Every file that grows beyond this fails to be written, as on a full disk.
    resource.prlimit(run.pid, resource.RLIMIT_FSIZE, (100_000, 100_000))
    assert run.wait(PATIENCE) == 1
    assert len(run.text("stderr").splitlines()) == 1, run.text("stderr")
    assert any(folder.glob("*.index"))
    assert "resuming after" in finish(starter, path)
    assert contents(path) == whole
