"""Finding the sparse layers of a model."""

import keras

from dsr_tf.checks import checked_kind
from dsr_tf.layers.hashed_kernel import HashedKernel
from dsr_tf.layers.masked_kernel import MaskedKernel


def sparse_layers(model: keras.Model) -> list[MaskedKernel]:
    """Returns the sparse layers of a model, each once, in order.

    Nested models are entered; a layer that is called twice is one layer.

    Args:
        model: Any Keras model, or layer.
    """
    return [x for x in all_layers(model) if isinstance(x, MaskedKernel)]


def budgeted_layers(model: keras.Model) -> list[MaskedKernel | HashedKernel]:
    """Returns the layers whose kernels have a budget: sparse or hashed.

    Args:
        model: Any Keras model, or layer.
    """
    kinds = (MaskedKernel, HashedKernel)
    return [layer for layer in all_layers(model) if isinstance(layer, kinds)]


def all_layers(model: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Returns a model and all layers in it, at any depth, each once.

    Args:
        model: Any Keras model, or layer.
    """
    checked_kind("model", model, keras.layers.Layer, "a Keras model or layer")
    # Private: no public call descends into nested models and wrappers alike.
    return list(model._flatten_layers())


def sublayers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Returns the layers that a model or layer holds itself, in order.

    Args:
        layer: Any Keras model, or layer.
    """
    # `layers` is public, and only models have it.
    return list(layer._flatten_layers(include_self=False, recursive=False))
