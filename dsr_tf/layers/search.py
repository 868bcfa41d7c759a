"""Finding the sparse layers of a model."""

import keras

from dsr_tf.layers.hashed_kernel import HashedKernel
from dsr_tf.layers.masked_kernel import MaskedKernel


def sparse_layers(model: keras.Model) -> list[MaskedKernel]:
    """Returns the sparse layers of a model, each once, in order.

    Nested models are entered; a layer that is called twice is one layer.

    Args:
        model: Any Keras model, or layer.
    """
    return [x for x in _flattened(model) if isinstance(x, MaskedKernel)]


def budgeted_layers(model: keras.Model) -> list[MaskedKernel | HashedKernel]:
    """Returns the layers whose kernels have a budget: sparse or hashed.

    Args:
        model: Any Keras model, or layer.
    """
    kinds = (MaskedKernel, HashedKernel)
    return [layer for layer in _flattened(model) if isinstance(layer, kinds)]


def _flattened(model: keras.Model) -> list[keras.layers.Layer]:
    # Private: no public call descends into nested models and wrappers alike.
    return list(model._flatten_layers())
