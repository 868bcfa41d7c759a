"""The command line, as a user runs it: in a process of its own."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLAGFILES = sorted((ROOT / "flags").glob("*.cfg"))


def main(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "main.py", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


def assert_refused(result, message, status):
    assert result.returncode == status
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert re.search(message, result.stderr), result.stderr


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "run"
    return path, main(f"--run_dir={path}", "--epochs=2", "--period=15")


def test_run_tells_what_it_did(finished):
    path, result = finished
    assert result.returncode == 0
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert len(lines) == 2 + 5
    assert lines[0].startswith("epoch 1/2  loss ")
    summary = json.loads((path / "summary.json").read_text())
    assert f"{summary['test_accuracy']:.4f}" in lines[2]
    assert "5,020 of 50,200 weights (0.1 kept)" in lines[3]
    assert f"{summary['weights_moved']:,} in 2 reallocations" in lines[5]
    assert lines[6].endswith(str(path))


def test_flags_of_a_run_run_again(finished, tmp_path):
    path, _ = finished
    again = tmp_path / "again"
    result = main(f"--flagfile={path / 'flags.cfg'}", f"--run_dir={again}")
    assert result.returncode == 0
    assert (again / "flags.cfg").read_text() == (path / "flags.cfg").read_text()
    accuracy = [
        json.loads((p / "summary.json").read_text())["test_accuracy"]
        for p in (path, again)
    ]
    assert accuracy[0] == accuracy[1]


def test_second_run_is_refused(finished):
    path, _ = finished
    result = main(f"--run_dir={path}", "--epochs=2")
    assert_refused(result, r"must not hold a finished run. Add --overwrite", 1)


@pytest.mark.parametrize(
    "flag, message",
    [
        ("--sparsity=1", "a number from 0, below 1"),
        ("--sparsity=nan", "a number from 0, below 1"),
        ("--momentum=1.5", "a number from 0, below 1"),
        ("--l1=-1", "a number from 0"),
        ("--initial_threshold=0", "a number above 0"),
        ("--epochs=0", "is not a positive integer"),
        ("--num_pruned=0", "is not a positive integer"),
        ("--method=rigl", "should be one of <dsr|static>"),
        ("--learning_rate=0:0.1,25", "a schedule of EPOCH:VALUE"),
        ("--learning_rate=5:0.1", "an entry for epoch 0"),
        ("--learning_rate=0:inf", "a schedule of EPOCH:VALUE"),
        ("--period=0:0", "a schedule of EPOCH:VALUE"),
        ("--period=0:1.5", "a schedule of EPOCH:VALUE"),
        ("--period=0:5,0:6", "a schedule of EPOCH:VALUE"),
        ("--no_such_flag", "Unknown command line flag"),
        ("--seed=5000000000", "integer in the range"),
        ("stray", "unexpected argument 'stray'"),
    ],
)
def test_bad_values_are_refused(flag, message):
    assert_refused(main(flag), message, 2)


def test_budget_that_is_too_small_is_refused(tmp_path):
    result = main(f"--run_dir={tmp_path}", "--num_pruned=6000")
    assert_refused(result, "`num_pruned` must be smaller than the budget", 1)


def test_data_that_cannot_be_had_is_one_line(tmp_path):
    # A proxy that nobody serves: no network, wherever this runs.
    nowhere = "http://127.0.0.1:9"
    result = main(
        "--dataset=fashion_mnist",
        f"--data_dir={tmp_path}",
        f"--run_dir={tmp_path / 'run'}",
        **{key: nowhere for key in ("http_proxy", "https_proxy")},
        **{key: nowhere for key in ("HTTP_PROXY", "HTTPS_PROXY")},
    )
    assert_refused(result, "fashion_mnist' is not at .*tfds build", 1)
    assert not (tmp_path / "run").exists()


def test_help_lists_flags_with_their_defaults():
    result = main("--help")
    text = " ".join(result.stdout.split())
    assert "(default: '0.9') (a number from 0, below 1)" in text
    assert "--period" in text and "Traceback" not in result.stderr


def test_there_are_flagfiles():
    assert FLAGFILES


@pytest.mark.parametrize("path", FLAGFILES, ids=lambda p: p.stem)
def test_flagfiles_parse_and_say_what_they_are(path):
    text = path.read_text()
    lines = text.splitlines()
    assert lines[0].startswith("# ")
    assert f"python main.py --flagfile=flags/{path.name}" in text
    assert "Published:" in text and "Time:" in text
    assert all(line.startswith(("#", "--")) for line in lines)
    # It gets past the flags, and no further.
    result = main(f"--flagfile={path}", "stray")
    assert_refused(result, "unexpected argument 'stray'", 2)
