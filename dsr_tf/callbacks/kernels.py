"""Between sparse layers and the flat tensors that methods see."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from dsr_tf.callbacks.slots import Slot
from dsr_tf.layers import MaskedKernel
from dsr_tf.methods import Tensors
from dsr_tf.methods.grow import Growth
from dsr_tf.methods.tensors import activate


def flat_tensors(layers: Sequence[MaskedKernel]) -> Tensors:
    """Returns kernels and masks as a method sees them: flat, in units."""
    return Tensors(
        weights=[_scores(layer) for layer in layers],
        masks=[
            tf.cast(_units(layer, layer.kernel_mask)[0], tf.uint8)
            for layer in layers
        ],
        unit_sizes=[layer.unit_size for layer in layers],
    )


def apply_reallocation(
    layers: Sequence[MaskedKernel],
    slots: Sequence[Sequence[Slot]],
    survivors: Sequence[tf.Tensor],
    growth: Sequence[Growth],
) -> None:
    """Assigns new masks and weights, and sets slots back.

    At every position that was pruned or grown, the slots get their initial
    value; at a pruned one the weight is 0, at a grown one what the method says.

    Args:
        layers: Sparse layers, in the order of the tensors.
        slots: Optimizer slots of each layer's kernel.
        survivors: Masks of the units that stay.
        growth: Units that come.
    """
    for row in zip(layers, slots, survivors, growth, strict=True):
        _apply(*row)


def scatter(variable: Any, positions: tf.Tensor, values: Any) -> None:
    """Assigns values at some positions of a variable.

    Args:
        variable: Keras or TensorFlow variable of any shape.
        positions: Flat positions, distinct, shape `(k,)`, int64.
        values: One for each, or one for all.
    """
    tensor = tf.convert_to_tensor(variable)
    flat = tf.reshape(tensor, [-1])
    values = tf.broadcast_to(tf.cast(values, flat.dtype), tf.shape(positions))
    flat = tf.tensor_scatter_nd_update(flat, positions[:, None], values)
    variable.assign(tf.reshape(flat, tensor.shape))


def _apply(
    layer: MaskedKernel,
    slots: Sequence[Slot],
    survivors: tf.Tensor,
    growth: Growth,
) -> None:
    size = layer.unit_size
    stays = _spread(tf.cast(survivors, tf.bool), size)
    weights = _reset(layer.kernel, stays, 0.0)
    if growth.values is not None:
        weights = tf.tensor_scatter_nd_update(
            weights,
            _positions(growth, survivors, size)[:, None],
            tf.cast(growth.values, weights.dtype),
        )
    mask = _spread(activate(survivors, growth.positions), size)
    _assign(layer.kernel_mask, mask)
    _assign(layer.kernel, weights)
    for slot in slots:
        start = weights if slot.initial_value is None else slot.initial_value
        _assign(slot.variable, _reset(slot.variable, stays, start))


def _scores(layer: MaskedKernel) -> tf.Tensor:
    """Returns the weights, or the mean magnitudes of larger units."""
    units = _units(layer, layer.kernel)
    if layer.unit_size == 1:
        return units[0]
    return tf.reduce_mean(tf.abs(units), axis=0)


def _units(layer: MaskedKernel, variable: Any) -> tf.Tensor:
    """Returns a kernel's variable as `(unit_size, number of units)`."""
    return tf.reshape(variable.value, [layer.unit_size, -1])


def _spread(units: tf.Tensor, size: int) -> tf.Tensor:
    return units if size == 1 else tf.tile(units, [size])


def _positions(growth: Growth, survivors: tf.Tensor, size: int) -> tf.Tensor:
    """Returns the flat positions in the kernel of all weights that come."""
    starts = tf.range(size, dtype=tf.int64) * tf.size(survivors, tf.int64)
    return tf.reshape(starts[:, None] + growth.positions, [-1])


def _reset(variable: Any, stays: tf.Tensor, value: Any) -> tf.Tensor:
    flat = tf.reshape(variable.value, [-1])
    return tf.where(stays, flat, tf.cast(value, flat.dtype))


def _assign(variable: Any, flat: tf.Tensor) -> None:
    variable.assign(tf.reshape(flat, variable.shape))
