"""Models that call their layers in code, as functional models."""

from collections.abc import Mapping
from typing import Any

import keras

from dsr_tf.checks import first_line
from dsr_tf.graph.search import has_inputs


def as_functional(model: keras.Model) -> keras.Model:
    """Returns a model whose inputs Keras knows.

    Args:
        model: A built model. A sequential or functional one is returned
            itself; another becomes the one layer of a functional model, with
            inputs as it was built with.

    Raises:
        ValueError: If it was not built by a call, or takes other inputs.
    """
    if has_inputs(model):
        return model
    try:
        config = model.get_build_config() or {}
        if "shapes_dict" in config:
            inputs = _inputs(
                {
                    name.removesuffix("_shape"): shape
                    for name, shape in config["shapes_dict"].items()
                }
            )
            return keras.Model(inputs, model(**inputs), name=model.name)
        inputs = _inputs(config["input_shape"])
        return keras.Model(inputs, model(inputs), name=model.name)
    # Broad, as the user's own code may fail in any way.
    except Exception as error:
        raise ValueError(
            "`model` must be one that can be called on inputs of the shapes "
            "that it was built with. Call it once on inputs, or make it a "
            "functional model: `keras.Model(inputs, model(inputs))`. Received: "
            f"model '{model.name}' ({first_line(error)})"
        ) from error


def _inputs(shapes: Any, name: str | None = None) -> Any:
    """Makes inputs, named by their keys and arguments where these are known."""
    if isinstance(shapes, Mapping):
        return {
            key: _inputs(x, _joined(name, key)) for key, x in shapes.items()
        }
    if all(isinstance(x, int | None) for x in shapes):
        # The size of the batch that it was built with is none to keep.
        return keras.Input(tuple(shapes)[1:], name=name)
    return type(shapes)(
        _inputs(x, name and _joined(name, i)) for i, x in enumerate(shapes)
    )


def _joined(name: str | None, key: Any) -> str:
    # Keras has no `/` in names.
    last = str(key).replace("/", "_")
    return f"{name}_{last}" if name else last
