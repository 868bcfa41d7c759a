"""Models that compute in half precision, as models of single precision."""

from typing import Any

import keras
from keras.layers import Lambda
from keras.layers import Layer

from dsr_tf.convert.clone import clone_with
from dsr_tf.layers.walk import all_layers

_HALVES = ("float16", "bfloat16")


def in_float32(model: keras.Model) -> keras.Model:
    """Returns a plain Keras model as one that computes in single precision.

    Its inputs keep their types. TFLite cannot convert most operations on
    halves.

    Args:
        model: A built sequential or functional model. It is returned itself if
            it computes in single precision already.
    """
    if not any(map(_is_half, all_layers(model))):
        return model
    return clone_with(model, _single)


def _is_half(layer: Layer) -> bool:
    return layer.compute_dtype in _HALVES or layer.variable_dtype in _HALVES


def _single(layer: Layer) -> Layer | None:
    if not any(map(_is_half, all_layers(layer))):
        return None
    if isinstance(layer, Lambda):
        # Keras cannot copy a Lambda of a Python function by its config.
        return Lambda(
            layer.function,
            layer.compute_output_shape,
            layer.mask,
            layer.arguments,
            name=layer.name,
            dtype="float32",
        )
    return type(layer).from_config(_replaced(layer.get_config()))


def _replaced(config: Any) -> Any:
    """Replaces half precision in a config, at any depth."""
    if isinstance(config, dict):
        return {k: _policy(k, _replaced(v)) for k, v in config.items()}
    if isinstance(config, list | tuple):
        return type(config)(map(_replaced, config))
    return config


def _policy(key: str, value: Any) -> Any:
    """Returns what is at a key of a config, with no dtype of half precision."""
    if key == "dtype" and isinstance(value, str):
        return "float32" if value.removeprefix("mixed_") in _HALVES else value
    is_policy = isinstance(value, dict) and value.get("class_name") in (
        "DTypePolicy",
        "FloatDTypePolicy",
    )
    if key == "dtype" and is_policy:
        return _policy(key, value["config"]["name"])
    return value
