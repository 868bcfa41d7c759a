"""Kernels of which blocks are stored, as methods see them."""

from typing import Any

import tensorflow as tf

from dsr_tf.layers.block_variable import stacked
from dsr_tf.methods import Growth
from dsr_tf.methods.blocks import BlockTensor
from dsr_tf.methods.grid import Grid
from dsr_tf.methods.tracing import chosen
from dsr_tf.training.storage import Storage
from dsr_tf.training.storage import unit_scores


class BlockStorage(Storage):
    """The active blocks of a kernel."""

    layer: Any

    def tensor(
        self, num_active: tf.Tensor | None, growth_scores: tf.Tensor | None
    ) -> BlockTensor:
        units = self.layer.kernel_units
        return BlockTensor(
            tf.convert_to_tensor(self.layer.kernel_positions.value),
            tf.convert_to_tensor(self.layer.kernel_blocks.value),
            Grid(units.grid, units.grid_inputs),
            units.shape,
            {
                x.name: tf.convert_to_tensor(x.variable.value)
                for x in self.slots
            },
            self.arrays,
            unit_scores(units, growth_scores),
        )

    def assign_values(self, tensor: Any, values: tf.Tensor) -> BlockTensor:
        self.layer.kernel_blocks.assign(
            stacked(self.layer.kernel_units, values)
        )
        return self.tensor(None, None)

    def move(self, gone: tf.Tensor, growth: Growth) -> list[tf.Tensor]:
        blocks = self.layer.kernel_blocks
        before = tf.convert_to_tensor(self.layer.kernel_positions.value)
        # In int64: a GPU leaves int32 to the host.
        goes = tf.scatter_nd(
            tf.searchsorted(before, gone, out_type=tf.int64)[:, None],
            tf.ones_like(gone, tf.float32),
            tf.shape(before, tf.int64),
        )
        # One that comes and is there already is left to be found as an error.
        stay = chosen(before, goes < 1)
        joined = tf.concat([stay, growth.positions], axis=0)
        order = tf.argsort(joined, stable=True)
        fresh = None
        if growth.values is not None:
            fresh = self._fresh(growth, tf.shape(stay)[0], order)
        return blocks.move_with(self.slots, tf.gather(joined, order), fresh)

    def _fresh(
        self, growth: Growth, num_stay: tf.Tensor, order: tf.Tensor
    ) -> tf.Tensor:
        """Returns the new blocks, where they are among all blocks."""
        units = self.layer.kernel_units
        columns = tf.reshape(growth.values, [units.size, -1])
        new = tf.cast(stacked(units, columns), self.layer.kernel_blocks.dtype)
        return tf.gather(tf.pad(new, [[num_stay, 0], [0, 0], [0, 0]]), order)

    def count(self) -> tf.Tensor:
        positions = tf.convert_to_tensor(self.layer.kernel_positions.value)
        # Those that are there twice are counted once.
        return tf.size(tf.unique(positions)[0], out_type=tf.int64)
