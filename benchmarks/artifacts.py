"""Sizes and latencies of exported networks.

    python -m benchmarks.artifacts [--rounds=15] [NETWORK ...]

Exports each network as it is before training, as its weights compress no
better or worse than trained ones, in every format, loads what was written,
compares outputs, and times it in turn with the dense SavedModel on the same
batch. Sizes are in thousands of bytes; "bound" is what values and mask need at
least, and the ratio beside it that of the packed kernels. Latencies are
medians of the ratios to the dense SavedModel, which stands with its time.
"""

import argparse
import gzip
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import keras
import numpy as np
import tensorflow as tf

import dsr_tf
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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        interpreter = tf.lite.Interpreter(str(path), num_threads=2)
    run = interpreter.get_signature_runner("serving_default")
    (name,) = run.get_input_details()
    return lambda: run(**{name: images})["output_0"]


def row(name: str, rounds: int) -> str:
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
        runs = [
            lambda: served[0].serve(tensor).numpy(),
            lambda: served[1].serve(tensor).numpy(),
            tflite_runner(paths["tflite"], images),
        ]
        outputs = [run() for run in runs]
        assert (outputs[0] == outputs[1]).all()
        assert np.allclose(outputs[0], outputs[2], atol=1e-3)
        times = [[seconds(run) for run in runs] for _ in range(rounds + 1)][1:]
        kernels = size(paths["saved_model"] / "assets")
        sizes = [
            size(paths["saved_model_dense"]),
            gzipped(paths["saved_model_dense"]),
            size(paths["saved_model"]),
            size(paths["tflite"]),
            bound(model),
        ]
    cells = [f"{value / 1000:,.0f}" for value in sizes]
    cells.append(f"{kernels / bound(model):.3f}")
    cells.append(f"{1000 * statistics.median(t[0] for t in times):.1f} ms")
    for i in (1, 2):
        cells.append(f"{statistics.median(t[i] / t[0] for t in times):.2f}")
    return f"| {name} | " + " | ".join(cells) + " |"


def seconds(run: Callable[[], np.ndarray]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("networks", nargs="*", default=list(NETWORKS))
    arguments = parser.parse_args()
    print(
        "| network | dense | gzip of it | packed | TFLite | bound | kernels / "
        "bound | latency, dense | packed | TFLite |"
    )
    print("|" + "---|" * 10)
    for name in arguments.networks:
        print(row(name, arguments.rounds), flush=True)


if __name__ == "__main__":
    main()
