"""Copies weights between two models of the same architecture."""

from typing import Any

import keras
import tensorflow as tf

from dsr_tf.checks import checked_kind
from dsr_tf.layers.sparse_kernel import SparseKernel
from dsr_tf.layers.walk import sparse_layers


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Copies all weights except masks; `target` keeps its own masks.

    Either model may be sparse, or plain Keras. The kernels of `target` are 0
    wherever its masks are.

    Args:
        source: A built model.
        target: A built model with weights of the same shapes, in the same
            order.

    Raises:
        ValueError: If a model is not built, or the weights differ in number or
            in shape. Nothing is copied then.
    """
    _check_built(source, target)
    pairs = _paired(_weights(source), _weights(target), source, target)
    for old, new in pairs:
        new.assign(old)
    for layer in sparse_layers(target):
        # What its mask hides is not to come back under another one.
        layer.assign_kernel(layer.kernel)


def copy_masks(source: keras.Model, target: keras.Model) -> None:
    """Copies the masks, and sets to 0 the weights they make inactive.

    Args:
        source: A built model with sparse layers.
        target: A built model with sparse layers of the same shapes.

    Raises:
        ValueError: If a model is not built, or the masks differ in number or
            in shape. Nothing is copied then.
    """
    _check_built(source, target)
    layers = sparse_layers(target)
    masks = [layer.kernel_mask for layer in sparse_layers(source)]
    own = [layer.kernel_mask for layer in layers]
    if own and not masks:
        raise ValueError(
            f"`source` must have masks, those of {len(own)} sparse layers: "
            f"{len(own)} tensors. Received: 0, in model '{source.name}'"
        )
    pairs = _paired(masks, own, source, target)
    for layer, (mask, _) in zip(layers, pairs, strict=True):
        layer.set_mask(mask)


def _check_built(source: keras.Model, target: keras.Model) -> None:
    for name, model in (("source", source), ("target", target)):
        checked_kind(name, model, keras.layers.Layer, "a Keras model")
        if not model.built:
            raise ValueError(
                "Both models must be built. Call `model.build(input_shape)`. "
                f"Received: model '{model.name}', which is not built"
            )


class _WholeKernel:
    """A kernel of which blocks are stored, as a variable of dense shape."""

    def __init__(self, layer: SparseKernel) -> None:
        self._layer = layer
        self.shape = layer.kernel_units.shape
        self.path = layer.trained_kernel.path

    def assign(self, kernel: Any) -> None:
        self._layer.assign_kernel(kernel)

    def __tf_tensor__(self, dtype: Any = None, name: Any = None) -> tf.Tensor:
        return tf.convert_to_tensor(self._layer.kernel, dtype, name=name)


def _weights(model: keras.Model) -> list[Any]:
    """Returns all weights of a model but masks, as those of a dense one."""
    layers = sparse_layers(model)
    left_out = {id(layer.placement) for layer in layers}
    whole = {
        id(layer.trained_kernel): _WholeKernel(layer)
        for layer in layers
        if layer.storage == "blocks"
    }
    return [
        whole.get(id(weight), weight)
        for weight in model.weights
        if id(weight) not in left_out
    ]


def _paired(
    old: list[Any], new: list[Any], source: keras.Model, target: keras.Model
) -> list[tuple[Any, Any]]:
    if len(old) != len(new):
        raise ValueError(
            f"Model '{source.name}' must have the weights of '{target.name}': "
            f"{len(new)} tensors. Received: {len(old)}"
        )
    pairs = list(zip(old, new, strict=True))
    for mine, other in pairs:
        if tuple(mine.shape) != tuple(other.shape):
            raise ValueError(
                f"Model '{source.name}' must have the weights of "
                f"'{target.name}': '{other.path}' of shape "
                f"{tuple(other.shape)}. Received: '{mine.path}' of shape "
                f"{tuple(mine.shape)}"
            )
    return pairs
