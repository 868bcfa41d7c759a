"""Whether an Arm processor computes what exported TFLite files are to compute.

    python -m benchmarks.arm [--quick] [--json=PATH]

Exports networks as TFLite files, runs each on one example by a program that
`ARM_RUN` names, else by `../shared/arm/run.sh` beside the repository, and
compares outputs with the model's. That program runs a Python script with its
arguments on an Arm processor, be it emulated, with NumPy and
`ai-edge-litert`. Outputs are right where they differ by no more than `export`
allows. The last column is of the sparse-encoded file where `export` takes the
dense one. Times are not measured, as emulators are slow. Quick, it is two small
networks in single precision.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import keras
import numpy as np

from benchmarks import arm_networks
from benchmarks import command
from dsr_tf.exporting import interpreter
from dsr_tf.exporting.comparison import difference
from dsr_tf.exporting.comparison import tolerance_of
from dsr_tf.exporting.signature import input_names
from dsr_tf.exporting.tflite import TOLERANCES
from dsr_tf.exporting.tflite import write_tflite

ROOT = Path(__file__).parents[1]
BESIDE = ROOT.parent / "shared/arm/run.sh"
PROGRAM = Path(os.environ.get("ARM_RUN", BESIDE)).absolute()
# An emulator takes some seconds; a faulty runtime might not end.
SECONDS = 120
EXAMPLES = 16


def missing() -> str | None:
    """Says in a line what is missing to run files on Arm, if anything."""
    if not PROGRAM.is_file():
        return (
            "no Arm processor: ARM_RUN must name a program that runs Python "
            f"scripts on one; there is no {PROGRAM}"
        )
    ended = run("-c", "import ai_edge_litert.interpreter")
    if not ended.returncode:
        return None
    return f"no Arm processor: {PROGRAM} fails ({_last_line(ended.stderr)})"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(PROGRAM), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=SECONDS,
    )


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[-1]


def outcome(
    path: Path, model: keras.Model, example: np.ndarray, share: float
) -> str:
    """Runs a file on Arm; says that it is right, or what it does."""
    with tempfile.TemporaryDirectory() as folder:
        given, found = (Path(folder) / f"{x}.npz" for x in ("given", "found"))
        np.savez(given, **{input_names(model)[0]: example})
        try:
            ended = run(interpreter.__file__, *map(str, (path, given, found)))
        except subprocess.TimeoutExpired:
            return f"runs for over {SECONDS} seconds"
        if ended.returncode:
            return f"does not run ({_last_line(ended.stderr)})"
        with np.load(found) as file:
            outputs = list(file.values())
    expected = [np.asarray(model(example, training=False))]
    return difference(outputs, expected, share) or "right"


def measured(name: str, quantize: str | None) -> dict[str, Any]:
    model = arm_networks.trained(name)
    shape = (EXAMPLES, *model.input_shape[1:])
    examples = np.random.default_rng(0).normal(size=shape).astype("float32")
    share = max(TOLERANCES[quantize], tolerance_of(model))
    row: dict[str, Any] = {"network": name, "quantize": quantize}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        row["encoding"] = write_tflite(model, path, quantize, examples)
        row["bytes"] = path.stat().st_size
        row["found"] = outcome(path, model, examples[:1], share)
        row["sparse"] = None
        if row["encoding"] != "encoded sparse":
            row["sparse"] = sparse_outcome(model, quantize, examples, share)
    return row


def sparse_outcome(
    model: keras.Model, quantize: str | None, examples: np.ndarray, share: float
) -> str:
    """Says what the sparse-encoded file of a network does."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sparse.tflite"
        try:
            write_tflite(model, path, quantize, examples, encoding="sparse")
        except (RuntimeError, ValueError):
            return "not written"
        return outcome(path, model, examples[:1], share)


def measure(rounds: int, quick: bool) -> dict[str, Any]:
    if reason := missing():
        sys.exit(reason)
    names = arm_networks.SMALL if quick else tuple(arm_networks.NETWORKS)
    kinds = (None,) if quick else (None, "float16", "int8")
    return {"files": [measured(n, kind) for n in names for kind in kinds]}


def show(results: dict[str, Any]) -> None:
    columns = ("network", "quantize", "KB", "encoding", "on Arm", "sparse")
    rows = (
        (
            row["network"],
            row["quantize"] or "–",
            f"{row['bytes'] / 1000:,.0f}",
            row["encoding"].removeprefix("encoded "),
            row["found"],
            row["sparse"] or "–",
        )
        for row in results["files"]
    )
    command.table(columns, rows)


if __name__ == "__main__":
    command.main(__doc__, 1, measure, show)
