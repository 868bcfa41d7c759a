"""Between sparse layers and what methods see: kernels stored under masks."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from dsr_tf.layers import SparseKernel
from dsr_tf.layers.slots import Slot
from dsr_tf.methods import Growth
from dsr_tf.methods import SparseTensor
from dsr_tf.methods.masked import MaskedTensor
from dsr_tf.methods.masked import PerturbedTensor
from dsr_tf.methods.masked import count_active
from dsr_tf.methods.tracing import compiled
from dsr_tf.methods.tracing import in_turn


def masked_tensors(
    layers: Sequence[SparseKernel],
    slots: Sequence[Sequence[Slot]],
    arrays: Sequence[Mapping[str, tf.Variable]],
    num_active: Sequence[tf.Tensor | None],
    growth_scores: Sequence[tf.Tensor | None],
) -> list[MaskedTensor]:
    """Returns the kernels of layers as a method sees them.

    Args:
        layers: Sparse layers, built.
        slots: Optimizer slots of each layer's kernel.
        arrays: What the method keeps for the units of each.
        num_active: Active units of each, where they are known.
        growth_scores: Scores of all weights of each, where they are asked for.
    """
    rows = zip(layers, slots, arrays, num_active, growth_scores, strict=True)
    return [
        MaskedTensor(
            mask=_rows(layer, layer.kernel_mask)[0],
            rows=_rows(layer, layer.kernel),
            shape=tuple(layer.kernel.shape),
            slots={slot.name: _rows(layer, slot.variable) for slot in own},
            # As variables: a GPU gathers int8 from these alone.
            arrays=kept,
            num_active=active,
            growth_scores=_unit_scores(layer, scores),
        )
        for layer, own, kept, active, scores in rows
    ]


def assign_values(
    layers: Sequence[SparseKernel],
    tensors: Sequence[MaskedTensor],
    values: Sequence[tf.Tensor],
) -> list[MaskedTensor]:
    """Gives the active units new weights, and returns the tensors with them."""
    changed: list[MaskedTensor] = []
    for layer, tensor, own in zip(layers, tensors, values, strict=True):
        units, places = layer.kernel_units, tensor.positions
        if units.size > 1:
            places = _in_rows(places, units.size, units.count)
        weights = tf.reshape(own, [-1])
        new = dense(places, weights, [units.size, units.count])
        layer.kernel.assign_masked(units.kernel(new))
        rows = _rows(layer, layer.kernel)
        changed.append(PerturbedTensor(tensor, rows, own))
    return changed


def spread(
    tensors: Sequence[SparseTensor], arrays: Sequence[tf.Tensor]
) -> list[tf.Tensor]:
    """Returns arrays with an entry for every unit, 0 for inactive ones.

    Args:
        tensors: The tensors.
        arrays: Entries of the active units of each.
    """
    return [
        dense(tensor.positions, array, [tensor.num_units])
        for tensor, array in zip(tensors, arrays, strict=True)
    ]


def apply_moves(
    layers: Sequence[SparseKernel],
    slots: Sequence[Sequence[Slot]],
    arrays: Sequence[Mapping[str, tf.Variable]],
    gone: Sequence[tf.Tensor],
    growth: Sequence[Growth],
) -> None:
    """Assigns new masks and weights, and sets slots back.

    At every position that was pruned or grown, the slots get their initial
    value; at a pruned one the weight is 0, at a grown one what the method says.

    Args:
        layers: Sparse layers, in the order of the tensors.
        slots: Optimizer slots of each layer's kernel.
        arrays: What the method keeps for the units of each.
        gone: Positions of the units that go.
        growth: Units that come.
    """
    for kept, came in zip(arrays, growth, strict=True):
        for name, values in came.arrays.items():
            kept[name].scatter_nd_update(came.positions[:, None], values)
    in_turn(_apply, layers, slots, gone, growth)


def count_units(layers: Sequence[SparseKernel]) -> tf.Tensor:
    """Counts the active units of each layer, shape `(L,)`, int64."""
    masks = [_rows(layer, layer.kernel_mask)[0] for layer in layers]
    return tf.stack([count_active(mask) for mask in masks])


def dense(positions: tf.Tensor, values: tf.Tensor, shape: Any) -> tf.Tensor:
    """Returns a tensor with values at some positions, and zeros elsewhere.

    Args:
        positions: Flat positions, distinct, shape `(k,)`, int64.
        values: One for each, or one for all.
        shape: Shape of the tensor.
    """
    # Many times as fast as any scatter on a CPU, for want of a sum.
    flat = tf.raw_ops.SparseToDense(
        sparse_indices=positions,
        output_shape=tf.reduce_prod(tf.cast(shape, tf.int64))[None],
        sparse_values=values,
        default_value=tf.zeros([], values.dtype),
        validate_indices=False,
    )
    return tf.reshape(flat, shape)


def _apply(
    layer: SparseKernel,
    slots: Sequence[Slot],
    gone: tf.Tensor,
    growth: Growth,
) -> list[tf.Tensor]:
    """Does so for one layer, and returns what it then holds."""
    variables = [layer.kernel_mask, layer.kernel]
    variables += [slot.variable for slot in slots]
    changed = _changed(
        [_rows(layer, variable) for variable in variables],
        [slot.initial_value for slot in slots],
        gone,
        growth.positions,
        growth.values,
    )
    mask, kernel, *others = map(layer.kernel_units.kernel, changed)
    layer.kernel_mask.assign_alone(mask)
    layer.kernel.assign_masked(kernel)
    for slot, value in zip(slots, others, strict=True):
        slot.variable.assign(value)
    # To wait for these is to wait until the old values are gone.
    return [tf.convert_to_tensor(variable) for variable in variables]


@compiled
def _changed(
    variables: list[tf.Tensor],
    initial_values: list[float | None],
    gone: tf.Tensor,
    came: tf.Tensor,
    weights: tf.Tensor | None,
) -> list[tf.Tensor]:
    """Returns mask, kernel and slots as they are to be, as rows of units."""
    mask, *others = variables
    rows, units = tf.unstack(tf.shape(mask, tf.int64))
    both = tf.concat([gone, came], axis=0)
    moved = dense(both, tf.constant(True), [1, units])
    fresh = 0.0
    if weights is not None:
        fresh = dense(_in_rows(came, rows, units), weights, [rows, units])
    starts = [fresh if x is None else x for x in [None, *initial_values]]
    # What is inactive is set back too, whoever may have assigned to it.
    kept = mask & ~moved
    return [
        tf.not_equal(mask, moved),
        *(
            tf.where(kept, old, tf.cast(start, old.dtype))
            for old, start in zip(others, starts, strict=True)
        ),
    ]


def _in_rows(positions: tf.Tensor, rows: Any, units: Any) -> tf.Tensor:
    """Returns flat positions of all weights of some units, row by row."""
    starts = tf.range(tf.cast(rows, tf.int64))[:, None] * units
    return tf.reshape(starts + positions, [-1])


def _rows(layer: SparseKernel, variable: Any) -> tf.Tensor:
    """Returns a variable of the kernel's shape with a column for each unit."""
    return layer.kernel_units.rows(variable.value)


def _unit_scores(
    layer: SparseKernel, scores: tf.Tensor | None
) -> tf.Tensor | None:
    """Returns the mean magnitude of the scores of each unit, float32."""
    if scores is None:
        return None
    return layer.kernel_units.magnitudes(tf.cast(scores, tf.float32))
