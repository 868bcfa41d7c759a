"""Times training with stored blocks against dense training.

    python -m benchmarks.blocks [--rounds=9] [--quick] [--json=PATH]

All is Adam in `fit`, on random inputs. Dense networks are trained as Keras does
it by default and with `jit_compile=True`; what is said of blocks is how many
times as fast they are as the faster of both. Networks: three dense layers of
2048 and a head, batch 128; one block of a transformer, width 512, FFN 2048,
sequences of 64, batch 16, whose projections and FFN are sparse; and what does
not pay: the same layers of 2048 at batch 1, and layers of 256.

Peak memory is that of processes of their own, beyond what such a process holds
after it has trained a small dense network; the layers are made as `BlockDense`.
Reallocations are DSR's and SET's of the layers of
2048, of kernels under masks of the same blocks.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

import dsr_tf
from benchmarks import command
from benchmarks import timing
from benchmarks.training import Stopwatch

CLASSES = 10


@dataclass(frozen=True)
class Network:
    """A network to train.

    Args:
        make: Returns it, dense.
        inputs: Shape of an example.
        batch: Examples in a step.
        exclude: Layers that stay dense.
    """

    make: Callable[[], keras.Model]
    inputs: tuple[int, ...]
    batch: int
    exclude: str = "head"


def dense_layers(width: int) -> keras.Model:
    hidden = [keras.layers.Dense(width, activation="relu") for _ in range(3)]
    head = keras.layers.Dense(CLASSES, name="head")
    return keras.Sequential([keras.Input((width,)), *hidden, head])


def transformer_block(width: int, length: int) -> keras.Model:
    inputs = keras.Input((length, width))
    x = keras.layers.LayerNormalization()(inputs)
    heads = width // 64 or 1
    x = keras.layers.MultiHeadAttention(heads, width // heads)(x, x)
    middle = keras.layers.add([inputs, x])
    x = keras.layers.LayerNormalization()(middle)
    x = keras.layers.Dense(4 * width, activation="gelu")(x)
    x = keras.layers.add([middle, keras.layers.Dense(width)(x)])
    x = keras.layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, keras.layers.Dense(CLASSES, name="head")(x))


def networks(quick: bool) -> dict[str, Network]:
    n = 16 if quick else 1
    wide, narrow, small = 2048 // n, 512 // n, 256 // n
    return {
        "dense layers of 2048, batch 128": Network(
            lambda: dense_layers(wide), (wide,), 128 // n
        ),
        "transformer block, 512": Network(
            lambda: transformer_block(narrow, 64 // n), (64 // n, narrow), 16
        ),
        "dense layers of 2048, batch 1": Network(
            lambda: dense_layers(wide), (wide,), 1
        ),
        "dense layers of 256, batch 128": Network(
            lambda: dense_layers(small), (small,), 128 // n
        ),
    }


def cases(quick: bool) -> list[tuple[str, float, int]]:
    """Returns network, density and block of each row."""
    wide, transformer, single, small = networks(quick)
    if quick:
        return [(transformer, 0.1, 8)]
    return [
        *((wide, d, b) for d in (0.1, 0.05, 0.02) for b in (16, 32, 64)),
        *((transformer, 0.1, b) for b in (16, 32, 64)),
        (single, 0.1, 32),
        (small, 0.1, 32),
    ]


def blocked(network: Network, density: float, block: int) -> keras.Model:
    """Returns a network whose layers store blocks."""
    return dsr_tf.sparsify(
        network.make(),
        1 - density,
        exclude=network.exclude,
        granularity=(block, block),
        storage="blocks",
    )


class Training:
    """A network in `fit`.

    Args:
        model: The network.
        network: Its inputs.
        steps: Steps that a call times, after one that it does not.
        jit_compile: Whether steps are compiled by XLA.
    """

    def __init__(
        self,
        model: keras.Model,
        network: Network,
        steps: int,
        jit_compile: bool = False,
    ) -> None:
        model.compile(
            "adam",
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            jit_compile=jit_compile,
        )
        self.model, self._steps = model, steps
        self._watch = Stopwatch()
        rng = np.random.default_rng(0)
        shape = (network.batch, *network.inputs)
        inputs = rng.normal(size=shape).astype("float32")
        labels = rng.integers(0, CLASSES, network.batch)
        self._batches = tf.data.Dataset.from_tensors((inputs, labels)).repeat()

    def __call__(self) -> float:
        """Trains, and returns the seconds that a step took."""
        self.model.fit(
            self._batches,
            steps_per_epoch=self._steps + 1,
            shuffle=False,
            verbose=0,
            callbacks=[self._watch],
        )
        return (self._watch.last - self._watch.first) / self._steps


def step(
    name: str, density: float, block: int, rounds: int, quick: bool
) -> dict[str, Any]:
    network, steps = networks(quick)[name], 1 if quick else 10
    times = timing.alternate(
        {
            "dense": Training(network.make(), network, steps),
            "dense, XLA": Training(network.make(), network, steps, True),
            "blocks": Training(
                blocked(network, density, block), network, steps
            ),
        },
        rounds,
    )
    dense = {key: timing.summary(times[key]) for key in ("dense", "dense, XLA")}
    faster = min(dense, key=lambda key: dense[key]["median"])
    return {
        "network": name,
        "density": density,
        "block": block,
        "faster": faster,
        "seconds": timing.summary(times["blocks"]),
        "times_as_fast": timing.summary(times[faster], times["blocks"]),
        "of_default": timing.summary(times["dense"], times["blocks"]),
    }


def print_peak(density: float | None, block: int, quick: bool) -> None:
    """Trains the wide network, and prints the bytes that this took."""
    network = next(iter(networks(quick).values()))
    small = next(iter(networks(True).values()))
    # What TensorFlow needs once, whatever it trains.
    Training(small.make(), small, 5)()
    before = _resident("VmRSS")
    model = (
        network.make() if density is None else stored(network, density, block)
    )
    Training(model, network, 5)()
    print(_resident("VmHWM") - before)


def stored(network: Network, density: float, block: int) -> keras.Model:
    """Returns the wide network, which was never dense."""
    (width,) = network.inputs
    hidden = [
        dsr_tf.layers.BlockDense(
            width, 1 - density, (block, block), activation="relu"
        )
        for _ in range(3)
    ]
    head = keras.layers.Dense(CLASSES)
    return keras.Sequential([keras.Input((width,)), *hidden, head])


def _resident(name: str) -> int:
    status = Path("/proc/self/status").read_text()
    (kilobytes,) = re.findall(rf"{name}:\s+(\d+) kB", status)
    return 1024 * int(kilobytes)


def peak(density: float | None, block: int, quick: bool) -> int:
    """Does so in a process of its own."""
    program = "from benchmarks import blocks as b; b.print_peak"
    return int(
        subprocess.run(
            [
                sys.executable,
                "-c",
                f"{program}({density!r}, {block}, {quick})",
            ],
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
    )


def memory(rounds: int, quick: bool) -> list[dict[str, Any]]:
    block = 4 if quick else 64
    settings: dict[str, tuple[float | None, int]] = {
        "dense": (None, block),
        "0.1": (0.1, block),
        "0.05": (0.05, block),
    }
    peaks = timing.alternate(
        {
            name: lambda row=row: peak(*row, quick)
            for name, row in settings.items()
        },
        rounds,
        warm_up=0,
    )
    return [
        {
            "density": density,
            "block": settings[density][1],
            "bytes": timing.summary(peaks[density]),
            "of_dense": timing.summary(peaks[density], peaks["dense"]),
        }
        for density in ("0.1", "0.05")
    ]


def reallocation(rounds: int, quick: bool) -> list[dict[str, Any]]:
    """Times reallocations of blocks, stored and under masks."""
    network = next(iter(networks(quick).values()))
    found = []
    for name, method in (
        ("DSR", dsr_tf.methods.dsr(num_pruned=60, initial_threshold=0.02)),
        ("SET", dsr_tf.methods.set_method(0.3)),
    ):
        runs = {}
        for storage in ("masks", "blocks"):
            model = dsr_tf.sparsify(
                network.make(),
                0.9,
                exclude=network.exclude,
                granularity=(32, 32) if not quick else (8, 8),
                storage=storage,
            )
            optimizer = keras.optimizers.Adam()
            optimizer.build(model.trainable_variables)
            reallocator = dsr_tf.Reallocator(model, optimizer, method)
            runs[storage] = timing.timed(reallocator.reallocate)
        times = timing.alternate(runs, rounds)
        found.append(
            {
                "method": name,
                "seconds": timing.summary(times["blocks"]),
                "of_masks": timing.summary(times["blocks"], times["masks"]),
            }
        )
    return found


def measure(rounds: int, quick: bool) -> dict[str, Any]:
    return {
        "rounds": rounds,
        "steps": [step(*case, rounds, quick) for case in cases(quick)],
        "memory": memory(1 if quick else min(rounds, 5), quick),
        "reallocation": reallocation(rounds, quick),
    }


def show(results: dict[str, Any]) -> None:
    command.table(
        [
            "network",
            "density",
            "block",
            "times as fast",
            "faster dense",
            "step",
        ],
        (
            [
                row["network"],
                f"{row['density']:g}",
                f"{row['block']}x{row['block']}",
                timing.ranged(row["times_as_fast"], 1),
                row["faster"]
                .replace("dense, ", "")
                .replace("dense", "default"),
                f"{1000 * row['seconds']['median']:.1f} ms",
            ]
            for row in results["steps"]
        ),
    )
    print()
    command.table(
        ["density", "block", "peak memory of training", "of dense"],
        (
            [
                row["density"],
                f"{row['block']}x{row['block']}",
                f"{row['bytes']['median'] / 2**20:,.0f} MiB",
                timing.ranged(row["of_dense"]),
            ]
            for row in results["memory"]
        ),
    )
    print()
    command.table(
        ["method", "reallocation", "of masks"],
        (
            [
                row["method"],
                f"{1000 * row['seconds']['median']:.1f} ms",
                timing.ranged(row["of_masks"]),
            ]
            for row in results["reallocation"]
        ),
    )


if __name__ == "__main__":
    command.main(__doc__, 9, measure, show)
