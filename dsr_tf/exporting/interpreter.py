"""Runs a TFLite file. `trial.py` starts this file as a program of its own.

It imports nothing of this library, which would take time to load. LiteRT is the
interpreter where it is installed, as its Python package `ai-edge-litert`; else
TensorFlow's, which takes as long to load as TensorFlow.
"""

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np


def interpreter(path: str | Path, **options: Any) -> Any:
    """Returns an interpreter of a TFLite file.

    Args:
        path: The file.
        options: Further arguments of the interpreter's class.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        import tensorflow as tf

        Interpreter = tf.lite.Interpreter  # noqa: N806
    with warnings.catch_warnings():
        # TensorFlow's announces its successor.
        warnings.simplefilter("ignore", UserWarning)
        return Interpreter(str(path), **options)


def encoded(value: np.ndarray, details: Any) -> np.ndarray:
    """Returns floats in the bytes that an input takes instead, if it does.

    Args:
        value: What is to be given to the input.
        details: What the interpreter tells of the input.
    """
    scale, zero = details["quantization"]
    if value.dtype == details["dtype"] or not scale:
        return value
    limits = np.iinfo(details["dtype"])
    steps = np.round(value / scale) + zero
    return np.clip(steps, limits.min, limits.max).astype(details["dtype"])


def decoded(value: np.ndarray, details: Any) -> np.ndarray:
    """Returns the floats for which an output gives bytes, if it does.

    Args:
        value: What the output gave.
        details: What the interpreter tells of the output.
    """
    scale, zero = details["quantization"]
    return (value.astype("float32") - zero) * scale if scale else value


def main(path: str, given: str | None = None, found: str | None = None) -> None:
    """Runs a file on the arrays in one file, and writes others to another.

    Without these two files its inputs are zeros.
    """
    warnings.simplefilter("ignore")
    runner = interpreter(path).get_signature_runner()
    details = runner.get_input_details()
    if given is None or found is None:
        runner(
            **{n: np.zeros(x["shape"], x["dtype"]) for n, x in details.items()}
        )
        return
    with np.load(given) as file:
        inputs = {name: encoded(file[name], x) for name, x in details.items()}
    outputs = runner(**inputs)
    details = runner.get_output_details()
    arrays = {name: decoded(outputs[name], x) for name, x in details.items()}
    # NumPy writes no objects; texts are such.
    kept = {
        k: x.astype("S") if x.dtype == object else x for k, x in arrays.items()
    }
    np.savez(found, allow_pickle=False, **kept)


if __name__ == "__main__":
    main(*sys.argv[1:])
