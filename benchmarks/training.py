"""Trainings as main.py makes them, on random images, to be timed.

Settings are those of the paper, read from a file of `flags/`. Trainings that
are compared differ in their method alone: images, batch, optimizer, penalties,
precision, threads and how steps are compiled are the same.
"""

import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import flags
from absl.testing import flagsaver

from dsr_tf import cli
from dsr_tf.runs import Config
from dsr_tf.runs import build
from dsr_tf.runs.optimizers import build_optimizer
from dsr_tf.runs.precision import precision

# Images, classes and number of images of the data sets.
DATASETS = {
    "mnist": ((28, 28, 1), 10, 60_000),
    "cifar10": ((32, 32, 3), 10, 50_000),
    "imagenet2012": ((224, 224, 3), 1000, 1_281_167),
}
# What makes a wide ResNet small enough to see only that a benchmark runs.
SMALL_WIDE_RESNET = (
    "--depth=10",
    "--width=1",
    "--batch_size=16",
    "--num_pruned=500",
)


def paper_config(name: str, *changes: str) -> Config:
    """Reads a file of `flags/`, and flags that change some of its settings."""
    with flagsaver.flagsaver():
        flags.FLAGS(["main.py", f"--flagfile=flags/{name}.cfg", *changes])
        return cli.config()


class Training:
    """A network in `fit`, some executions at a time.

    Args:
        config: Settings of the run.
        executions: Executions that a call times, after one that it does not.
        jit_compile: Whether steps are compiled by XLA.
        steps_per_execution: Steps in an execution.

    Attributes:
        steps: Steps that a call times.
        budget: Weights that the sparse layers may hold at the end.
    """

    def __init__(
        self,
        config: Config,
        executions: int,
        jit_compile: bool = False,
        steps_per_execution: int = 1,
    ) -> None:
        shape, classes, num_images = DATASETS[config.data.dataset]
        batch_size = config.training.batch_size
        with precision(config.training.mixed_precision):
            self.model = build.build_model(config, shape, classes)
            self.model.compile(
                build_optimizer(config.training, num_images // batch_size),
                keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                metrics=["accuracy"],
                jit_compile=jit_compile,
                steps_per_execution=steps_per_execution,
            )
        self.budget = build.budget(config, self.model)
        self.callback = build.build_reallocation(config)
        self._watch = Stopwatch()
        self.steps = executions * steps_per_execution
        self._more = steps_per_execution
        rng = np.random.default_rng(0)
        images = rng.normal(size=(batch_size, *shape)).astype("float32")
        labels = rng.integers(0, classes, batch_size)
        self._batches = tf.data.Dataset.from_tensors((images, labels)).repeat()

    def __call__(self) -> float:
        """Trains, and returns the seconds that a step took."""
        own = [self.callback] if self.callback else []
        self.model.fit(
            self._batches,
            steps_per_epoch=self.steps + self._more,
            shuffle=False,
            verbose=0,
            callbacks=[*own, self._watch],
        )
        return (self._watch.last - self._watch.first) / self.steps


class Stopwatch(keras.callbacks.Callback):
    """Notes when the first and the last execution of an epoch ended.

    What `fit` and callbacks do at the ends of epochs is no part of a step.
    """

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.first = 0.0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.last = time.perf_counter()
        self.first = self.first or self.last
