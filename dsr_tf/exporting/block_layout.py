"""Blocks of a kernel as a file that computes with them holds them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from dsr_tf.layers.block_variable import stacked
from dsr_tf.units import Units

# Blocks with fewer rows are multiplied several at a time, up to so many rows:
# smaller products cost more than what they save.
_ROWS = 64


@dataclass(frozen=True)
class BlockLayout:
    """Blocks in groups, each of one column of the grid, and their places.

    Blocks of zeros fill up the groups.

    Args:
        weights: The blocks of each group, one under the other: shape
            `(groups, size * rows, columns)`.
        sources: Which rows of the grid they are in, int32, shape
            `(groups, size)`.
        targets: The column of each group, int32, ascending; the last one is the
            last of the grid.
        grid: Number of blocks from inputs to outputs.
    """

    weights: np.ndarray
    sources: np.ndarray
    targets: np.ndarray
    grid: tuple[int, int]

    @classmethod
    def of(
        cls, kernel: np.ndarray, mask: np.ndarray, units: Units
    ) -> "BlockLayout":
        """Returns the layout of a kernel.

        Args:
            kernel: The kernel, of any shape.
            mask: Its mask, equal throughout each block.
            units: Its blocks.
        """
        positions = np.flatnonzero(units.of_mask(mask))
        blocks = stacked(units, units.rows(kernel)[:, positions])
        down, across = units.grid
        sources, targets = np.divmod(positions, across)
        order = np.argsort(targets, kind="stable")
        size = max(1, _ROWS // units.block[0])
        group, place, keys = _grouped(targets[order], across, size)
        rows, columns = units.block
        weights = np.zeros((len(keys), size, rows, columns), kernel.dtype)
        weights[group, place] = blocks[order]
        of_groups = np.zeros((len(keys), size), "int32")
        of_groups[group, place] = sources[order]
        joined = weights.reshape(len(keys), size * rows, columns)
        return cls(joined, of_groups, keys, (down, across))

    def product(self, inputs: Any, weights: tf.Tensor) -> tf.Tensor:
        """Multiplies inputs by the kernel.

        Args:
            inputs: Shape `(batch, inputs)`.
            weights: The weights, as read from the file.

        Returns:
            Shape `(batch, outputs)`.
        """
        groups, width, columns = weights.shape
        down, across = self.grid
        # Sizes that are inferred: to compute them would take as long as much
        # of the product of one row does.
        rows = tf.reshape(
            tf.transpose(inputs), [down, inputs.shape[1] // down, -1]
        )
        own = tf.reshape(tf.gather(rows, self.sources), [groups, width, -1])
        # Other orders of factors and axes take longer for one row.
        parts = tf.matmul(own, weights, transpose_a=True)
        sums = tf.transpose(_summed(parts, self.targets), [1, 0, 2])
        return tf.reshape(sums, [-1, across * columns])


def _grouped(
    targets: np.ndarray, across: int, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Groups blocks by their columns, at most `size` of them.

    Args:
        targets: Columns of the blocks, ascending.
        across: Number of columns.
        size: Most blocks of a group.

    Returns:
        The group of each block, its place in it, and the column of each group.
    """
    rank = np.arange(len(targets)) - np.searchsorted(targets, targets)
    begins = rank % size == 0
    keys = targets[begins].tolist()
    # The sum of groups has as many rows as the last of them says.
    if not keys or keys[-1] != across - 1:
        keys.append(across - 1)
    return np.cumsum(begins) - 1, rank % size, np.asarray(keys, "int32")


def _summed(parts: tf.Tensor, targets: np.ndarray) -> tf.Tensor:
    """Adds up the parts of equal columns, in float32 or wider."""
    dtype = parts.dtype
    if dtype.size < 4:
        parts = tf.cast(parts, tf.float32)
    return tf.cast(tf.math.segment_sum(parts, targets), dtype)
