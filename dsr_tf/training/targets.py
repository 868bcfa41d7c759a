"""The layers that a reallocator is made for."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from dsr_tf.layers import SparseKernel
from dsr_tf.layers import sparse_layers
from dsr_tf.methods.context import Extent


def trainable_layers(
    model_or_layers: keras.Model | Sequence[SparseKernel],
) -> list[SparseKernel]:
    """Returns the sparse layers that a reallocator is made for.

    Raises:
        ValueError: If there is none, none is trainable, or something in a list
            is no sparse layer.
    """
    if isinstance(model_or_layers, keras.Model):
        return _layers_of(model_or_layers)
    is_list = isinstance(model_or_layers, list | tuple)
    layers = list(model_or_layers) if is_list else []
    sparse = all(isinstance(layer, SparseKernel) for layer in layers)
    if not layers or not sparse or len(set(map(id, layers))) < len(layers):
        raise ValueError(
            "`model_or_layers` must be a Keras model, or a list of sparse "
            f"layers, each once. Received: {model_or_layers!r}"
        )
    return layers


def _layers_of(model: keras.Model) -> list[SparseKernel]:
    found = sparse_layers(model)
    layers = [layer for layer in found if layer.trainable]
    if layers:
        return layers
    if found:
        raise ValueError(
            "The model must have at least one trainable sparse layer. Set "
            "`trainable = True` on one, and compile again. "
            f"Received: model '{model.name}' with {len(found)} sparse layers, "
            "none of them trainable"
        )
    raise ValueError(
        "The model must have at least one sparse layer. Replace "
        "`keras.layers.Dense` by `dsr_tf.layers.SparseDense`, or "
        "`keras.layers.Conv2D` by `dsr_tf.layers.SparseConv2D`; a model that "
        "makes its layers when it is built must be built before `fit`. "
        f"Received: model '{model.name}' with layers "
        f"{[layer.name for layer in model.layers]}"
    )


def strategy_of(layers: Sequence[SparseKernel]) -> tf.distribute.Strategy:
    """Returns the strategy that layers were made under."""
    value = layers[0].trained_kernel.value
    # A variable of one device has none.
    own = getattr(value, "distribute_strategy", None)
    return own or tf.distribute.get_strategy()


def extent_of(layer: SparseKernel) -> Extent:
    """Returns how large the kernel of a built layer is."""
    units = layer.kernel_units
    active = layer.num_active // units.size
    return Extent(layer.name, active, units.count, units.size)
