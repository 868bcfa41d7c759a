"""Counts how often the weights of a layer are multiplied."""

import math
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

from keras import layers

from dsr_tf.analysis.calls import Call
from dsr_tf.analysis.calls import Shape
from dsr_tf.graph.kinds import DENSE_OF
from dsr_tf.layers.sparsified import plain_class


def num_uses(layer: layers.Layer, calls: Sequence[Call | None]) -> int | None:
    """Returns how often each weight of a layer's kernels is multiplied.

    In every layer that is counted here, all weights are used equally often. So
    the multiply-adds are this number times the number of weights, or times the
    number of active weights if the others are skipped. As is usual, padding is
    counted, and so are the outputs that a transposed convolution crops.

    Args:
        layer: A layer of Keras or of this library.
        calls: The calls of the layer for one example.

    Returns:
        The number for one example, over all calls. None if it is not known: no
        call of the layer was seen, a dimension is open, or the use of the
        weights in a layer of this kind is not known.
    """
    kind = DENSE_OF.get(type(layer), plain_class(type(layer)))
    # With LoRA the kernel is itself a product.
    if kind not in _USES or not calls or getattr(layer, "lora_enabled", False):
        return None
    total = 0
    for call in calls:
        uses = None if call is None else _USES[kind](layer, call)
        if uses is None:
            return None
        total += uses
    return total


def _dense(layer: Any, call: Call) -> int | None:
    return _product(call.inputs[:-1])


def _einsum(layer: Any, call: Call) -> int | None:
    """Returns the product of all dimensions that the kernel lacks."""
    inputs, kernel = layer.equation.split("->")[0].split(",")
    # Each axis behind an ellipsis becomes an index of its own.
    names = inputs.replace("...", "." * (len(call.inputs) - len(inputs) + 3))
    letters = names.replace(".", "")
    if len(set(letters)) < len(letters) or len(set(kernel)) < len(kernel):
        # A diagonal: not all weights are used.
        return None
    sizes = zip(names, call.inputs, strict=True)
    return _product([size for name, size in sizes if name not in kernel])


def _conv(layer: Any, call: Call) -> int | None:
    return _positions(layer, call.outputs)


def _conv_transpose(layer: Any, call: Call) -> int | None:
    return _positions(layer, call.inputs)


def _embedding(layer: Any, call: Call) -> int | None:
    return 0


def _positions(layer: Any, shape: Shape) -> int | None:
    if layer.data_format == "channels_first":
        return _product((shape[0], *shape[2:]))
    return _product(shape[:-1])


def _product(dimensions: Sequence[int | None]) -> int | None:
    known = [size for size in dimensions if size is not None]
    return math.prod(known) if len(known) == len(dimensions) else None


# By exact type: a subclass may compute with its kernel in its own way.
_USES: dict[type[layers.Layer], Callable[[Any, Call], int | None]] = {
    layers.Dense: _dense,
    layers.EinsumDense: _einsum,
    layers.Embedding: _embedding,
    **dict.fromkeys(
        (
            layers.Conv1D,
            layers.Conv2D,
            layers.Conv3D,
            layers.DepthwiseConv1D,
            layers.DepthwiseConv2D,
            layers.SeparableConv1D,
            layers.SeparableConv2D,
        ),
        _conv,
    ),
    **dict.fromkeys(
        (
            layers.Conv1DTranspose,
            layers.Conv2DTranspose,
            layers.Conv3DTranspose,
        ),
        _conv_transpose,
    ),
}
