"""The product of inputs and a kernel of which only blocks are stored."""

from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from dsr_tf.layers.compiled_by_xla import is_compiled_by_xla

# Blocks are multiplied several at a time, up to so many rows: smaller products
# cost more than what they save.
_LENGTH = 64


@dataclass(frozen=True)
class Watch:
    """What is to know the gradient of all blocks, stored or not.

    Args:
        gradients: Gets the inputs and the gradient of the outputs, of which the
            gradient of a dense kernel would be the product; returns the
            gradients of the probes.
        probes: Zeros whose gradient is kept, where kernels are in a loop.
    """

    gradients: Callable[[tf.Tensor, tf.Tensor], Sequence[tf.Tensor]]
    probes: Sequence[tf.Tensor] = ()


@dataclass(frozen=True)
class _Groups:
    """Blocks with the same row or column of the grid, a few at a time.

    Args:
        blocks: Indices of the blocks of each group, shape `(groups, size)`.
            What fills up a group has the number of blocks as its index.
        keys: Row or column of each group, ascending. The last group has the
            last one, and may be empty.
        places: Where each block is, among all of all groups; None where blocks
            are not in the order of their keys.
    """

    blocks: tf.Tensor
    keys: tf.Tensor
    places: tf.Tensor | None


@dataclass(frozen=True)
class _Layout:
    """Where blocks are, and how they are multiplied.

    Args:
        positions: Position of each block in the grid.
        grid: Number of blocks from inputs to outputs.
        expected: About how many blocks there are.
        compiled: Whether XLA compiles this.
    """

    positions: tf.Tensor
    grid: tuple[int, int]
    expected: int
    compiled: bool

    @property
    def sources(self) -> tf.Tensor:
        """Row of each block in the grid."""
        return self.positions // self.grid[1]

    @property
    def targets(self) -> tf.Tensor:
        """Column of each block in the grid."""
        return self.positions % self.grid[1]

    def by_source(self, length: int) -> _Groups:
        """Groups blocks by row, so that `length` times a group is enough."""
        size = self._size(length, self.grid[0])
        return _grouped(self.sources, None, self.grid[0], size)

    def by_target(self, length: int) -> _Groups:
        """Groups blocks by column."""
        size = self._size(length, self.grid[1])
        order = tf.argsort(self.targets, stable=True)
        order = tf.cast(order, self.positions.dtype)
        ordered = tf.gather(self.targets, order)
        return _grouped(ordered, order, self.grid[1], size)

    def _size(self, length: int, num_keys: int) -> int:
        """Returns how many blocks are multiplied at a time."""
        return max(1, min(_LENGTH // length, self.expected // num_keys))

    def summed(
        self, parts: tf.Tensor, keys: tf.Tensor, num_keys: int
    ) -> tf.Tensor:
        """Adds up the parts with equal keys, in float32 or wider."""
        dtype = parts.dtype
        if dtype.size < 4:
            parts = tf.cast(parts, tf.float32)
        if self.compiled:
            # XLA has no other sum of segments; on a CPU it is a slow one.
            total = tf.math.unsorted_segment_sum(parts, keys, num_keys)
        else:
            total = tf.math.segment_sum(parts, keys)
        total.set_shape([num_keys, *parts.shape[1:]])
        return tf.cast(total, dtype)


def block_product(
    inputs: Any,
    blocks: Any,
    positions: Any,
    grid: tuple[int, int],
    expected: int,
    watch: Watch | None = None,
) -> tf.Tensor:
    """Multiplies inputs by a kernel that is 0 but for some blocks.

    Work and memory go with the blocks that are stored; no kernel is made of
    them, and none for their gradient.

    Args:
        inputs: Shape `(batch, inputs)`, any floating type.
        blocks: Shape `(blocks, rows, columns)`, of the same type.
        positions: Position of each block in the grid, row by row, ascending,
            int64.
        grid: Number of blocks from inputs to outputs: `inputs // rows`, and
            `outputs // columns`.
        expected: About how many blocks there are. Results differ in rounding
            with it, and so it should not change in a training.
        watch: What is to know the gradient of all blocks; or None.

    Returns:
        Shape `(batch, outputs)`.
    """
    compiled = is_compiled_by_xla()
    # XLA is faster with int32; without it a GPU would leave that to the host.
    numbers = tf.int32 if compiled else tf.int64
    layout = _Layout(tf.cast(positions, numbers), grid, expected, compiled)

    @tf.custom_gradient
    def product(
        inputs: tf.Tensor, blocks: tf.Tensor, *probes: tf.Tensor
    ) -> tuple[Any, Any]:
        def gradients(upstream: tf.Tensor) -> tuple[tf.Tensor, ...]:
            kept = watch.gradients(inputs, upstream) if watch else []
            return *_gradients(upstream, inputs, blocks, layout), *kept

        return _product(inputs, blocks, layout), gradients

    # Values, not variables: a custom gradient refuses those.
    return product(
        tf.convert_to_tensor(inputs),
        tf.convert_to_tensor(blocks),
        *(watch.probes if watch else []),
    )


def _product(
    inputs: tf.Tensor, blocks: tf.Tensor, layout: _Layout
) -> tf.Tensor:
    rows = blocks.shape[1]
    groups = layout.by_target(rows)
    parts = tf.matmul(
        _stacked(_padded(blocks), groups.blocks),
        _gathered(_split(inputs, rows), layout.sources, groups.blocks),
        transpose_a=True,
    )
    return _joined(layout.summed(parts, groups.keys, layout.grid[1]))


def _gradients(
    upstream: tf.Tensor, inputs: tf.Tensor, blocks: tf.Tensor, layout: _Layout
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the gradients of the inputs and of the blocks."""
    _, rows, columns = blocks.shape
    groups = layout.by_source(columns)
    outer = _gathered(_split(upstream, columns), layout.targets, groups.blocks)
    own = tf.gather(_split(inputs, rows), groups.keys)
    if groups.blocks.shape[1] == 1:
        # In order, and so without a copy of the blocks that is turned.
        of_blocks = tf.matmul(own, outer, transpose_b=True)[:-1]
        parts = tf.matmul(_padded(blocks), outer)
        of_inputs = layout.summed(parts, groups.keys, layout.grid[0])
        return _joined(of_inputs), of_blocks
    products = tf.matmul(outer, own, transpose_b=True)
    of_blocks = tf.gather(
        tf.reshape(products, [-1, columns, rows]), groups.places
    )
    turned = tf.transpose(_padded(blocks), [0, 2, 1])
    parts = tf.matmul(_stacked(turned, groups.blocks), outer, transpose_a=True)
    of_inputs = layout.summed(parts, groups.keys, layout.grid[0])
    return _joined(of_inputs), tf.transpose(of_blocks, [0, 2, 1])


def _grouped(
    keys: tf.Tensor, order: tf.Tensor | None, num_keys: int, size: int
) -> _Groups:
    """Groups blocks with equal keys, at most `size` of them.

    The number of groups follows from that of the blocks alone, so that XLA
    knows it.

    Args:
        keys: Ascending.
        order: Index of the block of each key; None if they are in order.
        num_keys: Number of keys that there can be.
        size: Blocks in a group.
    """
    count, last = tf.shape(keys, keys.dtype), tf.cast(num_keys - 1, keys.dtype)
    number = tf.cumsum(tf.ones_like(keys), exclusive=True)
    index = number if order is None else order
    if size == 1:
        blocks = tf.concat([index, count], axis=0)
        keys = tf.concat([keys, last[None]], axis=0)
        places = number if order is None else None
        return _Groups(blocks[:, None], keys, places)
    rank = number - tf.searchsorted(keys, keys, out_type=keys.dtype)
    group = tf.cumsum(tf.cast(tf.equal(rank % size, 0), keys.dtype)) - 1
    places = group * size + rank % size
    num_groups = (tf.shape(keys)[0] + num_keys * (size - 1)) // size + 1
    blocks = tf.tensor_scatter_nd_update(
        tf.fill([num_groups * size], count[0]), places[:, None], index
    )
    group_keys = tf.tensor_scatter_nd_update(
        tf.fill([num_groups], last), group[:, None], keys
    )
    blocks = tf.reshape(blocks, [-1, size])
    return _Groups(blocks, group_keys, places if order is None else None)


def _padded(blocks: tf.Tensor) -> tf.Tensor:
    """Adds a block of zeros."""
    return tf.pad(blocks, [[0, 1], [0, 0], [0, 0]])


def _stacked(blocks: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
    """Returns the blocks of each group, one under the other."""
    _, rows, columns = blocks.shape
    stacked = tf.gather(blocks, indices)
    return tf.reshape(stacked, [-1, indices.shape[1] * rows, columns])


def _split(values: tf.Tensor, length: int) -> tf.Tensor:
    """Returns the columns of a batch as rows, `length` for each block."""
    shape = [values.shape[1] // length, length, tf.shape(values)[0]]
    return tf.reshape(tf.transpose(values), shape)


def _gathered(
    values: tf.Tensor, sources: tf.Tensor, indices: tf.Tensor
) -> tf.Tensor:
    """Returns what the blocks of each group are multiplied by."""
    # A block of zeros is multiplied by the first: that does not matter.
    sources = tf.concat([sources, tf.zeros([1], sources.dtype)], axis=0)
    own = tf.gather(values, tf.gather(sources, indices))
    length = indices.shape[1] * values.shape[1]
    return tf.reshape(own, [-1, length, tf.shape(values)[2]])


def _joined(sums: tf.Tensor) -> tf.Tensor:
    """Returns a batch, given the rows of `_split`."""
    keys, length, _ = sums.shape
    return tf.transpose(tf.reshape(sums, [keys * length, tf.shape(sums)[2]]))
