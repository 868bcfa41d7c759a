"""What a run says of its starts: date, command, versions."""

import json
import platform
import sys
from datetime import UTC
from datetime import datetime

import keras
import pytest
import tensorflow as tf

import dsr_tf
from dsr_tf import launch
from dsr_tf import runs
from dsr_tf.runs.folder import RunFolder
from dsr_tf.runs.history import read_history
from dsr_tf.runs.history import this_start
from tests.configs import config


def test_a_start_says_date_and_versions():
    start = this_start(resumes=False)
    age = datetime.now(UTC) - datetime.fromisoformat(start["date"])
    assert 0 <= age.total_seconds() < 3600
    assert start["versions"] == {
        "dsr_tf": dsr_tf.__version__,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "python": platform.python_version(),
    }
    # The tests are another program.
    assert start["command"] is None and start["resumes"] is False


@pytest.mark.parametrize(
    "program, begins",
    [("main.py", "python main.py"), ("dsr-tf", "dsr-tf")],
)
def test_a_command_can_be_repeated(monkeypatch, program, begins):
    monkeypatch.setattr("dsr_tf.launch.is_program", lambda: True)
    words = [f"/a/{program}", "--model=my model", "--seed=1"]
    monkeypatch.setattr(sys, "argv", words)
    assert launch.command() == f"{begins} '--model=my model' --seed=1"


def test_more_epochs_are_another_start(tmp_path):
    for epochs in (1, 2):
        path = tmp_path / "run"
        flags = f"--dataset=digits\n--epochs={epochs}\n"
        runs.run(config(path, epochs=epochs, flags=flags))
        starts = read_history(path)
        assert [x["resumes"] for x in starts] == [False, True][:epochs]


def test_a_new_run_has_no_start_of_the_old_one(tmp_path):
    folder = RunFolder(tmp_path, overwrite=True)
    for seed in range(2):
        with folder.owned():
            folder.begin(f"--seed={seed}")
            folder.add_start(this_start(resumes=False))
    assert len(read_history(tmp_path)) == 1


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"[" * 100_000, b"{}", b"[{}]", b'[{"date": "x"}]', None],
)
def test_what_cannot_be_read_is_begun_anew(tmp_path, content):
    if content is not None:
        (tmp_path / "history.json").write_bytes(content)
    assert read_history(tmp_path) == []
    start = this_start(resumes=True)
    RunFolder(tmp_path).add_start(start)
    assert read_history(tmp_path) == [start]


@pytest.mark.parametrize(
    "change",
    [
        {"date": 3},
        {"resumes": "no"},
        {"command": ["python"]},
        {"versions": None},
        {"versions": {"keras": 3}},
    ],
)
def test_what_is_of_another_kind_is_no_history(tmp_path, change):
    start = this_start(resumes=False) | change
    (tmp_path / "history.json").write_text(json.dumps([start]))
    assert read_history(tmp_path) == []
