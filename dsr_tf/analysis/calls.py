"""Records which layers a model calls for one example, with their shapes."""

from collections import defaultdict
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from dsr_tf.graph.search import has_inputs
from dsr_tf.layers.name_scopes import closed_name_scopes
from dsr_tf.layers.tree import all_layers

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class Call:
    """One call of a layer.

    Args:
        inputs: Shape of its first tensor, with a batch of 1; None for an open
            dimension.
        outputs: Shape of the first tensor that it returned.
    """

    inputs: Shape
    outputs: Shape


Calls = dict[int, list[Call | None]]


def traced_calls(
    model: keras.Model, input_shape: Sequence[int] | None = None
) -> Calls:
    """Records every call of a layer while TensorFlow traces a model.

    This includes calls from nested models, wrappers and Python code. Nothing is
    computed. The model does not change, except that unbuilt layers are built,
    as at its first call.

    Args:
        model: A built model.
        input_shape: Shape of an example, without the batch. By default, the
            shape that the model was built with.

    Returns:
        The calls of each layer, by `id(layer)`. A call is None if it may run
        any number of times: in a loop or a branch of TensorFlow, or in a layer
        whose own input has an open dimension. The result is empty if the model
        cannot be traced.

    Raises:
        ValueError: If `input_shape` is given, and the model has several inputs
            or does not accept this shape.
    """
    observer = _Observer()
    try:
        inputs = _inputs(model, input_shape)
        with closed_name_scopes(), _observed(all_layers(model), observer):
            tf.function(
                partial(observer.trace, model), autograph=False
            ).get_concrete_function(inputs)
    # Broad, as the code of the user's layers may fail in any way.
    except Exception as error:
        if input_shape is None:
            return {}
        raise ValueError(
            "`input_shape` must be the shape of an example, without the "
            f"batch, that model '{model.name}' accepts as its only input. "
            f"Received: input_shape={input_shape}"
        ) from error
    return observer.calls


class _Observer:
    def __init__(self) -> None:
        self.calls: Calls = defaultdict(list)
        # For each call in progress, whether the calls inside it run exactly as
        # often as they are traced.
        self.certain: list[bool] = []
        self.graph: Any = None

    def trace(self, model: keras.Model, inputs: Any) -> Any:
        # TensorFlow traces again if the first time has made variables.
        self.calls.clear()
        self.graph = tf.compat.v1.get_default_graph()
        # The scope keeps losses and states from the model.
        with keras.StatelessScope(collect_losses=True):
            return model(inputs)

    def call(
        self, layer: keras.layers.Layer, call: Any, *args: Any, **kwargs: Any
    ) -> Any:
        inputs = _first_shape((args, kwargs))
        certain = all(self.certain) and self._inline()
        closed = inputs is not None and None not in inputs
        self.certain.append(closed or isinstance(layer, keras.Model))
        try:
            outputs = call(*args, **kwargs)
        finally:
            self.certain.pop()
        shape = _first_shape(outputs)
        seen = None
        if certain and inputs is not None and shape is not None:
            seen = Call(inputs, shape)
        self.calls[id(layer)].append(seen)
        return outputs

    def _inline(self) -> bool:
        """Tells whether what is traced runs once, and not in a loop."""
        # Loops and branches are traced once, each into a graph of its own;
        # `vectorized_map`, into the same one, under this name.
        scope = tf.get_current_name_scope()
        return (
            tf.compat.v1.get_default_graph() is self.graph
            and "/loop_body" not in scope
        )


@contextmanager
def _observed(
    layers: Sequence[keras.layers.Layer], observer: _Observer
) -> Iterator[None]:
    # Keras has no hook for calls: an attribute of the instance hides the method
    # of its class. Set in `vars`, as Keras tracks what is set otherwise.
    hidden = {id(x): vars(x)["call"] for x in layers if "call" in vars(x)}
    for layer in layers:
        vars(layer)["call"] = partial(observer.call, layer, layer.call)
    try:
        yield
    finally:
        for layer in layers:
            del vars(layer)["call"]
            if id(layer) in hidden:
                vars(layer)["call"] = hidden[id(layer)]


def _inputs(model: keras.Model, input_shape: Sequence[int] | None) -> Any:
    """Returns the inputs for a call of the model, with a batch of 1."""
    tensors = _built_with(model)
    if input_shape is None:
        return keras.tree.map_structure(_spec, tensors)
    (tensor,) = keras.tree.flatten(tensors)
    return _spec(keras.KerasTensor((1, *input_shape), tensor.dtype))


def _built_with(model: keras.Model) -> Any:
    if isinstance(model, keras.Sequential):
        return model.inputs[0]
    if has_inputs(model):
        return model.input
    return keras.tree.map_shape_structure(
        keras.KerasTensor, model.get_build_config()["input_shape"]
    )


def _spec(tensor: keras.KerasTensor) -> tf.TensorSpec:
    return tf.TensorSpec((1, *tensor.shape[1:]), tensor.dtype)


def _first_shape(structure: Any) -> Shape | None:
    """Returns the shape of the first tensor; None if there is none."""
    for value in keras.tree.flatten(structure):
        if tf.is_tensor(value):
            known = value.shape.rank is not None
            return tuple(value.shape) if known else None
    return None
