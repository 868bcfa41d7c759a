"""TFLite files, run in a process of their own."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

_PROGRAM = Path(__file__).with_name("interpreter.py")
# A sound file takes some seconds; a damaged one may run for ever.
_SECONDS = 300


def check_survives(path: Path) -> None:
    """Checks that the TFLite interpreter does not end the process.

    It does not verify what it reads: a damaged file may make it use memory that
    it does not have. Errors that it does raise are left to who loads the file.

    Args:
        path: A TFLite file.

    Raises:
        ValueError: If the interpreter crashes.
        subprocess.TimeoutExpired: If it does not end.
    """
    ended = _run(path)
    if ended.returncode < 0:
        raise ValueError(
            f"the file is damaged: it ends TFLite with {_signal(ended)}"
        )


def outputs_of(
    path: Path, inputs: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Runs a TFLite file.

    Args:
        path: A TFLite file.
        inputs: Arrays by the names of the file's inputs.

    Returns:
        Arrays by the names of the file's outputs. Bytes that stand for floats
        are decoded.

    Raises:
        RuntimeError: If the interpreter fails, crashes or does not end. The
            text says what the file does.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, found = (Path(folder) / f"{x}.npz" for x in ("given", "found"))
        np.savez(given, allow_pickle=False, **inputs)
        try:
            ended = _run(path, given, found)
        except subprocess.TimeoutExpired as error:
            text = f"runs for over {_SECONDS} seconds"
            raise RuntimeError(text) from error
        if ended.returncode < 0:
            raise RuntimeError(f"ends TFLite with {_signal(ended)}")
        if ended.returncode:
            raise RuntimeError(f"does not run ({_last_line(ended.stderr)})")
        with np.load(found) as file:
            return dict(file)


def _run(*arguments: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        # -P: no file beside the program, or here, stands for a module.
        [sys.executable, "-P", str(_PROGRAM), *map(str, arguments)],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=_SECONDS,
    )


def _signal(ended: subprocess.CompletedProcess[str]) -> str:
    return signal.Signals(-ended.returncode).name


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"
