"""TFLite files, run in a process of their own."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

# Arguments: the file, and where inputs are and outputs go; without these two
# the inputs are zeros. Files that take and give bytes for floats are given
# floats, and give floats.
_PROGRAM = """
import sys
import warnings
import numpy as np
import tensorflow as tf

warnings.simplefilter("ignore")

def encoded(value, details):
    scale, zero = details["quantization"]
    if value.dtype == details["dtype"] or not scale:
        return value
    limits = np.iinfo(details["dtype"])
    steps = np.round(value / scale) + zero
    return np.clip(steps, limits.min, limits.max).astype(details["dtype"])

def decoded(value, details):
    if value.dtype == object:
        return value.astype("S")
    scale, zero = details["quantization"]
    return (value.astype("float32") - zero) * scale if scale else value

runner = tf.lite.Interpreter(sys.argv[1]).get_signature_runner()
details = runner.get_input_details()
if len(sys.argv) > 2:
    with np.load(sys.argv[2]) as file:
        inputs = {name: encoded(file[name], x) for name, x in details.items()}
else:
    inputs = {n: np.zeros(x["shape"], x["dtype"]) for n, x in details.items()}
outputs = runner(**inputs)
if len(sys.argv) > 2:
    details = runner.get_output_details()
    outputs = {name: decoded(outputs[name], x) for name, x in details.items()}
    np.savez(sys.argv[3], **outputs)
"""
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
        [sys.executable, "-c", _PROGRAM, *map(str, arguments)],
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
