"""Trains unbroken, and stopped and resumed, and writes what each ended with.

Arguments: the strategy's name, and a folder, which gets `worker_{index}.npz`
with metrics, and the values of each replica of this process.
"""

import os
import sys
from pathlib import Path
from unittest import mock

import keras
import numpy as np
import tensorflow as tf

from dsr_tf import distribute
from dsr_tf.callbacks import DSR
from dsr_tf.callbacks import Checkpoint
from dsr_tf.callbacks import PreemptedError
from dsr_tf.callbacks import resumable_fit
from dsr_tf.callbacks.contents import Contents
from dsr_tf.distribute.agree import settle
from dsr_tf.distribute.workers import worker_index
from dsr_tf.layers import SparseDense
from tests.distributed.iterators import keep_iterators
from tests.distributed.train import IMAGES

EPOCHS, STEPS = 3, 4
# Epoch, event and number of the event after which the run is stopped; which
# worker is asked.
STOPS = {
    "within": (1, "on_train_batch_end", 1, 0),
    "last_batch": (1, "on_train_batch_end", STEPS - 1, 1),
    "test": (1, "on_test_batch_end", 1, 1),
    "end": (0, "on_test_end", None, 0),
}


class Stop(keras.callbacks.Callback):
    """Asks a checkpoint to stop, once, after an event."""

    def __init__(self, checkpoint, epoch, event, number):
        super().__init__()
        self.checkpoint, self.epoch = checkpoint, None

        def hear(*arguments, logs=None):
            batch = arguments[0] if event.endswith("batch_end") else None
            if self.epoch == epoch and batch == number:
                checkpoint.stop()

        setattr(self, event, hear)

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch


class Record(keras.callbacks.Callback):
    """Keeps the metrics of every epoch."""

    def __init__(self):
        super().__init__()
        self.logs = {}

    def on_epoch_end(self, epoch, logs=None):
        self.logs[epoch] = {k: float(v) for k, v in logs.items()}


def make_model(strategy):
    keras.utils.set_random_seed(3)
    with strategy.scope():
        model = keras.Sequential(
            [
                keras.Input((5, 5, 1)),
                keras.layers.Flatten(),
                SparseDense(12, sparsity=0.6, activation="relu", name="a"),
                keras.layers.BatchNormalization(name="norm"),
                keras.layers.Dropout(0.3),
                SparseDense(3, sparsity=0.3, name="b"),
            ],
            name="network",
        )
        model.compile(
            keras.optimizers.Adam(0.02),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
    return model


def fit(strategy, folder, record, stop=None):
    model = make_model(strategy)
    # Running means of gradients are of each replica, too.
    moves = DSR(10, 2, initial_threshold=0.05, growth="momentum")
    checkpoint = Checkpoint(folder, moves, every_steps=3, strategy=strategy)

    def batches(epoch, step):
        return distribute.share_batches(
            strategy,
            lambda num_shards, index: IMAGES.train_batches(
                16, 7, epoch, step, num_shards, index
            ),
        )

    callbacks = [moves, record]
    if stop:
        callbacks.append(Stop(checkpoint, *stop))
    resumable_fit(
        model,
        batches,
        checkpoint,
        epochs=EPOCHS,
        steps_per_epoch=STEPS,
        callbacks=callbacks,
        validation_data=IMAGES.eval_batches(10),
    )
    return model


def write(out, name, strategy, model, record):
    variables = model.variables + model.optimizer.variables
    for i, variable in enumerate(variables + model.metrics_variables):
        parts = strategy.experimental_local_results(variable.value)
        values = np.stack([part.numpy() for part in parts])
        out[f"{name}/{i}/{variable.path.rpartition('/')[2]}"] = values
    for epoch, logs in record.logs.items():
        for metric, value in logs.items():
            if not metric.endswith("seconds"):
                out[f"{name}/{epoch}/{metric}"] = np.float64(value)


def go_on_from_an_old_checkpoint(strategy, folder):
    """Returns the epochs that are trained after one without these values."""
    with mock.patch.object(Contents, "_apart", lambda self: {}):
        try:
            fit(strategy, folder, Record(), STOPS["within"][:3])
            raise AssertionError("It was not stopped")
        except PreemptedError:
            record = Record()
    fit(strategy, folder, record)
    return np.array(list(record.logs))


def main(name, folder):
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()]
        * (2 if name == "mirrored" else 1),
    )
    strategy = distribute.choose_strategy(name)
    keep_iterators(strategy)
    index, out = worker_index(strategy), {}
    record = Record()
    model = fit(strategy, Path(folder, "whole"), record)
    write(out, "whole", strategy, model, record)
    for kind, (*stop, asked) in STOPS.items():
        path, record = Path(folder, kind), Record()
        own = stop if asked == index or name == "mirrored" else None
        try:
            fit(strategy, path, record, own)
            raise AssertionError(f"{kind} was not stopped")
        except PreemptedError as error:
            out[f"stopped/{kind}"] = np.array([error.epoch, error.step])
        model = fit(strategy, path, record)
        write(out, kind, strategy, model, record)
    path = Path(folder, "old")
    out["old_goes_on"] = go_on_from_an_old_checkpoint(strategy, path)
    np.savez(Path(folder, f"worker_{index}.npz"), **out)
    settle(strategy)


if __name__ == "__main__":
    main(*sys.argv[1:])
    os._exit(0)
