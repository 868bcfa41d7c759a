"""Copies of a model in which some layers are replaced."""

import textwrap
from collections.abc import Callable
from typing import Any

import keras
from absl import logging
from keras.layers import Layer

from dsr_tf.checks import checked_kind
from dsr_tf.convert.copied_state import check_shared
from dsr_tf.convert.copied_state import copy_state
from dsr_tf.convert.copied_state import uncopied
from dsr_tf.convert.new_optimizer import begin_anew
from dsr_tf.graph.search import is_graph
from dsr_tf.layers import copy_masks
from dsr_tf.layers import copy_weights
from dsr_tf.layers import sparse_layers
from dsr_tf.layers.sparsified import plain_class
from dsr_tf.layers.tree import all_layers

Exchange = Callable[[Layer], Layer | None]
Copy = Callable[[Layer, Layer], None]


def check_built(model: Any) -> None:
    """Refuses what is no built Keras model.

    Raises:
        ValueError: If it is none.
    """
    checked_kind("model", model, keras.Model, "a Keras model")
    if not model.built:
        raise ValueError(
            "`model` must be built, so that its kernels have shapes. Give it "
            "a `keras.Input`, call it once, or call "
            "`model.build(input_shape)`. "
            f"Received: model '{model.name}', which is not built"
        )


def copy_all(old: Layer, new: Layer) -> None:
    """Copies the weights of a layer, and its masks if both have any."""
    if sparse_layers(old) and sparse_layers(new):
        copy_masks(old, new)
    copy_weights(old, new)


def clone_with(
    model: keras.Model, exchange: Exchange, copy: Copy = copy_all
) -> keras.Model:
    """Copies a model, its weights and the arguments of its `compile`.

    Args:
        model: A built model.
        exchange: Returns the layer that replaces another, or None to copy the
            layer. It is asked for the layers of sequential and functional
            models, nested ones too; not for those inside other layers.
        copy: Copies the weights of a layer to the one that replaces it, or to
            its copy. A model that calls its layers in code is one layer.

    Returns:
        A new model; its optimizer starts anew. If the arguments of `compile`
        cannot be copied, the model is not compiled, and a warning says so.

    Raises:
        ValueError: If a layer cannot be copied.
    """
    kinds = [plain_class(type(layer)) for layer in all_layers(model)]
    known = {kind.__name__: kind for kind in kinds}
    with keras.saving.custom_object_scope(known):
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


def _cloned(model: keras.Model, exchange: Exchange, copy: Copy) -> keras.Model:
    pairs: dict[int, tuple[Layer, Layer]] = {}

    def clone(layer: Any) -> Any:
        # An operation that is no layer, such as `x[:, 0]`, has no weights.
        if not isinstance(layer, Layer):
            return layer
        if id(layer) not in pairs:
            pairs[id(layer)] = layer, _inner(layer)
        return pairs[id(layer)][1]

    def _inner(layer: Layer) -> Layer:
        if is_graph(layer):
            return _graph_again(layer, clone)
        return _exchanged(layer, exchange) or _copy(layer)

    if is_graph(model):
        new = _graph_again(model, clone, _inputs(model))
    else:
        new = copied_by_config(model)
        pairs[id(model)] = model, new
    copies = [x for x in pairs.values() if x[0] is not x[1]]
    for old, copied in copies:
        if not is_graph(old):
            copy(old, copied)
            copy_state(old, copied)
    check_shared(model, copies)
    begin_anew(new)
    finish(new)
    return new


def _graph_again(
    model: keras.Model, clone: Exchange, inputs: Any = None
) -> keras.Model:
    """Makes a sequential or functional model of copies of its layers."""
    kind = type(model)
    if not isinstance(model, keras.Sequential) or kind is keras.Sequential:
        return keras.models.clone_model(model, inputs, clone_function=clone)
    # Keras would make a plain `Sequential`, without a `train_step` of its own.
    # Private: `layers` leaves out the input layer.
    copies = [clone(layer) for layer in model._layers]
    new = kind(copies, name=model.name, trainable=model.trainable)
    if model.compiled:
        new.compile_from_config(model.get_compile_config())
    return new


def copied_by_config(model: keras.Model) -> keras.Model:
    """Makes a model again, which calls its layers in code; not its weights.

    Raises:
        ValueError: If its config does not make it again.
    """
    try:
        new = _made_again(model)
        if not new.built:
            new.build_from_config(model.get_build_config())
            # As Keras does it where it loads a model.
            new.built = True
        found, wanted = _shapes(new), _shapes(model)
        if found != wanted:
            raise ValueError(
                f"the copy has {len(found)} weights instead of "
                f"{len(wanted)}, or of other shapes"
            )
    # Broad, as the user's own code may fail in any way.
    except Exception as error:
        raise uncopied(
            "`model` must be one that `from_config(get_config())` and "
            "`build_from_config(get_build_config())` make again. Define these. "
            f"Received: model '{model.name}' of class {type(model).__name__} "
            f"({_reason(error)})"
        ) from error
    if model.compiled:
        new.compile_from_config(model.get_compile_config())
    return new


def _made_again(layer: Layer) -> Layer:
    """Makes a layer of the config of another.

    Layers that it makes itself take the global policy: it was that of the
    layer, when this was made.
    """
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(layer.dtype_policy)
    try:
        return type(layer).from_config(layer.get_config())
    finally:
        keras.config.set_dtype_policy(policy)


def _shapes(model: Layer) -> list[tuple[int, ...]]:
    return [tuple(weight.shape) for weight in model.weights]


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
    if isinstance(layer, keras.Model):
        return copied_by_config(layer)
    # Keras cannot copy some layers, such as a Lambda of a Python function.
    try:
        return _made_again(layer)
    except Exception as error:
        if not layer.weights:
            return layer
        raise _uncopied(layer, error) from error


def _exchanged(layer: Layer, exchange: Exchange) -> Layer | None:
    try:
        return exchange(layer)
    # What Keras raises where it writes no config, or cannot read it again.
    except (TypeError, NotImplementedError) as error:
        raise _uncopied(layer, error) from error


def _uncopied(layer: Layer, error: Exception) -> ValueError:
    return uncopied(
        "`model` must have layers that `from_config(get_config())` can "
        f"copy. Define these. Received: layer '{layer.name}' of class "
        f"{type(layer).__name__} ({_reason(error)})"
    )


def _reason(error: BaseException) -> str:
    """Returns the kind of an error and how its message begins.

    Keras puts the message of a constructor at the end of its own, behind a
    whole config.
    """
    inner = error.__context__
    if isinstance(error, TypeError) and inner and str(inner) in str(error):
        return _reason(inner)
    first_part = str(error).strip().split("\n\n")[0]
    return f"{type(error).__name__}: {textwrap.shorten(first_part, 300)}"
