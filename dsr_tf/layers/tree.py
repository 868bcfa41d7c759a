"""The layers inside a layer, and the weights of each."""

import keras

from dsr_tf.checks import checked_kind


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


def own_weights(layer: keras.layers.Layer) -> list[keras.Variable]:
    """Returns the weights that a layer holds itself, not in layers inside it.

    Args:
        layer: Any Keras model, or layer.
    """
    inner = {id(w) for x in sublayers(layer) for w in x.weights}
    return [w for w in layer.weights if id(w) not in inner]
