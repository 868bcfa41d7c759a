"""Runs of main.py, each in a process of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def start(
    *arguments: Any, folder: Path = ROOT, **environment: str
) -> subprocess.Popen[str]:
    """Starts main.py, that of a folder, and returns its process."""
    return subprocess.Popen(
        [sys.executable, "main.py", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # It is ignored where the tests run in the background of a shell.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def main(
    *arguments: Any, folder: Path = ROOT, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs main.py, that of a folder, to its end."""
    process = start(*arguments, folder=folder, **environment)
    try:
        stdout, stderr = process.communicate(timeout=300)
    finally:
        process.kill()
    return subprocess.CompletedProcess(
        process.args, process.returncode, stdout, stderr
    )
