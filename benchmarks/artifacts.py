"""Sizes and latencies of exported networks.

    python -m benchmarks.artifacts [--rounds=15] [--quick] [--json=PATH]

Exports each network as it is before training, as its weights compress no
better or worse than trained ones, in every format, loads what was written,
compares outputs, and times it in turn with the dense SavedModel on the same
batch. Sizes are in thousands of bytes; "bound" is what values and mask need at
least, and the ratio beside it that of the packed kernels. Latencies are
medians of the ratios to the dense SavedModel, which stands with its time.
Quick, it is the smallest network alone.
"""

import gzip
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import keras
import numpy as np
import tensorflow as tf

import dsr_tf
from benchmarks import command
from benchmarks import timing
from dsr_tf.exporting.interpreter import interpreter
from dsr_tf.layers import sparse_layers
from dsr_tf.models import lenet_300_100
from dsr_tf.models import resnet50
from dsr_tf.models import wide_resnet

BATCH = 8
NETWORKS: dict[str, Callable[[], keras.Model]] = {
    "lenet-.99": lambda: lenet_300_100(sparsity=0.99),
    "wrn-28-2-.9": lambda: wide_resnet(28, 2, sparsity=0.9),
    "resnet50-.8": lambda: resnet50(sparsity=0.8),
    "resnet50-.9": lambda: resnet50(sparsity=0.9),
}


def size(path: Path) -> int:
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file())


def gzipped(path: Path) -> int:
    return sum(
        len(gzip.compress(file.read_bytes()))
        for file in path.rglob("*")
        if file.is_file()
    )


def bound(model: keras.Model) -> float:
    total = 0.0
    for layer in sparse_layers(model):
        count = int(np.prod(layer.kernel.shape))
        p = layer.num_active / count
        entropy = -p * np.log2(p) - (1 - p) * np.log2(1 - p)
        total += (32 * layer.num_active + count * entropy) / 8
    return total


def tflite_runner(path: Path, images: np.ndarray) -> Callable[[], np.ndarray]:
    loaded = interpreter(path, num_threads=2)
    run = loaded.get_signature_runner("serving_default")
    (name,) = run.get_input_details()
    return lambda: run(**{name: images})["output_0"]


def measured(name: str, rounds: int) -> dict[str, Any]:
    model = NETWORKS[name]()
    images = np.random.default_rng(0).normal(
        size=(BATCH, *model.input_shape[1:])
    )
    images = images.astype("float32")
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for form in ("saved_model_dense", "saved_model", "tflite"):
            paths[form] = Path(folder) / form
            dsr_tf.export(model, paths[form], form, verbose=False)
        tensor = tf.constant(images)
        served = [
            tf.saved_model.load(paths[form])
            for form in ("saved_model_dense", "saved_model")
        ]
        runs = {
            "dense": lambda: served[0].serve(tensor).numpy(),
            "packed": lambda: served[1].serve(tensor).numpy(),
            "tflite": tflite_runner(paths["tflite"], images),
        }
        outputs = [run() for run in runs.values()]
        assert (outputs[0] == outputs[1]).all()
        assert np.allclose(outputs[0], outputs[2], atol=1e-3)
        times = timing.alternate(
            {name: timing.timed(run) for name, run in runs.items()}, rounds
        )
        return {
            "bytes": {
                "dense": size(paths["saved_model_dense"]),
                "gzip": gzipped(paths["saved_model_dense"]),
                "packed": size(paths["saved_model"]),
                "tflite": size(paths["tflite"]),
                "bound": bound(model),
            },
            "kernels_to_bound": size(paths["saved_model"] / "assets")
            / bound(model),
            "dense_seconds": timing.summary(times["dense"]),
            "packed_to_dense": timing.summary(times["packed"], times["dense"]),
            "tflite_to_dense": timing.summary(times["tflite"], times["dense"]),
        }


def measure(rounds: int, quick: bool) -> dict[str, Any]:
    names = list(NETWORKS)[:1] if quick else list(NETWORKS)
    return {name: measured(name, rounds) for name in names}


def show(results: dict[str, Any]) -> None:
    print(
        "| network | dense | gzip of it | packed | TFLite | bound | kernels / "
        "bound | latency, dense | packed | TFLite |"
    )
    print("|" + "---|" * 10)
    for name, row in results.items():
        cells = [f"{count / 1000:,.0f}" for count in row["bytes"].values()]
        cells += [
            f"{row['kernels_to_bound']:.3f}",
            f"{1000 * row['dense_seconds']['median']:.1f} ms",
            f"{row['packed_to_dense']['median']:.2f}",
            f"{row['tflite_to_dense']['median']:.2f}",
        ]
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    command.main(__doc__, 15, measure, show)
