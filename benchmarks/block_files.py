"""Latencies of exported networks that compute with blocks.

    python -m benchmarks.block_files [--rounds=9] [--quick] [--json=PATH]

The network has three dense layers and a head of ten outputs, and random weights
in a tenth of its blocks. As a SavedModel with `compute="blocks"` it is timed in
turn with the dense SavedModel, by TensorFlow's loader and by that of sessions:
ten calls a round, medians of the ratios of dense to blocks. As a TFLite file it
is timed in turn with the dense-encoded one on an Arm processor, be it emulated,
if there is one as `benchmarks.arm` says: one call a round, on one thread.
Quick, it is one small network each.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import keras
import numpy as np
import tensorflow as tf

import dsr_tf
from benchmarks import arm
from benchmarks import command
from benchmarks import timing
from benchmarks.artifacts import size
from dsr_tf.exporting.comparison import tolerance_of
from dsr_tf.exporting.tflite import TOLERANCES
from dsr_tf.exporting.tflite import write_tflite
from dsr_tf.layers import sparse_layers

TIMES = Path(__file__).with_name("arm_times.py")
WIDTH = 2048
BATCHES = (1, 32)
CALLS = 10
BLOCKS = ((16, 16), (32, 32))
# Width, granularity, quantization and batch. A large batch takes an emulator
# minutes, if it is of a large network.
ON_ARM: tuple[tuple[int, Any, str | None, int], ...] = (
    (2048, "weight", None, 1),
    (2048, (4, 1), None, 1),
    (2048, (16, 16), None, 1),
    (512, (4, 1), None, 32),
    (512, (16, 16), None, 32),
    (512, (16, 16), "int8", 1),
    (512, (16, 16), "int8", 32),
)
Run = Callable[[], np.ndarray]


def network(width: int, granularity: Any) -> keras.Model:
    keras.utils.set_random_seed(0)
    hidden = [keras.layers.Dense(width, activation="relu") for _ in range(3)]
    dense = keras.Sequential(
        [keras.Input((width,)), *hidden, keras.layers.Dense(10)]
    )
    return dsr_tf.sparsify(dense, 0.9, granularity=granularity)


def examples(width: int, batch: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(batch, width)).astype("float32")


def by_tensorflow(path: Path, x: np.ndarray) -> Run:
    loaded, given = tf.saved_model.load(path), tf.constant(x)
    return lambda: loaded.serve(given).numpy()


def by_session(path: Path, x: np.ndarray, stack: ExitStack) -> Run:
    v1 = tf.compat.v1
    session = v1.Session(graph=tf.Graph())
    stack.callback(session.close)
    with session.graph.as_default():
        graph = v1.saved_model.load(session, ["serve"], str(path))
    signature = graph.signature_def["serving_default"]
    (given,) = [side.name for side in signature.inputs.values()]
    (found,) = [side.name for side in signature.outputs.values()]
    return lambda: session.run(found, {given: x})


def ratio(dense: Run, blocks: Run, rounds: int) -> dict[str, float]:
    """Times both in turn; returns how many times as fast blocks are."""
    outputs = dense(), blocks()
    assert np.allclose(*outputs, atol=1e-3 * np.abs(outputs[0]).max())
    runs = {"dense": dense, "blocks": blocks}
    times = timing.alternate(
        {
            name: timing.timed(lambda run=run: [run() for _ in range(CALLS)])
            for name, run in runs.items()
        },
        rounds,
        warm_up=2,
    )
    return timing.summary(times["dense"], times["blocks"]) | {
        "dense_seconds": timing.summary(times["dense"])["median"] / CALLS
    }


def saved_models(
    width: int, block: tuple[int, int], batches: Sequence[int], rounds: int
) -> list[dict[str, Any]]:
    model, rows = network(width, block), []
    values = sum(4 * x.num_active for x in sparse_layers(model))
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        dense, blocks = (Path(folder) / name for name in ("dense", "blocks"))
        dsr_tf.export(model, dense, "saved_model_dense", verbose=False)
        dsr_tf.export(model, blocks, compute="blocks", verbose=False)
        for batch in batches:
            x = examples(width, batch)
            loaders = {
                "TensorFlow": (by_tensorflow, ()),
                "session": (by_session, (stack,)),
            }
            for name, (load, more) in loaders.items():
                runs = [load(path, x, *more) for path in (dense, blocks)]
                rows.append(
                    {
                        "width": width,
                        "block": block,
                        "batch": batch,
                        "loader": name,
                        "bytes": size(blocks),
                        "values": values,
                        "faster": ratio(*runs, rounds),
                    }
                )
    return rows


def on_arm(
    width: int,
    granularity: Any,
    quantize: str | None,
    batch: int,
    rounds: int,
) -> dict[str, Any]:
    """Runs the sparse-encoded and the dense-encoded file of a network."""
    model, x = network(width, granularity), examples(width, 16)
    share = max(TOLERANCES[quantize], tolerance_of(model))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [folder / kind for kind in ("dense", "auto")]
        notes = [
            write_tflite(model, path, quantize, x, encoding=path.name)
            for path in files
        ]
        found = arm.outcome(files[1], model, x[:1], share)
        times = folder / "times.json"
        arguments = [rounds, batch, times, *files]
        ended = arm.run(str(TIMES), *map(str, arguments))
        if ended.returncode:
            sys.exit(ended.stderr)
        dense, sparse = json.loads(times.read_text())
    return {
        "width": width,
        "granularity": granularity,
        "quantize": quantize,
        "batch": batch,
        "encoding": notes[1],
        "found": found,
        "faster": timing.summary(dense, sparse),
        "dense_seconds": timing.summary(dense)["median"],
    }


def measure(rounds: int, quick: bool) -> dict[str, Any]:
    width, batches = (1024, (1,)) if quick else (WIDTH, BATCHES)
    rows = [
        row
        for block in (BLOCKS[1:] if quick else BLOCKS)
        for row in saved_models(width, block, batches, rounds)
    ]
    missing = arm.missing()
    cases = ((512, (16, 16), None, 1),) if quick else ON_ARM
    tried = () if missing else cases
    return {
        "saved_models": rows,
        "missing": missing,
        "tflite": [on_arm(*case, rounds) for case in tried],
    }


def show(results: dict[str, Any]) -> None:
    columns = ("width", "blocks", "batch", "loader", "bytes / values")
    command.table(
        (*columns, "dense", "times as fast"),
        map(_saved_model_cells, results["saved_models"]),
    )
    print()
    if results["missing"]:
        print(f"TFLite is not timed: {results['missing']}")
        return
    columns = ("width", "granularity", "quantize", "batch", "encoding")
    command.table(
        (*columns, "on Arm", "dense", "times as fast"),
        map(_tflite_cells, results["tflite"]),
    )


def _saved_model_cells(row: dict[str, Any]) -> list[str]:
    return [
        str(row["width"]),
        "×".join(map(str, row["block"])),
        str(row["batch"]),
        row["loader"],
        f"{row['bytes'] / row['values']:.3f}",
        f"{1000 * row['faster']['dense_seconds']:.2f} ms",
        timing.ranged(row["faster"], 1),
    ]


def _tflite_cells(row: dict[str, Any]) -> list[str]:
    units = row["granularity"]
    return [
        str(row["width"]),
        units if isinstance(units, str) else "×".join(map(str, units)),
        row["quantize"] or "–",
        str(row["batch"]),
        row["encoding"].removeprefix("encoded "),
        row["found"],
        f"{1000 * row['dense_seconds']:.2f} ms",
        timing.ranged(row["faster"], 1),
    ]


if __name__ == "__main__":
    command.main(__doc__, 9, measure, show)
