"""Sparse tensors of which only the active blocks are stored."""

from collections.abc import Mapping
from functools import cached_property

import tensorflow as tf

from dsr_tf.methods.context import SparseTensor
from dsr_tf.methods.grid import Grid
from dsr_tf.methods.sampling import ones_at


class BlockTensor(SparseTensor):
    """A tensor that is stored as its active blocks.

    Args:
        positions: Their positions, ascending, shape `(num_active,)`, int64.
        blocks: Their weights, shape `(num_active, rows, columns)`, any
            floating type.
        grid: Where the blocks of the tensor stand, active or not.
        shape: Shape of the tensor.
        slots: Slots of the optimizer, by name; one row for each active block.
        arrays: Arrays of the method, by name, of shape `(num_units,)`.
        growth_scores: Shape `(num_units,)`, float32, if the method needs them.
    """

    def __init__(
        self,
        positions: tf.Tensor,
        blocks: tf.Tensor,
        grid: Grid,
        shape: tuple[int, ...],
        slots: Mapping[str, tf.Tensor] | None = None,
        arrays: Mapping[str, tf.Tensor] | None = None,
        growth_scores: tf.Tensor | None = None,
    ) -> None:
        self.positions = positions
        self.blocks = blocks
        self.grid = grid
        self.num_units = grid.num_inputs * grid.num_outputs
        self.unit_size = int(blocks.shape[1] * blocks.shape[2])
        self.shape = shape
        self.num_active = tf.size(positions, out_type=tf.int64)
        self.slots = {k: _columns(x) for k, x in (slots or {}).items()}
        self.arrays = {
            name: tf.gather(array, positions)
            for name, array in (arrays or {}).items()
        }
        self.growth_scores = growth_scores

    @cached_property
    def values(self) -> tf.Tensor:
        columns = _columns(self.blocks)
        return columns[0] if self.unit_size == 1 else columns

    @cached_property
    def mask(self) -> tf.Tensor:
        """Which units are active: shape `(num_units,)`, bool."""
        # As numbers: no GPU scatters bool.
        return ones_at(self.positions, self.num_units) > 0

    @cached_property
    def magnitudes(self) -> tf.Tensor:
        # As of a masked tensor: in half precision, orders of a sum differ.
        return tf.reduce_mean(tf.abs(_columns(self.blocks)), axis=0)

    @property
    def is_finite(self) -> tf.Tensor:
        return tf.reduce_all(tf.math.is_finite(self.blocks))


def _columns(blocks: tf.Tensor) -> tf.Tensor:
    """Returns a column for each block."""
    size = blocks.shape[1:].num_elements()
    return tf.transpose(tf.reshape(blocks, [-1, size]))
