"""Trains with every method, twice, under TensorFlow's determinism.

It is a setting of the whole process, so this is a process of its own.
"""

import keras
import numpy as np
import tensorflow as tf

import dsr_tf
from dsr_tf import callbacks
from dsr_tf.data import load_images

METHODS = {
    "dsr": callbacks.DSR,
    "dsr drawn": lambda: callbacks.DSR(growth="drawn"),
    "set": callbacks.SET,
    "rigl": callbacks.RigL,
    "itop": callbacks.ITOP,
    "snfs": callbacks.SNFS,
    "granet": lambda: callbacks.GraNet(0.9, initial_sparsity=0.8, period=5),
    "mest": callbacks.MEST,
    "chts": callbacks.CHTs,
    "deepr": callbacks.DeepR,
    "compressed": lambda: callbacks.GradualPruning(0.9),
}


def trained(make):
    """Returns all variables after some steps, and how many weights moved."""
    keras.utils.set_random_seed(0)
    dense = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(8, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(10),
        ]
    )
    model = dsr_tf.sparsify(dense, 0.8)
    model.compile(
        "adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    moves = make()
    batches = load_images("digits").train_batches(50, seed=0)
    model.fit(
        batches, epochs=3, steps_per_epoch=10, verbose=0, callbacks=[moves]
    )
    return [x.numpy() for x in model.variables], moves.state.num_reallocations


def main():
    tf.config.experimental.enable_op_determinism()
    for name, make in METHODS.items():
        (first, moved), (second, _) = trained(make), trained(make)
        assert moved, name
        for one, other in zip(first, second, strict=True):
            np.testing.assert_array_equal(one, other, err_msg=name)


if __name__ == "__main__":
    main()
