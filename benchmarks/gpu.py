"""Checks and times this library on the GPUs of a machine, with one command.

    python -m benchmarks.gpu --out=FOLDER [--rounds=5] [--quick]

It finds out what the machine has; trains on one device and on replicas on all
of them, and compares; trains WRN-28-2 with every method, in float32 and in
float16, and sees that budgets are exact and weights finite; and times steps and
reallocations. FOLDER then holds `gpu.json`, with every number, and `gpu.md`, a
page to attach to an issue. Without a GPU it does the same on the CPU, on two
logical ones for replicas, and says so. Quick, it trains a small network, and
says only that it runs.
"""

import argparse
import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

import dsr_tf
from benchmarks import command
from benchmarks import reallocation
from benchmarks import step
from benchmarks import timing
from benchmarks.training import Training
from benchmarks.training import paper_config
from dsr_tf.callbacks import DSR
from dsr_tf.data import load_images
from dsr_tf.distribute import choose_strategy
from dsr_tf.layers import sparse_layers
from dsr_tf.models import lenet_300_100

METHODS = (
    *("static", "dsr", "set", "rigl", "itop", "snfs", "granet", "mest"),
    *("chts", "deepr"),
)
# Steps between reallocations, and steps in all.
PERIOD, STEPS = 5, 20


def machine() -> dict[str, Any]:
    """Returns what TensorFlow finds, and what it was built with."""
    build = tf.sysconfig.get_build_info()
    return {
        "gpus": [
            {key: str(value) for key, value in details.items()}
            for device in tf.config.list_physical_devices("GPU")
            for details in [tf.config.experimental.get_device_details(device)]
        ],
        "cuda": build.get("cuda_version"),
        "cudnn": build.get("cudnn_version"),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "dsr_tf": dsr_tf.__version__,
    }


def replicas() -> dict[str, Any]:
    """Trains on one device and on replicas, and counts what differs."""
    trained = {name: _trained(name) for name in ("none", "mirrored")}
    one, several = (
        np.concatenate([x.kernel_mask.numpy().ravel() for x in layers])
        for layers in trained.values()
    )
    return {
        "replicas": choose_strategy("mirrored").num_replicas_in_sync,
        "budget": int(one.sum()),
        "budget_of_replicas": int(several.sum()),
        # Sums over replicas are rounded in another order.
        "masks_alike": float((one == several).mean()),
    }


def _trained(strategy: str) -> list[Any]:
    """Trains a small network; replicas that differ stop it."""
    digits = load_images("digits")
    keras.utils.set_random_seed(0)
    with choose_strategy(strategy).scope():
        model = lenet_300_100(digits.image_shape, sparsity=0.9)
        model.compile(
            keras.optimizers.SGD(0.1, 0.9),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
    model.fit(
        digits.train_batches(96, seed=0),
        epochs=2,
        steps_per_epoch=10,
        verbose=0,
        callbacks=[DSR(100, period=5, growth="gradient")],
    )
    return sparse_layers(model)


def methods(rounds: int, quick: bool) -> Iterator[dict[str, Any]]:
    """Trains with each method and precision, in turn with dense."""
    for precision in ("float32", "float16"):
        mixed = () if precision == "float32" else ("--mixed_precision=float16",)
        trainings = {
            name: _training(name, quick, *mixed) for name in ("dense", *METHODS)
        }
        before = {k: _active(x.model) for k, x in trainings.items()}
        times = timing.alternate(trainings, rounds)
        for name in METHODS:
            model = trainings[name].model
            yield {
                "method": name,
                "precision": precision,
                "to_dense": timing.summary(times[name], times["dense"]),
                "weights_before": before[name],
                "weights_after": _active(model),
                "is_finite": _is_finite(model),
            }


def _training(method: str, quick: bool, *changes: str) -> Training:
    name = "mnist_lenet_dsr_90" if quick else "cifar10_wrn_28_2_dsr_90"
    flags = [f"--method={method}", f"--period={PERIOD}", "--batch_size=128"]
    if method == "granet":
        # The budget of the others, from the first step on.
        flags.append("--initial_sparsity=0.9")
    return Training(paper_config(name, *flags, *changes), STEPS)


def _active(model: keras.Model) -> int:
    return sum(layer.num_active for layer in sparse_layers(model))


def _is_finite(model: keras.Model) -> bool:
    return all(np.isfinite(x.numpy()).all() for x in model.variables)


def peak_bytes() -> int | None:
    """Returns the most memory that the first GPU held; None without one."""
    if not tf.config.list_physical_devices("GPU"):
        return None
    return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])


def measure(rounds: int, quick: bool) -> dict[str, Any]:
    return {
        "machine": machine(),
        "replicas": replicas(),
        "network": "LeNet-300-100" if quick else "WRN-28-2",
        "methods": list(methods(rounds, quick)),
        "peak_bytes": peak_bytes(),
        "reallocation": reallocation.timed(
            reallocation.network_to_measure(quick, reallocation.SPARSITY),
            rounds,
        ),
        "steps": step.measure(rounds, quick),
    }


def show(results: dict[str, Any]) -> None:
    found = results["machine"]
    gpus = [x.get("device_name", "a GPU") for x in found["gpus"]]
    print(f"\n# dsr_tf {found['dsr_tf']} on {', '.join(gpus) or 'no GPU'}\n")
    if not gpus:
        print("There is no GPU: all of this ran on the CPU.\n")
    command.table(
        ["TensorFlow", "Keras", "CUDA", "cuDNN"],
        [[str(found[x]) for x in ("tensorflow", "keras", "cuda", "cudnn")]],
    )
    _show_replicas(results["replicas"])
    print(f"\n## {results['network']} with every method\n")
    command.table(
        ["method", "precision", "step / dense", "budget", "finite"],
        map(_row, results["methods"]),
    )
    if results["peak_bytes"] is not None:
        print(f"\nMost memory held: {results['peak_bytes'] / 2**20:,.0f} MiB")
    median = results["reallocation"]["reallocation_seconds"]["median"]
    print(f"\n## A reallocation\n\n{1000 * median:.1f} ms\n\n## Steps\n")
    step.show(results["steps"])


def _show_replicas(found: dict[str, Any]) -> None:
    is_kept = found["budget"] == found["budget_of_replicas"]
    print(
        f"\n## {found['replicas']} replicas against one device\n\n"
        f"Budgets are {'equal' if is_kept else 'NOT EQUAL'}, and "
        f"{100 * found['masks_alike']:.2f} % of the masks."
    )


def _row(found: dict[str, Any]) -> list[str]:
    before, after = found["weights_before"], found["weights_after"]
    return [
        found["method"],
        found["precision"],
        timing.ranged(found["to_dense"]),
        "kept" if before == after else f"{before:,} became {after:,}",
        "yes" if found["is_finite"] else "NO",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    if given.rounds < 1:
        parser.error(f"--rounds must be at least 1, not {given.rounds}")
    # Before TensorFlow starts, so that there are replicas without a GPU.
    cpu = tf.config.list_physical_devices("CPU")[0]
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, two)
    given.out.mkdir(parents=True, exist_ok=True)
    results = measure(1 if given.quick else given.rounds, given.quick)
    page = io.StringIO()
    with contextlib.redirect_stdout(page):
        show(results)
    print(page.getvalue())
    command.save(results, given.out / "gpu.json")
    (given.out / "gpu.md").write_text(page.getvalue())


if __name__ == "__main__":
    main()
