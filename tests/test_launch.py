"""The program by each of its names, and how it starts."""

import configparser
import os
import subprocess
import sys

import pytest

from dsr_tf import launch
from tests.command_line import ROOT

STUB = "from dsr_tf.__main__ import main\nmain()\n"


def ended(command, *arguments, **environment):
    """Runs the program by one of its names, to its end."""
    return subprocess.run(
        [sys.executable, *command, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture
def commands(tmp_path):
    (tmp_path / "dsr-tf").write_text(STUB)
    return {
        "main.py": ["main.py"],
        "dsr_tf": ["-m", "dsr_tf"],
        "dsr-tf": [str(tmp_path / "dsr-tf")],
    }


@pytest.mark.parametrize("name", ["main.py", "dsr_tf", "dsr-tf"])
def test_every_name_starts_the_program_quietly(commands, name):
    found = ended(commands[name], "--l1=-1")
    assert found.stdout == "" and found.returncode == 2
    assert found.stderr == f"{name}: flag --l1=-1: must be a number from 0\n"


@pytest.mark.parametrize("name", ["main.py", "dsr_tf", "dsr-tf"])
def test_a_start_that_fails_says_why(commands, tmp_path, name):
    (tmp_path / "tensorflow.py").write_text("raise ImportError('broken')\n")
    path = f"{tmp_path}{os.pathsep}{ROOT}"
    found = ended(commands[name], PYTHONPATH=path, KERAS_BACKEND="tensorflow")
    assert found.returncode == 1
    assert found.stderr.splitlines()[-1] == "ImportError: broken"


def test_other_programs_are_left_alone(tmp_path):
    (tmp_path / "main.py").write_text(
        "import signal\n"
        "import dsr_tf\n"
        "assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL\n"
        "print(dsr_tf.launch.is_program())\n"
    )
    assert ended([str(tmp_path / "main.py")]).stdout == "False\n"
    assert not launch.is_program()


def test_the_command_is_installed():
    parsed = configparser.ConfigParser()
    parsed.read(ROOT / "setup.cfg")
    (line,) = parsed["options.entry_points"]["console_scripts"].split("\n")[1:]
    assert line == "dsr-tf = dsr_tf.__main__:main"
