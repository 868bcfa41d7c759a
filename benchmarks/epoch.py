"""Times an epoch of MNIST: this library's pipeline against plain Keras.

    python -m benchmarks.epoch [--rounds=7]

Both train LeNet-300-100 on 60,000 images, batch 100, with Nesterov momentum
and L1, without evaluation. Plain Keras is a dense network in `fit` on NumPy
arrays, as one would write it; ours is the network at 1 % kept, with a
reallocation every 100 steps, as `main.py` trains it. They are timed in turn,
three epochs in one `fit` each, in one process; the first round warms up and
does not count.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import keras
import numpy as np

from dsr_tf.callbacks import DSR
from dsr_tf.data import Images
from dsr_tf.data import load_images
from dsr_tf.data import train_batches
from dsr_tf.models import lenet_300_100

STEPS = 600
EPOCHS = 3


def compiled(model: keras.Model, steps_per_execution: int) -> keras.Model:
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        steps_per_execution=steps_per_execution,
    )
    return model


def dense_lenet() -> keras.Model:
    layers: list[keras.layers.Layer] = [keras.Input((28, 28, 1))]
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


def plain_epoch(mnist: Images) -> Callable[[], None]:
    model = compiled(dense_lenet(), 1)
    images = ((mnist.train_images - mnist.mean) / mnist.stddev).astype("f4")

    def train() -> None:
        model.fit(
            images,
            mnist.train_labels,
            batch_size=100,
            epochs=EPOCHS,
            verbose=0,
        )

    return train


def sparse_epoch(mnist: Images) -> Callable[[], None]:
    model = compiled(lenet_300_100(l1=1e-4), 100)
    batches = train_batches(mnist, 100, seed=0)
    callback = DSR(600, period=100)

    def train() -> None:
        model.fit(
            batches,
            steps_per_epoch=STEPS,
            epochs=EPOCHS,
            shuffle=False,
            verbose=0,
            callbacks=[callback],
        )

    return train


def seconds_per_epoch(run: Callable[[], None]) -> float:
    begin = time.perf_counter()
    run()
    return (time.perf_counter() - begin) / EPOCHS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    mnist = load_images("mnist")
    plain, sparse = plain_epoch(mnist), sparse_epoch(mnist)
    times = [
        (seconds_per_epoch(plain), seconds_per_epoch(sparse))
        for _ in range(rounds + 1)
    ][1:]
    ratios = np.array([b / a for a, b in times])
    print(f"plain Keras, dense  {statistics.median(a for a, _ in times):.2f} s")
    print(f"this library, DSR   {statistics.median(b for _, b in times):.2f} s")
    print(
        f"ratio, median of {rounds}: {np.median(ratios):.2f} "
        f"({ratios.min():.2f} to {ratios.max():.2f})"
    )


if __name__ == "__main__":
    main()
