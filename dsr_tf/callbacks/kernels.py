"""Between sparse layers and the flat tensors that methods see."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from dsr_tf.callbacks.slots import Slot
from dsr_tf.layers import MaskedKernel
from dsr_tf.methods import Reallocation
from dsr_tf.methods import Tensors
from dsr_tf.methods.tensors import activate


def flat_tensors(layers: Sequence[MaskedKernel]) -> Tensors:
    """Returns kernels and masks as a method sees them: flat."""
    return Tensors(
        weights=[_flat(layer.kernel) for layer in layers],
        masks=[_flat(layer.kernel_mask) for layer in layers],
    )


def apply_reallocation(
    layers: Sequence[MaskedKernel],
    slots: Sequence[Sequence[Slot]],
    result: Reallocation,
) -> None:
    """Assigns new masks and weights, and sets slots back.

    At every position that was pruned or grown, the slots get their initial
    value; at a pruned one the weight is 0, at a grown one what the method says.

    Args:
        layers: Sparse layers, in the order of the tensors.
        slots: Optimizer slots of each layer's kernel.
        result: What the method decided.
    """
    changes = zip(layers, slots, result.survivors, result.growth, strict=True)
    for layer, layer_slots, survivors, growth in changes:
        stays = tf.cast(survivors, tf.bool)
        weights = _reset(layer.kernel, stays, 0.0)
        if growth.values is not None:
            weights = tf.tensor_scatter_nd_update(
                weights,
                growth.positions[:, None],
                tf.cast(growth.values, weights.dtype),
            )
        _assign(layer.kernel_mask, activate(survivors, growth.positions))
        _assign(layer.kernel, weights)
        for slot in layer_slots:
            _assign(
                slot.variable,
                _reset(slot.variable, stays, slot.initial_value),
            )


def _flat(variable: Any) -> tf.Tensor:
    return tf.reshape(variable.value, [-1])


def _reset(variable: Any, stays: tf.Tensor, value: float) -> tf.Tensor:
    flat = _flat(variable)
    return tf.where(stays, flat, tf.cast(value, flat.dtype))


def _assign(variable: Any, flat: tf.Tensor) -> None:
    variable.assign(tf.reshape(flat, variable.shape))
