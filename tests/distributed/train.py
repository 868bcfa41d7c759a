"""Trains with every method under one strategy, and writes what it saw.

Arguments: the strategy's name, the number of logical CPUs, how many of the
methods, and a folder, which gets `worker_{index}.npz` with the values of each
replica of this process.
"""

import os
import re
import signal
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from dsr_tf import distribute
from dsr_tf.callbacks import DSR
from dsr_tf.callbacks import ITOP
from dsr_tf.callbacks import MEST
from dsr_tf.callbacks import SET
from dsr_tf.callbacks import SNFS
from dsr_tf.callbacks import CHTs
from dsr_tf.callbacks import DeepR
from dsr_tf.callbacks import GradualPruning
from dsr_tf.callbacks import GraNet
from dsr_tf.callbacks import RigL
from dsr_tf.data.images import Images
from dsr_tf.layers import BlockDense
from dsr_tf.layers import HashedDense
from dsr_tf.layers import SparseConv2D
from dsr_tf.layers import SparseDense
from dsr_tf.layers import sparse_layers
from dsr_tf.layers.slots import find_slots
from tests.distributed.iterators import keep_iterators

# The first pixel of an image is its number.
PIXELS = np.random.default_rng(0).integers(0, 256, (64, 5, 5, 1), np.uint8)
PIXELS[:, 0, 0, 0] = np.arange(64)
LABELS = np.random.default_rng(1).integers(0, 3, 64)
IMAGES = Images(
    "noise", PIXELS, LABELS, PIXELS[:37], LABELS[:37], (128.0,), (64.0,), 3
)


def sgd():
    return keras.optimizers.SGD(0.0, momentum=0.9)


METHODS = {
    "dsr": (lambda: DSR(20, 1, initial_threshold=0.05), sgd),
    "set": (
        lambda: SET(0.2, 1),
        lambda: keras.optimizers.LossScaleOptimizer(
            keras.optimizers.Adam(0.0, clipnorm=1.0), initial_scale=2.0**10
        ),
    ),
    "chts": (lambda: CHTs(1, percolate=True), sgd),
    "deepr": (lambda: DeepR(1e-3), sgd),
    "gradual": (
        lambda: GradualPruning(0.8, 4, 1),
        lambda: keras.optimizers.Adam(0.0, use_ema=True),
    ),
    "blocks": (lambda: DSR(6, 1, initial_threshold=0.05), sgd),
    "rigl": (lambda: RigL(0.3, 1, stop=None), sgd),
    "snfs": (lambda: SNFS(1, 0.3), sgd),
    "itop": (lambda: ITOP(1, 0.3), sgd),
    "granet": (lambda: GraNet(0.8, 1, 0.6, 0.3), sgd),
    "mest": (lambda: MEST(1), sgd),
    "mest soft": (lambda: MEST(1, soft=True, sparsity=0.75), sgd),
    "by gradient": (lambda: DSR(0.1, 1, growth="gradient"), sgd),
    "drawn": (lambda: DSR(0.1, 1, growth="drawn"), sgd),
    "static": (lambda: None, sgd),
    "hashed": (lambda: None, sgd),
}


class Record(keras.callbacks.Callback):
    """Keeps the masks after every step."""

    def __init__(self, out, method):
        super().__init__()
        self.out, self.method, self.step = out, method, 0

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        for layer in sparse_layers(self.model):
            key = f"mask/{self.method}/{self.step}/{layer.name}"
            self.out[key] = layer.kernel_mask.numpy()


class Tamper(keras.callbacks.Callback):
    """Empties a mask on the last replica of this process, in step 2."""

    def __init__(self, strategy, layer):
        super().__init__()
        self.strategy, self.layer = strategy, layer

    def on_train_batch_end(self, batch, logs=None):
        if batch == 1:
            mask = local_values(self.strategy, self.layer.kernel_mask)[-1]
            mask.assign(tf.zeros_like(mask))


def local_values(strategy, variable):
    return strategy.experimental_local_results(variable.value)


def make_model(strategy, method, optimizer):
    sparsity = 0.0 if method == "gradual" else 0.6
    dense, blocks = SparseDense, {}
    if method == "hashed":
        dense = HashedDense
    elif method == "blocks":
        dense, blocks = BlockDense, {"granularity": (4, 3)}
    with strategy.scope():
        model = keras.Sequential(
            [
                keras.Input((5, 5, 1)),
                SparseConv2D(4, 3, sparsity=sparsity, name="conv"),
                keras.layers.Flatten(),
                dense(
                    12,
                    sparsity=sparsity,
                    activation="relu",
                    name="hidden",
                    **blocks,
                ),
                SparseDense(3, sparsity=sparsity, name="logits"),
            ],
            name="network",
        )
        model.compile(
            optimizer(),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
    return model


def make_batches(strategy):
    return distribute.share_batches(
        strategy,
        lambda num_shards, index: IMAGES.train_batches(
            16, seed=7, num_shards=num_shards, shard_index=index
        ),
    )


def fit(model, batches, epochs, steps, *callbacks, **arguments):
    return model.fit(
        batches,
        epochs=epochs,
        steps_per_epoch=steps,
        verbose=0,
        callbacks=[x for x in callbacks if x],
        **arguments,
    )


def train(strategy, method, out):
    callback, optimizer = METHODS[method]
    model, moves = make_model(strategy, method, optimizer), callback()
    batches = make_batches(strategy)
    # Weights that do not learn are the same on any number of replicas.
    fit(model, batches, 1, 4, moves, Record(out, method))
    model.optimizer.learning_rate = 0.02
    # Batches that do not divide into replicas, the last one not even one each.
    tests = IMAGES.eval_batches(10) if method == "dsr" else None
    history = fit(model, batches, 2, 4, moves, validation_data=tests)
    for name, values in history.history.items():
        out[f"log/{method}/{name}"] = np.array(values)
    variables = model.trainable_variables
    slots = find_slots(model.optimizer, variables)
    for variable in [
        *model.weights,
        *(slot.variable for own in slots for slot in own),
    ]:
        values = local_values(strategy, variable)
        stacked = np.stack([value.numpy() for value in values])
        out[f"value/{method}/{variable.path}"] = stacked
    return model


def tamper(strategy, model, batches, index):
    """Returns the error that a mask tampered with on one replica leads to."""
    # On one worker alone, the last one.
    single = not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
    layer = model.get_layer("hidden")
    fault = Tamper(strategy, layer) if single or index == 1 else None
    moves = DSR(20, 1, initial_threshold=0.05)
    try:
        fit(model, batches, 1, 4, fault, moves)
    except distribute.ReplicasDifferError as error:
        return str(error)
    return "no error"


def rows_seen(strategy, batches):
    """Returns which images each replica of this process gets in 6 steps."""
    steps = [
        [
            np.rint(images[:, 0, 0, 0] * 64 + 128)
            for images in strategy.experimental_local_results(images)
        ]
        for _, (images, _) in zip(range(6), batches, strict=False)
    ]
    return np.array(steps, int)


def train_without_the_fix(strategy):
    """Returns what Keras makes of TensorFlow's own strategy."""
    own = type(strategy)
    fixed, own.reduce = own.reduce, own.__bases__[1].reduce
    try:
        model = make_model(strategy, "static", sgd)
        fit(model, make_batches(strategy), 1, 1)
    except (TypeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        own.reduce = fixed
    return "no error"


def catches_sigterm():
    """Tells whether the process has a handler; Python itself has set none."""
    status = Path("/proc/self/status").read_text()
    caught = int(re.search(r"SigCgt:\s*(\w+)", status)[1], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


def main(name, num_devices, num_methods, folder):
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * int(num_devices),
    )
    strategy = distribute.choose_strategy(name)
    resolver = strategy.cluster_resolver
    if name != "none":
        keep_iterators(strategy)
    index = resolver.task_id if name == "multi_worker" else 0
    # Workers get the chief's weights and masks, whatever they draw themselves.
    keras.utils.set_random_seed(index)

    out = {"seen": rows_seen(strategy, make_batches(strategy))}
    for method in list(METHODS)[: int(num_methods)]:
        keras.utils.set_random_seed(index)
        model = train(strategy, method, out)
    x, y = PIXELS[:37] / 64 - 2, LABELS[:37]
    out["evaluated"] = np.array(model.evaluate(x, y, 10, verbose=0))
    out["predicted"] = model.predict(x, 10, verbose=0)
    out["expected"] = keras.ops.convert_to_numpy(model(x))
    if distribute.is_chief(strategy):
        model.save(Path(folder) / f"written_by_{index}.keras")
    if name == "multi_worker":
        out["ignores_sigterm"] = catches_sigterm()
        out["without_fix"] = train_without_the_fix(strategy)
    if name != "none":
        model = make_model(strategy, "dsr", sgd)
        batches = make_batches(strategy)
        out["tampered"] = tamper(strategy, model, batches, index)
    np.savez(Path(folder) / f"worker_{index}.npz", **out)


if __name__ == "__main__":
    main(*sys.argv[1:])
    os._exit(0)
