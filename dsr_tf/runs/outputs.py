"""Whether a network gives logits or probabilities."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

# Names, as a function of TensorFlow's may stand for that of Keras.
_PROBABILITIES = ("softmax", "sigmoid")


def gives_logits(model: keras.Model, input_shape: Sequence[Any]) -> bool:
    """Tells whether the outputs of a network are logits.

    They are probabilities where the last layer is, or ends with, a softmax or
    sigmoid. A model that calls its layers in code is run on zeros instead: its
    outputs are probabilities if they add up to 1.

    Args:
        model: A built model.
        input_shape: Shape of an input, without the batch.
    """
    layer = _last(model)
    if isinstance(layer, keras.layers.Softmax):
        return False
    activation = getattr(layer, "activation", None)
    if activation is not None:
        name = getattr(activation, "__name__", type(activation).__name__)
        return name.lower() not in _PROBABILITIES
    if isinstance(layer, keras.Model):
        zeros = np.zeros((1, *input_shape), np.float32)
        return not are_probabilities(np.asarray(layer(zeros)))
    return True


def _last(layer: Any) -> Any:
    """Returns the layer that makes the outputs, of the innermost model."""
    while isinstance(layer, keras.Sequential) and layer.layers:
        layer = layer.layers[-1]
    # Private, as Keras has no other way from an output to its layer.
    history = getattr(getattr(layer, "output", None), "_keras_history", None)
    if isinstance(layer, keras.Model) and history is not None:
        made_by = history.operation
        return layer if made_by is layer else _last(made_by)
    return layer


def are_probabilities(outputs: np.ndarray) -> bool:
    """Tells whether each row is not negative, and adds up to 1.

    Eight bits round each of many outputs.
    """
    sums = outputs.astype(np.float64).sum(axis=-1)
    return bool((outputs >= 0).all() and (np.abs(sums - 1) < 0.05).all())
