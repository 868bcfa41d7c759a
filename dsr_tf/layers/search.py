"""Finding the sparse layers of a model."""

import keras

from dsr_tf.layers.masked_kernel import MaskedKernel


def sparse_layers(model: keras.Model) -> list[MaskedKernel]:
    """Returns the sparse layers of a model, each once, in order.

    Nested models are entered; a layer that is called twice is one layer.

    Args:
        model: Any Keras model, or layer.
    """
    # Private: no public call descends into nested models and wrappers alike.
    layers = model._flatten_layers()
    return [layer for layer in layers if isinstance(layer, MaskedKernel)]
