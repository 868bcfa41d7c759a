"""What is exported into the folder of a run, by name."""

import itertools
import os
from pathlib import Path

from dsr_tf.exporting.tflite import ENCODINGS
from dsr_tf.exporting.tflite import TOLERANCES

EXPORTS = {
    "saved_model": "saved_model",
    "saved_model_dense": "saved_model_dense",
    "tflite": "model.tflite",
    "npz": "weights.npz",
    "csr": "weights_csr.npz",
}


def export_name(
    format: str,
    quantize: str | None = None,
    encoding: str = "auto",
    inputs: str | None = None,
    compute: str = "dense",
) -> str:
    """Returns the name of an export; exports that differ have their own."""
    start, dot, ending = EXPORTS[format].partition(".")
    chosen = encoding if encoding != "auto" else None
    computes = compute if compute != "dense" else None
    parts = [quantize, inputs and f"{inputs}_inputs", chosen, computes]
    return "_".join([start, *filter(None, parts)]) + dot + ending


def exports(folder: Path) -> list[Path]:
    """Returns the exports that are in the folder of a run."""
    chosen = itertools.product(TOLERANCES, ENCODINGS, (None, "int8"))
    names = {export_name(format) for format in EXPORTS}
    names |= {export_name("tflite", *each) for each in chosen}
    names.add(export_name("saved_model", compute="blocks"))
    paths = [folder / name for name in sorted(names)]
    return [path for path in paths if os.path.lexists(path)]
