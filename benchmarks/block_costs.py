"""Measures what a step of a layer with stored blocks costs of a dense one.

    python -m benchmarks.block_costs [--rounds=9] [--quick] [--json=PATH]

A step is the product, both gradients and Adam, of one layer without bias,
square, on 128 rows of inputs: of `Dense` and of `BlockDense`, in turn. With
`--json=dsr_tf/layers/step_costs.json` it writes the table that
`sparsify(..., storage="auto")` and `summary` go by.
"""

import os
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import tensorflow as tf

from benchmarks import command
from benchmarks import timing
from dsr_tf.layers import BlockDense

SIZES = (128, 256, 512, 1024, 2048)
BLOCKS = (4, 8, 16, 32, 64)
DENSITIES = (0.02, 0.05, 0.1, 0.2, 0.5)
ROWS = 128


def training(layer: keras.layers.Layer, size: int) -> Callable[[], float]:
    """Returns a function that times some steps of a layer."""
    layer.build((None, size))
    optimizer = keras.optimizers.Adam()
    optimizer.build(layer.trainable_variables)
    inputs = tf.random.stateless_normal([ROWS, size], [0, 1])
    upstream = tf.random.stateless_normal([ROWS, size], [0, 2])

    @tf.function(autograph=False)
    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs)
        weights = layer.trainable_variables
        of_inputs, *gradients = tape.gradient(
            outputs, [inputs, *weights], upstream
        )
        optimizer.apply(gradients, weights)
        # All of it is used, or TensorFlow would leave it out.
        return tf.reduce_sum(of_inputs) + tf.reduce_sum(outputs)

    steps = max(3, 2**22 // size**2)

    def run() -> None:
        for _ in range(steps):
            total = step()
        total.numpy()

    return timing.timed(run)


def measure(rounds: int, quick: bool) -> dict[str, Any]:
    sizes = SIZES[:1] if quick else SIZES
    blocks = BLOCKS[2:3] if quick else BLOCKS
    densities = DENSITIES[2:3] if quick else DENSITIES
    costs = []
    for size in sizes:
        runs = {"dense": training(_dense(size), size)}
        for block in blocks:
            for density in densities:
                layer = BlockDense(
                    size,
                    1 - density,
                    granularity=(block, block),
                    use_bias=False,
                )
                runs[f"{block} {density}"] = training(layer, size)
        times = timing.alternate(runs, rounds)
        costs += [
            {
                "size": size,
                "block": block,
                "density": density,
                "cost": round(
                    timing.summary(times[f"{block} {density}"], times["dense"])[
                        "median"
                    ],
                    3,
                ),
            }
            for block in blocks
            for density in densities
        ]
    return {"rounds": rounds, "rows": ROWS, "costs": costs}


def _dense(size: int) -> keras.layers.Layer:
    return keras.layers.Dense(size, use_bias=False)


def show(results: dict[str, Any]) -> None:
    densities = sorted({row["density"] for row in results["costs"]})
    found = {
        (row["size"], row["block"], row["density"]): row["cost"]
        for row in results["costs"]
    }
    pairs = dict.fromkeys((size, block) for size, block, _ in found)
    command.table(
        ["layer", "block", *(f"density {x:g}" for x in densities)],
        (
            [
                f"{size}x{size}",
                f"{block}x{block}",
                *(f"{found[size, block, x]:.2f}" for x in densities),
            ]
            for size, block in pairs
        ),
    )


if __name__ == "__main__":
    command.main(__doc__, 9, measure, show)
