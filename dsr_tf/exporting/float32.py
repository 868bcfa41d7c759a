"""Models of half or double precision, as models of single precision."""

from typing import Any

import keras
from keras.layers import Lambda
from keras.layers import Layer

from dsr_tf.convert.clone import clone_with
from dsr_tf.layers.tree import all_layers

_OTHERS = ("float16", "bfloat16", "float64")


def in_float32(model: keras.Model) -> keras.Model:
    """Returns a model as one that computes in single precision.

    Its inputs keep their types. TFLite has few operations on other floats.

    Args:
        model: A built sequential or functional model. It is returned itself if
            it computes in single precision already.
    """
    if not any(map(_is_other, all_layers(model))):
        return model
    policy = keras.config.dtype_policy()
    # Layers that one's own layers make take it.
    keras.config.set_dtype_policy("float32")
    try:
        return clone_with(model, _single)
    finally:
        keras.config.set_dtype_policy(policy)


def _is_other(layer: Layer) -> bool:
    return layer.compute_dtype in _OTHERS or layer.variable_dtype in _OTHERS


def _single(layer: Layer) -> Layer | None:
    if not any(map(_is_other, all_layers(layer))):
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
    """Replaces other precisions in a config, at any depth."""
    if isinstance(config, dict):
        return {k: _policy(k, _replaced(v)) for k, v in config.items()}
    if isinstance(config, list | tuple):
        return type(config)(map(_replaced, config))
    return config


def _policy(key: str, value: Any) -> Any:
    """Returns what is at a key of a config, with no other dtype of floats."""
    if key == "dtype" and isinstance(value, str):
        return "float32" if value.removeprefix("mixed_") in _OTHERS else value
    is_policy = isinstance(value, dict) and value.get("class_name") in (
        "DTypePolicy",
        "FloatDTypePolicy",
    )
    if key == "dtype" and is_policy:
        return _policy(key, value["config"]["name"])
    return value
