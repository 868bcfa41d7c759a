"""Kernels that are stored under masks, as methods see them."""

from typing import Any

import tensorflow as tf

from dsr_tf.layers import SparseKernel
from dsr_tf.methods import Growth
from dsr_tf.methods.grid import Grid
from dsr_tf.methods.masked import MaskedTensor
from dsr_tf.methods.masked import PerturbedTensor
from dsr_tf.methods.masked import count_active
from dsr_tf.methods.tracing import compiled
from dsr_tf.methods.tracing import host_length
from dsr_tf.training.storage import Storage
from dsr_tf.training.storage import dense
from dsr_tf.training.storage import unit_scores


class MaskedStorage(Storage):
    """A kernel of dense shape under a mask."""

    def tensor(
        self, num_active: tf.Tensor | None, growth_scores: tf.Tensor | None
    ) -> MaskedTensor:
        layer = self.layer
        return MaskedTensor(
            mask=_rows(layer, layer.kernel_mask)[0],
            rows=_rows(layer, layer.kernel),
            shape=layer.kernel_units.shape,
            slots={x.name: _rows(layer, x.variable) for x in self.slots},
            # As variables: a GPU gathers int8 from these alone.
            arrays=self.arrays,
            num_active=num_active,
            growth_scores=unit_scores(layer.kernel_units, growth_scores),
            grid=Grid(layer.kernel_units.grid, layer.kernel_units.grid_inputs),
        )

    def assign_values(self, tensor: Any, values: tf.Tensor) -> MaskedTensor:
        units, places = self.layer.kernel_units, tensor.positions
        if units.size > 1:
            places = _in_rows(places, range(units.size), units.count)
        weights = tf.reshape(values, [-1])
        new = dense(places, weights, units.size * units.count)
        rows = tf.reshape(new, [units.size, units.count])
        self.layer.kernel.assign_masked(units.kernel(rows))
        rows = _rows(self.layer, self.layer.kernel)
        return PerturbedTensor(tensor, rows, values)

    def move(self, gone: tf.Tensor, growth: Growth) -> list[tf.Tensor]:
        layer = self.layer
        variables = [layer.kernel_mask, layer.kernel]
        variables += [slot.variable for slot in self.slots]
        changed = _changed(
            [_rows(layer, variable) for variable in variables],
            [slot.initial_value for slot in self.slots],
            gone,
            growth.positions,
            growth.values,
        )
        mask, kernel, *others = map(layer.kernel_units.kernel, changed)
        layer.kernel_mask.assign_alone(mask)
        layer.kernel.assign_masked(kernel)
        for slot, value in zip(self.slots, others, strict=True):
            slot.variable.assign(value)
        # To wait for these is to wait until the old values are gone.
        return [tf.convert_to_tensor(variable) for variable in variables]

    def count(self) -> tf.Tensor:
        return count_active(_rows(self.layer, self.layer.kernel_mask)[0])


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
    both = tf.concat([gone, came], axis=0)
    moved = dense(both, tf.constant(True), host_length(mask[0]))
    fresh: float | tf.Tensor = 0.0
    if weights is not None:
        fresh = _in_kernel(others[0], came, weights)
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


def _in_kernel(
    kernel: tf.Tensor, came: tf.Tensor, weights: tf.Tensor
) -> tf.Tensor:
    """Returns the weights of units that come, and zeros elsewhere."""
    # Counted up on the device: a range would be made on the host.
    ones = tf.ones_like(kernel[:, 0], tf.int64)
    numbers = tf.cumsum(ones, exclusive=True)
    places = _in_rows(came, numbers, tf.shape(kernel, tf.int64)[1])
    flat = dense(places, weights, host_length(tf.reshape(kernel, [-1])))
    return tf.reshape(flat, [tf.shape(kernel)[0], -1])


def _in_rows(positions: tf.Tensor, rows: Any, units: Any) -> tf.Tensor:
    """Returns flat positions of all weights of some units, row by row.

    Args:
        positions: The units, int64.
        rows: Numbers of the rows.
        units: How many units there are.
    """
    starts = tf.convert_to_tensor(rows, tf.int64)[:, None] * units
    return tf.reshape(starts + positions, [-1])


def _rows(layer: SparseKernel, variable: Any) -> tf.Tensor:
    """Returns a variable of the kernel's shape with a column for each unit."""
    return layer.kernel_units.rows(variable.value)
