"""Trains with every method and storage, twice, under TensorFlow's determinism.

It is a setting of the whole process, so this is a process of its own.
"""

import keras
import numpy as np
import tensorflow as tf

import dsr_tf
from dsr_tf import callbacks
from dsr_tf.data import load_images
from dsr_tf.layers import sparse_layers

# In settings with the most operations.
METHODS = {
    "dsr": callbacks.DSR,
    "dsr drawn": lambda: callbacks.DSR(growth="drawn"),
    "dsr by threshold": lambda: callbacks.DSR(20, initial_threshold=0.05),
    "set": callbacks.SET,
    "rigl": callbacks.RigL,
    "itop": lambda: callbacks.ITOP(growth="random"),
    "snfs": callbacks.SNFS,
    "granet": lambda: callbacks.GraNet(0.9, initial_sparsity=0.8, period=5),
    "mest": lambda: callbacks.MEST(soft=True, sparsity=0.9),
    "chts": lambda: callbacks.CHTs(percolate=True),
    "deepr": callbacks.DeepR,
    "compressed": lambda: callbacks.GradualPruning(0.9),
}
STORAGES = {
    "masks": {},
    "slices": {"granularity": "kernel"},
    "blocks": {"granularity": (2, 2), "storage": "blocks"},
}
# What is stored, and whether XLA compiles the steps: masks, and no, but for
# these.
OTHERWISE = {
    "dsr drawn": ("blocks", False),
    "itop": ("slices", False),
    "set": ("blocks", True),
    "rigl": ("masks", True),
}


def dense(window):
    """Returns a network with two kernels of different size."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(16, window, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(10),
        ]
    )


def trained(name, storage, jit):
    """Returns all variables after some steps, and how often weights moved."""
    keras.utils.set_random_seed(0)
    net = dense(1 if storage == "blocks" else 3)
    if name == "hashed":
        model = dsr_tf.hash_kernels(net, 0.8, include="*")
    else:
        kind = STORAGES[storage]
        model = dsr_tf.sparsify(net, 0.8, include="*", **kind)
        assert len(sparse_layers(model)) == 2
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, jit_compile=jit)
    moves = [METHODS[name]()] if name in METHODS else []
    batches = load_images("digits").train_batches(50, seed=0)
    model.fit(batches, epochs=2, steps_per_epoch=10, verbose=0, callbacks=moves)
    times = [x.state.num_reallocations for x in moves]
    return [x.numpy() for x in model.variables], times


def main():
    tf.config.experimental.enable_op_determinism()
    for name in (*METHODS, "hashed"):
        case = name, *OTHERWISE.get(name, ("masks", False))
        (first, times), (second, _) = trained(*case), trained(*case)
        assert all(times), name
        for one, other in zip(first, second, strict=True):
            np.testing.assert_array_equal(one, other, err_msg=name)


if __name__ == "__main__":
    main()
