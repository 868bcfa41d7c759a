"""Runs of main.py by two workers, which something befalls."""

import pytest

from tests.command_line import start
from tests.processes import TIMEOUT
from tests.processes import tf_configs

pytestmark = pytest.mark.slow

FLAGS = ("--strategy=multi_worker", "--epochs=3")


def begin(path, *each):
    """Starts workers, each with flags of its own besides the common ones."""
    return [
        start(*FLAGS, f"--run_dir={path}", *own, TF_CONFIG=text)
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
