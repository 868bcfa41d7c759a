"""Copies of a model in which some layers are replaced."""

from collections.abc import Callable
from typing import Any

import keras
from absl import logging
from keras.layers import Layer

from dsr_tf.checks import checked_kind
from dsr_tf.graph.search import is_graph
from dsr_tf.layers import copy_weights
from dsr_tf.layers.tree import all_layers


def check_convertible(model: Any) -> None:
    """Refuses models whose layers cannot be replaced.

    Raises:
        ValueError: If `model` is not a built sequential or functional model.
    """
    checked_kind("model", model, keras.Model, "a Keras model")
    if not is_graph(model):
        raise ValueError(
            "`model` must be sequential or functional: the layers of a "
            "subclass cannot be replaced from outside. Use sparse layers in "
            "its code: `dsr_tf.layers.SparseDense` for "
            "`keras.layers.Dense`, and so on. "
            f"Received: model '{model.name}' of class {type(model).__name__}"
        )
    if not model.built:
        raise ValueError(
            "`model` must be built, so that its kernels have shapes. Give it "
            "a `keras.Input`, or call `model.build(input_shape)`. "
            f"Received: model '{model.name}', which is not built"
        )


def clone_with(
    model: keras.Model,
    exchange: Callable[[Layer], Layer | None],
    copy: Callable[[Layer, Layer], None] = copy_weights,
) -> keras.Model:
    """Copies a model, its weights and the arguments of its `compile`.

    Args:
        model: A built sequential or functional model.
        exchange: Returns the layer that replaces another, or None to copy the
            layer.
        copy: Copies the weights of a layer to the one that replaces it.

    Returns:
        A new model; its optimizer starts anew. If the arguments of `compile`
        cannot be copied, the model is not compiled, and a warning says so.
    """
    try:
        return _cloned(model, exchange, copy)
    # Broad, as a loss or metric of the user's may fail in any way.
    except Exception:
        if not model.compiled:
            raise
    model.compiled = False
    try:
        clone = _cloned(model, exchange, copy)
    finally:
        model.compiled = True
    logging.warning(
        "The arguments of `compile` of model '%s' cannot be copied. Call "
        "`compile` on the new model.",
        model.name,
    )
    return clone


def _cloned(
    model: keras.Model,
    exchange: Callable[[Layer], Layer | None],
    copy: Callable[[Layer, Layer], None],
) -> keras.Model:
    pairs: list[tuple[Layer, Layer]] = []

    def clone(layer: Any) -> Any:
        # An operation that is no layer, such as `x[:, 0]`, has no weights.
        if not isinstance(layer, Layer):
            return layer
        pairs.append((layer, exchange(layer) or _copy(layer)))
        return pairs[-1][1]

    new = keras.models.clone_model(
        model, _inputs(model), clone_function=clone, recursive=True
    )
    for old, copied in pairs:
        if copied is not old:
            copy(old, copied)
    finish(new)
    return new


def finish(model: Layer) -> None:
    """Makes the layers of a model take up weights that were assigned.

    `Normalization` computes with constants, which Keras makes of its weights
    when it is adapted or loaded.
    """
    for layer in all_layers(model):
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()


def _inputs(model: keras.Model) -> Any:
    """Makes inputs of the same names, which Keras would give new ones.

    None for a sequential model, where Keras does that itself.
    """
    if isinstance(model, keras.Sequential):
        return None
    inputs = [x for x in model.layers if isinstance(x, keras.layers.InputLayer)]
    names = {id(layer.output): layer.name for layer in inputs}

    def like(x: Any) -> Any:
        tensor = keras.KerasTensor(x.shape, x.dtype, x.sparse, name=x.name)
        return keras.Input(tensor=tensor, name=names.get(id(x), x.name))

    return keras.tree.map_structure(like, model.input)


def _copy(layer: Layer) -> Layer:
    # Two models can share a layer that has no weights. The config of one with
    # a vocabulary does not hold what it learned by `adapt`.
    if hasattr(layer, "get_vocabulary") and not layer.weights:
        return layer
    # Keras cannot copy some layers, such as a Lambda of a Python function.
    try:
        return type(layer).from_config(layer.get_config())
    except Exception as error:
        if not layer.weights:
            return layer
        raise ValueError(
            "`model` must have layers that `from_config(get_config())` can "
            f"copy. Received: layer '{layer.name}' of class "
            f"{type(layer).__name__} ({error})"
        ) from error
