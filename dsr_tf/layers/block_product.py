"""The product of inputs and a kernel of which only blocks are stored."""

import inspect
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

# Blocks with fewer rows are multiplied several at a time, up to so many rows:
# smaller products cost more than what they save.
_ROWS = 64


@dataclass(frozen=True)
class _Groups:
    """Blocks of one row or column of the grid, a few at a time.

    A block that is none, which fills up a group, has the number of blocks as
    its index. Each of a number of keys is that of the group's row or column.

    Args:
        blocks: Indices of the blocks of each group, shape `(groups, size)`.
        keys: Ascending; the last one is the largest that there can be.
        places: Where each block is, among all of all groups.
    """

    blocks: tf.Tensor
    keys: tf.Tensor
    places: tf.Tensor


def block_product(
    inputs: Any, blocks: Any, positions: Any, grid: tuple[int, int]
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

    Returns:
        Shape `(batch, outputs)`.
    """
    compiled = is_compiled_by_xla()

    # Values, not variables: a custom gradient refuses those.
    @tf.custom_gradient
    def product(inputs: tf.Tensor, blocks: tf.Tensor) -> tuple[Any, Any]:
        def grad(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return _gradients(
                upstream, inputs, blocks, positions, grid, compiled
            )

        return _product(inputs, blocks, positions, grid, compiled), grad

    return product(tf.convert_to_tensor(inputs), tf.convert_to_tensor(blocks))


def _product(
    inputs: tf.Tensor,
    blocks: tf.Tensor,
    positions: tf.Tensor,
    grid: tuple[int, int],
    compiled: bool,
) -> tf.Tensor:
    _, rows, columns = blocks.shape
    sources, targets = positions // grid[1], positions % grid[1]
    groups = _grouped(targets, grid[1], _group_size(rows))
    parts = tf.matmul(
        _stacked(_padded(blocks), groups.blocks),
        _gathered(_split(inputs, rows), sources, groups.blocks),
        transpose_a=True,
    )
    return _joined(_summed(parts, groups.keys, grid[1], compiled))


def _gradients(
    upstream: tf.Tensor,
    inputs: tf.Tensor,
    blocks: tf.Tensor,
    positions: tf.Tensor,
    grid: tuple[int, int],
    compiled: bool,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the gradients of the inputs and of the blocks."""
    _, rows, columns = blocks.shape
    sources, targets = positions // grid[1], positions % grid[1]
    outer = _split(upstream, columns)
    # By outputs, as in the product, of which TensorFlow then keeps the inputs.
    groups = _grouped(targets, grid[1], _group_size(rows))
    products = tf.matmul(
        _gathered(_split(inputs, rows), sources, groups.blocks),
        tf.gather(outer, groups.keys),
        transpose_b=True,
    )
    all_blocks = tf.reshape(products, [-1, rows, columns])
    of_blocks = tf.gather(all_blocks, groups.places)
    groups = _grouped(sources, grid[0], _group_size(columns))
    turned = tf.transpose(_padded(blocks), [0, 2, 1])
    parts = tf.matmul(
        _stacked(turned, groups.blocks),
        _gathered(outer, targets, groups.blocks),
        transpose_a=True,
    )
    return _joined(_summed(parts, groups.keys, grid[0], compiled)), of_blocks


def _group_size(rows: int) -> int:
    return max(1, _ROWS // rows)


def _grouped(keys: tf.Tensor, num_keys: int, size: int) -> _Groups:
    """Groups blocks with equal keys, at most `size` of them.

    The number of groups follows from that of the blocks alone, so that XLA
    knows it; the last group is always there, and may be empty.
    """
    count = tf.shape(keys)[0]
    order = tf.argsort(keys, stable=True)
    ordered = tf.gather(keys, order)
    number = tf.range(count)
    rank = number - tf.searchsorted(ordered, ordered)
    group = tf.cumsum(tf.cast(rank % size == 0, tf.int32)) - 1
    places = group * size + rank % size
    num_groups = (count + num_keys * (size - 1)) // size + 1
    blocks = tf.tensor_scatter_nd_update(
        tf.fill([num_groups * size], count), places[:, None], order
    )
    group_keys = tf.tensor_scatter_nd_update(
        tf.fill([num_groups], num_keys - 1),
        group[:, None],
        tf.cast(ordered, tf.int32),
    )
    back = tf.scatter_nd(order[:, None], places, [count])
    return _Groups(tf.reshape(blocks, [-1, size]), group_keys, back)


def _padded(blocks: tf.Tensor) -> tf.Tensor:
    """Adds a block of zeros."""
    return tf.pad(blocks, [[0, 1], [0, 0], [0, 0]])


def _stacked(blocks: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
    """Returns the blocks of each group, one under the other."""
    _, rows, columns = blocks.shape
    size = indices.shape[1]
    return tf.reshape(tf.gather(blocks, indices), [-1, size * rows, columns])


def _split(values: tf.Tensor, rows: int) -> tf.Tensor:
    """Returns the columns of a batch as rows, several for each block."""
    return tf.reshape(
        tf.transpose(values),
        [values.shape[1] // rows, rows, tf.shape(values)[0]],
    )


def _gathered(
    values: tf.Tensor, sources: tf.Tensor, indices: tf.Tensor
) -> tf.Tensor:
    """Returns what the blocks of each group are multiplied by."""
    rows, size = values.shape[1], indices.shape[1]
    # What a block of zeros is multiplied by does not matter, if it is finite.
    own = tf.gather(tf.pad(sources, [[0, 1]]), indices)
    batch = tf.shape(values)[2]
    return tf.reshape(tf.gather(values, own), [-1, size * rows, batch])


def _summed(
    parts: tf.Tensor, keys: tf.Tensor, num_keys: int, compiled: bool
) -> tf.Tensor:
    """Adds up the parts with equal keys, in float32 or wider."""
    dtype = parts.dtype
    if dtype.size < 4:
        parts = tf.cast(parts, tf.float32)
    if compiled:
        # XLA has no other sum of segments; on a CPU it is the slower one.
        total = tf.math.unsorted_segment_sum(parts, keys, num_keys)
    else:
        total = tf.math.segment_sum(parts, keys)
    total.set_shape([num_keys, *parts.shape[1:]])
    return tf.cast(total, dtype)


def _joined(sums: tf.Tensor) -> tf.Tensor:
    """Returns a batch, given the rows of `_split`."""
    keys, rows, _ = sums.shape
    return tf.transpose(tf.reshape(sums, [keys * rows, tf.shape(sums)[2]]))


def is_compiled_by_xla() -> bool:
    """Tells whether a function is traced that XLA is to compile."""
    if not tf.inside_function():
        return False
    frame = inspect.currentframe()
    while frame is not None:
        # Private: nothing public tells what a graph will be compiled by.
        if getattr(frame.f_locals.get("self"), "_jit_compile", None):
            return True
        frame = frame.f_back
    return False
