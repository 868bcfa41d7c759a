"""Whether replicas on all cards train as one device does.

The same network is trained on one device and on replicas, from the same weights
and by the same images. It has no batch normalisation, which would take the mean
of fewer images on a replica; and XLA compiles neither, as Keras compiles no
steps of replicas. So what is left between both is how sums are rounded. It is
small, so that no two scores of weights are as close as that.
"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

import dsr_tf
from dsr_tf.callbacks import DSR
from dsr_tf.data import load_images
from dsr_tf.distribute import choose_strategy
from dsr_tf.layers import sparse_layers

# Images of each replica, in a step; and steps before kernels are compared.
IMAGES, STEPS = 24, 5
# How far kernels may be apart, as a share of how far they moved.
TOLERANCE = 1e-3


def checked() -> dict[str, Any]:
    """Trains on one device and on all cards; without one, on two CPUs.

    It is to be the first in its process that uses TensorFlow.
    """
    cpu = tf.config.list_physical_devices("CPU")[0]
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, two)
    # With it products are rounded to ten bits, which makes much of little.
    tf.config.experimental.enable_tensor_float_32_execution(False)
    strategy = choose_strategy("mirrored")
    replicas = strategy.num_replicas_in_sync
    if replicas == 1:
        return {"replicas": replicas}
    batches = load_images("digits").train_batches(IMAGES * replicas, seed=0)
    return compared(*networks(strategy), strategy, batches, batches)


def networks(strategy: tf.distribute.Strategy) -> list[keras.Model]:
    """Builds the network for one device and for replicas, weights equal."""
    one = _network()
    with strategy.scope():
        return [one, _network()]


def _network() -> keras.Model:
    keras.utils.set_random_seed(0)
    dense = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(100, activation="relu"),
            keras.layers.Dense(30, activation="relu"),
            keras.layers.Dense(10),
        ]
    )
    model = dsr_tf.sparsify(dense, 0.9, seed=0)
    model.compile(
        keras.optimizers.SGD(0.1, 0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    return model


def compared(
    one: keras.Model,
    several: keras.Model,
    strategy: tf.distribute.Strategy,
    batches: tf.data.Dataset,
    batches_of_replicas: tf.data.Dataset,
) -> dict[str, Any]:
    """Trains both, then reallocates both, and tells whether they are alike."""
    fits = (one, batches), (several, batches_of_replicas)
    first = _joined(one, "kernel")
    for model, images in fits:
        model.fit(images, steps_per_epoch=STEPS, verbose=0)
    trained = _joined(one, "kernel")
    apart = np.abs(trained - _joined(several, "kernel")).max()
    moved = np.abs(trained - first).max()
    # From equal numbers again, so that rounding decides between no two weights.
    for mine, theirs in zip(_numbers(one), _numbers(several), strict=True):
        theirs.assign(mine)
    before = _joined(one, "kernel_mask")
    callback = DSR(0.3, period=STEPS + 1, growth="gradient")
    for model, images in fits:
        model.fit(images, steps_per_epoch=1, verbose=0, callbacks=[callback])
    return verdict(
        replicas=strategy.num_replicas_in_sync,
        kernels_moved=float(moved),
        kernels_apart=float(apart),
        masks_moved=int((before != _joined(one, "kernel_mask")).sum()),
        **masks(one, several, strategy),
    )


def masks(
    one: keras.Model, several: keras.Model, strategy: tf.distribute.Strategy
) -> dict[str, int]:
    """Counts the weights that are active, and masks and kernels that differ."""
    expected, found = (_joined(x, "kernel_mask") for x in (one, several))
    return {
        "weights": int(expected.sum()),
        "masks_differing": int((expected != found).sum()),
        "copies_differing": _differing(several, strategy),
    }


def _differing(model: keras.Model, strategy: tf.distribute.Strategy) -> int:
    """Counts in how many numbers a replica differs from the first, in bits."""
    return sum(
        int((copy.numpy() != copies[0].numpy()).sum())
        for layer in sparse_layers(model)
        for variable in (layer.kernel, layer.kernel_mask)
        for copies in [strategy.experimental_local_results(variable.value)]
        for copy in copies[1:]
    )


def verdict(**found: Any) -> dict[str, Any]:
    """Adds to what was found whether it is right."""
    allowed = TOLERANCE * found["kernels_moved"]
    differing = found["masks_differing"] + found["copies_differing"]
    # What did not move says nothing.
    has_moved = found["kernels_moved"] > 0 and found["masks_moved"] > 0
    is_right = has_moved and found["kernels_apart"] <= allowed
    return {**found, "is_right": is_right and not differing}


def _numbers(model: keras.Model) -> list[Any]:
    return [*model.variables, *model.optimizer.variables]


def _joined(model: keras.Model, name: str) -> np.ndarray:
    return np.concatenate(
        [getattr(x, name).numpy().ravel() for x in sparse_layers(model)]
    )
