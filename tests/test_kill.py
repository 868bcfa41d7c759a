"""Runs that are killed, at any moment, and go on.

In short form here; `KILLS=20 python -m pytest tests/test_kill.py` kills one
run of each method that moves weights twenty times.
"""

import os
import random
import re
import resource
import signal
import time
import zipfile
from pathlib import Path

import pytest

from dsr_tf.runs.earlier import CHECKPOINTS
from tests.command_line import main
from tests.command_line import start

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("KILLS", "0"))
METHODS = ["dsr", "set", "deepr"] if KILLS else ["dsr"]
FLAGS = (
    "--epochs=8",
    "--period=5",
    "--checkpoint_steps=5",
    "--keep_best=val_accuracy",
)
RESUME = 75


def contents(path):
    """Returns metrics, and weights, masks and slots of the models of a run."""
    found = {"metrics": (path / "metrics.csv").read_bytes()}
    for name in ("model.keras", "best.keras", "initial.keras"):
        with zipfile.ZipFile(path / name) as file:
            found[name] = file.read("model.weights.h5")
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Returns what runs that nothing stopped have written."""
    found = {}
    for method in METHODS:
        path = tmp_path_factory.mktemp("runs") / method
        result = main(*FLAGS, f"--method={method}", f"--run_dir={path}")
        assert result.returncode == 0, result.stderr
        found[method] = contents(path)
    return found


def kill_while_writing(process, path, _):
    """Waits for a checkpoint that is being written."""
    while process.poll() is None and not any(path.glob("**/*_temp*")):
        time.sleep(0.0005)


def kill_later(process, path, generator):
    """Waits for a random time after the first checkpoint."""
    folder = path / CHECKPOINTS
    before = set(folder.glob("*"))
    while process.poll() is None and set(folder.glob("*")) <= before:
        time.sleep(0.01)
    time.sleep(generator.uniform(0, 0.6))


def kill_early(process, path, generator):
    """Waits for a random time after the process began."""
    time.sleep(generator.uniform(0, 8))


@pytest.mark.parametrize("method", METHODS)
def test_a_run_survives_any_kill(tmp_path, whole, method):
    generator = random.Random(method)
    path = tmp_path / "run"
    flags = (*FLAGS, f"--method={method}", f"--run_dir={path}")
    moments = [kill_later, kill_while_writing, kill_later, kill_early]
    kills = 0
    for attempt in range(KILLS or 3):
        process = start(*flags)
        moments[attempt % len(moments)](process, path, generator)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
    assert kills
    result = main(*flags)
    if "must not hold a finished run" not in result.stderr:
        assert result.returncode == 0, result.stderr
    assert contents(path) == whole[method]
    print(f"{method}: {kills} kills survived")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1", "SIGHUP"])
def test_a_signal_ends_a_run_that_goes_on(tmp_path, whole, name):
    path = tmp_path / "run"
    flags = (*FLAGS, f"--run_dir={path}")
    process = start(*flags)
    lines = [process.stdout.readline() for _ in range(2)]
    process.send_signal(getattr(signal, name))
    _, errors = process.communicate(timeout=30)
    assert process.returncode == RESUME
    assert f"on {name}; run the same command to go on" in errors
    assert len(errors.splitlines()) == 1
    result = main(*flags)
    assert result.returncode == 0
    first = result.stdout.splitlines()[0]
    assert first.startswith("resuming after epoch ")
    assert lines[0].startswith("epoch 1/8")
    assert contents(path) == whole["dsr"]


def test_sigterm_before_training_asks_to_be_run_again(tmp_path):
    process = start(f"--run_dir={tmp_path / 'run'}")
    while process.poll() is None and not _catches_sigterm(process.pid):
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == RESUME
    assert "run the same command to go on" in errors


def _catches_sigterm(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    caught = int(re.search(r"SigCgt:\s*(\w+)", status)[1], 16)
    return caught >> (signal.SIGTERM - 1) & 1


def test_a_full_disk_ends_a_run_and_leaves_its_checkpoint(tmp_path, whole):
    path = tmp_path / "run"
    flags = (*FLAGS, f"--run_dir={path}")
    process = start(*flags)
    folder = path / CHECKPOINTS
    while not any(folder.glob("*.index")):
        time.sleep(0.01)
    # Every file that grows beyond this fails to be written, as on a full disk.
    limit = (100_000, 100_000)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, limit)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert len(errors.splitlines()) == 1, errors
    assert any(folder.glob("*.index"))
    result = main(*flags)
    assert "resuming after" in result.stdout
    assert contents(path) == whole["dsr"]
