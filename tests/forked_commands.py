"""Several runs of main.py that share the time TensorFlow takes to load."""

import json
import os
import runpy
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterable
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.command_line import ROOT

Finished = subprocess.CompletedProcess[str]


def run_each(commands: Iterable[Sequence[Any]]) -> list[Finished]:
    """Runs main.py once for each list of arguments, one after another.

    Each has a process to itself, forked of one that has done no more than
    import TensorFlow.
    """
    given = [[str(argument) for argument in command] for command in commands]
    process = subprocess.run(
        [sys.executable, "-m", "tests.forked_commands"],
        cwd=ROOT,
        # What main.py keeps off the screen while it imports TensorFlow comes
        # later here.
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert process.returncode == 0, process.stderr
    ends = json.loads(process.stdout)
    return [Finished(*end) for end in ends]


def _forked(arguments: list[str], folder: Path) -> tuple[Any, ...]:
    """Runs main.py in a child; returns what it ends with."""
    outputs = [folder / "stdout", folder / "stderr"]
    child = os.fork()
    if not child:
        for number, path in enumerate(outputs, start=1):
            os.dup2(
                os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY), number
            )
        os._exit(_status(arguments))
    _, status = os.waitpid(child, 0)
    written = [path.read_text() for path in outputs]
    return arguments, os.waitstatus_to_exitcode(status), *written


def _status(arguments: list[str]) -> int:
    sys.argv = ["main.py", *arguments]
    try:
        runpy.run_path("main.py", run_name="__main__")
    except SystemExit as end:
        return int(end.code or 0)
    # Broad: the child must not go on as if it were its parent.
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    commands = json.load(sys.stdin)
    import keras  # noqa: F401
    import tensorflow  # noqa: F401

    with tempfile.TemporaryDirectory() as made:
        ends = [_forked(command, Path(made)) for command in commands]
    json.dump(ends, sys.stdout)
