"""Models that call their layers in code, as functional models."""

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
            named = {
                name.removesuffix("_shape"): shape
                for name, shape in config["shapes_dict"].items()
            }
            inputs = {name: _inputs(x, name) for name, x in named.items()}
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
    def single(shape: Any) -> Any:
        # The size of the batch that it was built with is none to keep.
        return keras.Input(tuple(shape)[1:], name=name)

    return keras.tree.map_shape_structure(single, shapes)
