"""Times a training step of each kind of network: LeNet-300-100, batch 100.

    python -m benchmarks.step [--rounds=7]

All train the same random images with Nesterov momentum and L1 in `fit`, one
step an execution, as DeepR needs it, compiled by XLA as Keras chooses; so
what is compared is what the layers and DeepR add. Sparse networks keep 1 %.
They are timed in turn, 300 steps each, in one process; the first round warms
up and does not count.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import keras
import numpy as np
import tensorflow as tf

from dsr_tf.callbacks import DeepR
from dsr_tf.models import lenet_300_100

STEPS = 300


def trainer(*callbacks: keras.callbacks.Callback, **arguments) -> Callable:
    model = lenet_300_100(l1=1e-4, **arguments)
    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    rng = np.random.default_rng(0)
    images = rng.normal(size=(100, 28, 28, 1)).astype("float32")
    labels = rng.integers(0, 10, 100)
    batches = tf.data.Dataset.from_tensors((images, labels)).repeat()

    def train() -> None:
        model.fit(
            batches,
            steps_per_epoch=STEPS,
            shuffle=False,
            verbose=0,
            callbacks=list(callbacks),
        )

    return train


def milliseconds(train: Callable[[], None]) -> float:
    begin = time.perf_counter()
    train()
    return (time.perf_counter() - begin) / STEPS * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    trainers = {
        "dense": trainer(sparsity=None),
        "static": trainer(sparsity=0.99),
        "hashed": trainer(sparsity=0.99, hashed=True),
        "deepr": trainer(DeepR(1e-5), sparsity=0.99),
    }
    times = [
        {name: milliseconds(train) for name, train in trainers.items()}
        for _ in range(rounds + 1)
    ][1:]
    for name in trainers:
        median = statistics.median(row[name] for row in times)
        ratios = [row[name] / row["static"] for row in times]
        print(
            f"{name:8}{median:6.2f} ms   {statistics.median(ratios):.2f} of "
            f"static ({min(ratios):.2f} to {max(ratios):.2f})"
        )


if __name__ == "__main__":
    main()
