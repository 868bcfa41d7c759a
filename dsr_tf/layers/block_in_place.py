"""Layers that store blocks from now on, or whole kernels again."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextlib import nullcontext
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dsr_tf.layers.block_kernel import BlockKernel
from dsr_tf.layers.block_kernel import check_elementwise
from dsr_tf.layers.block_kernel import first_positions
from dsr_tf.layers.block_variable import BlockPositions
from dsr_tf.layers.block_variable import BlockVariable
from dsr_tf.layers.block_variable import stacked
from dsr_tf.layers.kernel_units import units_of
from dsr_tf.layers.mask_in_place import become_known
from dsr_tf.layers.mask_in_place import change_class
from dsr_tf.layers.mask_in_place import drop
from dsr_tf.layers.mask_in_place import unlocked
from dsr_tf.layers.name_scopes import open_name_scopes
from dsr_tf.layers.sparse_classes import BLOCK_OF
from dsr_tf.layers.sparse_classes import PLAIN_OF
from dsr_tf.layers.sparse_part import Sparsity
from dsr_tf.layers.tree import all_layers
from dsr_tf.units import Granularity

# What layers that store blocks hold besides.
_OWN = (
    *("sparsity", "granularity", "seed", "kernel_units", "_num_blocks"),
    *("kernel_blocks", "kernel_positions"),
)


def store_blocks(
    layer: Any, made: Sparsity, mask: np.ndarray | None = None
) -> None:
    """Makes a plain layer one that stores blocks of its kernel alone.

    Args:
        layer: A built layer of a class that `BLOCK_OF` has, exactly.
        made: How its kernel is made sparse.
        mask: The first mask, of the kernel's shape; drawn by default.

    Raises:
        ValueError: If its penalty or constraint needs the dense kernel.
    """
    check_elementwise(layer)
    kernel = layer.kernel
    units = units_of(layer, kernel, Granularity.of(made.granularity))
    if mask is None:
        positions = first_positions(
            units, made.sparsity, made.seed, made.num_blocks
        )
    else:
        positions = np.flatnonzero(units.of_mask(mask))
    scope, _, _ = kernel.path.rpartition("/")
    columns = tf.gather(units.rows(kernel.value), positions, axis=1)
    with _where(kernel), open_name_scopes(scope):
        places = BlockPositions(positions, "kernel_positions")
        blocks = BlockVariable(
            places,
            units,
            kernel.constraint,
            initializer=lambda *_, **__: stacked(units, columns),
            shape=(len(positions), *units.block),
            dtype=kernel.dtype,
            trainable=kernel.trainable,
            aggregation=kernel.aggregation,
            name="kernel_blocks",
        )
    blocks.regularizer = kernel.regularizer
    change_class(layer, BLOCK_OF[type(layer)])
    layer.sparsity, layer.granularity = made.sparsity, made.granularity
    layer.seed, layer.kernel_units, layer._num_blocks = made.seed, units, None
    _exchange(layer, kernel, blocks)
    with unlocked(layer):
        layer.kernel_blocks, layer.kernel_positions = blocks, places


def store_whole(layer: Any) -> None:
    """Makes a layer that stores blocks a plain one, with the same weights.

    Args:
        layer: A built layer of a class of `BLOCK_OF`, exactly.
    """
    blocks, places, whole = layer.kernel_blocks, layer.placement, layer.kernel
    scope, _, _ = blocks.path.rpartition("/")
    with _where(blocks), open_name_scopes(scope):
        kernel = keras.Variable(
            lambda *_, **__: whole,
            shape=layer.kernel_units.shape,
            dtype=blocks.dtype,
            trainable=blocks.trainable,
            aggregation=blocks.aggregation,
            name="kernel",
        )
    kernel.regularizer, kernel.constraint = blocks.regularizer, blocks._own
    change_class(layer, PLAIN_OF[type(layer)])
    _exchange(layer, blocks, kernel)
    layer._untrack_variable(places)
    for name in _OWN:
        layer.__dict__.pop(name, None)


def storing_blocks(model: keras.layers.Layer) -> list[Any]:
    """Returns the layers in a model that store blocks, to be changed.

    Args:
        model: A model, or layer.

    Raises:
        ValueError: If the class of one is a user's own, which may compute
            otherwise.
    """
    layers = [
        x for x in all_layers(model) if isinstance(x, BlockKernel) and x.built
    ]
    for layer in layers:
        if type(layer) not in PLAIN_OF:
            raise ValueError(
                "A layer that stores blocks must be of a class of this "
                "library, not of one that extends it, to be converted or "
                f"exported. Received: layer '{layer.name}' of class "
                f"{type(layer).__name__}"
            )
    return layers


@contextmanager
def stored_whole(model: keras.layers.Layer) -> Iterator[list[Any]]:
    """Stores whole kernels for a while, where blocks are stored.

    Args:
        model: A model, or layer.

    Yields:
        The layers, which are plain for that time.

    Raises:
        ValueError: If the class of one is a user's own.
    """
    layers = storing_blocks(model)
    kept = [
        (type(x), {name: x.__dict__[name] for name in _OWN}) for x in layers
    ]
    for layer in layers:
        store_whole(layer)
    try:
        yield layers
    finally:
        for layer, (kind, attributes) in zip(layers, kept, strict=True):
            _exchange(layer, layer._kernel, attributes["kernel_blocks"])
            change_class(layer, kind)
            with unlocked(layer):
                for name, value in attributes.items():
                    setattr(layer, name, value)


@contextmanager
def under_masks(model: Any) -> Iterator[None]:
    """Stores kernels under masks for a while, where blocks are stored.

    Args:
        model: A Keras model.
    """
    layers = storing_blocks(model)
    made = [
        (Sparsity(x.sparsity, x.granularity, x.seed), x.kernel_mask.numpy())
        for x in layers
    ]
    # What was traced with the kernels of the other kind.
    traced = model.predict_function, model.test_function
    if layers:
        model.predict_function = model.test_function = None
    with stored_whole(model) as whole:
        for layer, row in zip(whole, made, strict=True):
            become_known(layer, *row)
        try:
            yield
        finally:
            for layer in whole:
                drop(layer, layer.kernel_mask)
            if layers:
                model.predict_function, model.test_function = traced


def _where(variable: Any) -> Any:
    """Returns the scope of the strategy that a variable was made under."""
    strategy = getattr(variable.value, "distribute_strategy", None)
    return strategy.scope() if strategy else nullcontext()


def _exchange(layer: Any, old: Any, new: Any) -> None:
    """Gives a layer another kernel, in the same place among its weights.

    Private: nothing public exchanges a weight. Optimizers are loaded by the
    order of weights.
    """
    weights = layer._tracker.config["trainable_variables"][1]
    index = [id(x) for x in weights].index(id(old))
    layer._untrack_variable(old)
    trainable, new.trainable = old.trainable, True
    with unlocked(layer):
        layer._kernel = new
    new.trainable = trainable
    weights.insert(index, weights.pop())
