"""Tries a TFLite file in a process of its own."""

import signal
import subprocess
import sys
from pathlib import Path

_PROGRAM = """
import sys
import numpy as np
import tensorflow as tf
runner = tf.lite.Interpreter(sys.argv[1]).get_signature_runner()
inputs = runner.get_input_details().items()
runner(**{name: np.zeros(x["shape"], x["dtype"]) for name, x in inputs})
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
    ended = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=_SECONDS,
    )
    if ended.returncode < 0:
        name = signal.Signals(-ended.returncode).name
        raise ValueError(f"the file is damaged: it ends TFLite with {name}")
