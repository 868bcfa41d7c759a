"""Times an epoch of MNIST: this library's pipeline against plain Keras.

    python -m benchmarks.epoch [--rounds=9] [--quick] [--json=PATH]

Both train LeNet-300-100 on 60,000 images, batch 100, with Nesterov momentum
and L1, without evaluation. Plain Keras is a dense network in `fit` on NumPy
arrays, as one would write it; ours is the network at 1 % kept, with a
reallocation every 100 steps and a checkpoint after every epoch, as main.py
trains it. A third is the dense network as main.py trains it: what an epoch
would take without sparsity. They are timed in turn in one process, in calls of
`fit` of four epochs, from the end of the first to the end of the last; the
first round warms up and does not count. Quick, it is the 1,500 digits of
scikit-learn.
"""

import os
import tempfile
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import keras

from benchmarks import command
from benchmarks import timing
from benchmarks.training import paper_config
from dsr_tf.callbacks import Checkpoint
from dsr_tf.data import Images
from dsr_tf.data import load_images
from dsr_tf.data import train_batches
from dsr_tf.runs import build
from dsr_tf.runs.optimizers import build_optimizer

BATCH = 100
EPOCHS = 4


class EpochEnds(keras.callbacks.Callback):
    """Notes when each epoch ended."""

    def on_train_begin(self, logs: Any = None) -> None:
        self.times: list[float] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.times.append(time.perf_counter())

    @property
    def seconds(self) -> float:
        """Seconds of an epoch; the first is not counted."""
        return (self.times[-1] - self.times[0]) / (len(self.times) - 1)


def dense_lenet(image_shape: tuple[int, ...]) -> keras.Model:
    layers: list[keras.layers.Layer] = [keras.Input(image_shape)]
    layers.append(keras.layers.Flatten())
    for i, units in enumerate((300, 100, 10)):
        if i > 0:
            layers.append(keras.layers.ReLU())
        layers.append(
            keras.layers.Dense(
                units,
                use_bias=False,
                kernel_regularizer=keras.regularizers.L1(1e-4),
            )
        )
        layers.append(keras.layers.BatchNormalization())
    return keras.Sequential(layers)


def plain_epochs(images: Images) -> Callable[[], float]:
    model = dense_lenet(images.image_shape)
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    inputs = ((images.train_images - images.mean) / images.stddev).astype("f4")

    def train() -> float:
        ends = EpochEnds()
        model.fit(
            inputs,
            images.train_labels,
            batch_size=BATCH,
            epochs=EPOCHS,
            verbose=0,
            callbacks=[ends],
        )
        return ends.seconds

    return train


def own_epochs(images: Images, method: str, quick: bool) -> Callable[[], float]:
    steps = images.num_train // BATCH
    changes = [f"--method={method}", "--l1=1e-4"]
    if quick:
        changes += ["--num_pruned=100", f"--period={steps}"]
    config = paper_config("mnist_lenet_dsr_99", *changes)
    model = build.build_model(config, images.image_shape, 10)
    model.compile(
        build_optimizer(config.training, steps),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=build.jit_compile(config, num_replicas=1),
        steps_per_execution=build.steps_per_execution(config, steps),
    )
    batches = train_batches(images, BATCH, seed=0)
    callback = build.build_reallocation(config)

    def train() -> float:
        ends = EpochEnds()
        own = [callback] if callback else []
        with tempfile.TemporaryDirectory() as folder:
            model.fit(
                batches,
                steps_per_epoch=steps,
                epochs=EPOCHS,
                shuffle=False,
                verbose=0,
                callbacks=[*own, Checkpoint(folder, callback), ends],
            )
        return ends.seconds

    return train


def measure(rounds: int, quick: bool) -> dict[str, Any]:
    images = load_images("digits" if quick else "mnist")
    times = timing.alternate(
        {
            "plain": plain_epochs(images),
            "dense": own_epochs(images, "dense", quick),
            "sparse": own_epochs(images, "dsr", quick),
        },
        rounds,
    )
    return {
        "images": images.num_train,
        "rounds": rounds,
        "plain_seconds": timing.summary(times["plain"]),
        "dense_seconds": timing.summary(times["dense"]),
        "sparse_seconds": timing.summary(times["sparse"]),
        "dense_to_plain": timing.summary(times["dense"], times["plain"]),
        "sparse_to_plain": timing.summary(times["sparse"], times["plain"]),
    }


def show(results: dict[str, Any]) -> None:
    command.table(
        ["epoch", "seconds", "of plain Keras"],
        [
            [
                name,
                f"{results[f'{key}_seconds']['median']:.2f}",
                timing.ranged(results[f"{key}_to_plain"])
                if key != "plain"
                else "1",
            ]
            for name, key in (
                ("plain Keras, dense", "plain"),
                ("main.py, dense", "dense"),
                ("main.py, DSR", "sparse"),
            )
        ],
    )


if __name__ == "__main__":
    command.main(__doc__, 9, measure, show)
