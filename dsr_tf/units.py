"""Units: the weights of a kernel that a mask moves as one."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from dsr_tf.budget import num_kept
from dsr_tf.checks import is_integer


@dataclass(frozen=True)
class Granularity:
    """The kind of a unit: a weight, a slice or a block. `str()` is its name.

    Args:
        name: Name in arguments and configs.
        grid_axes: How many of a kernel's last axes number its units; the
            weights along the other axes belong together. None means all axes.
        block: Rows and columns of a block, of a kernel as a matrix; None for
            weights and slices.
    """

    name: str
    grid_axes: int | None
    block: tuple[int, int] | None = None

    @classmethod
    def of(
        cls,
        value: Any,
        allowed: Sequence["Granularity"] | None = None,
        blocks: bool = True,
    ) -> "Granularity":
        """Returns the granularity that a name or a pair of integers means.

        Args:
            value: A name, a granularity, or the rows and columns of a block:
                `(16, 16)` or `"16x16"`.
            allowed: The named granularities to choose from; all by default.
            blocks: Whether blocks are allowed.

        Raises:
            ValueError: If `value` is none of them.
        """
        choices = GRANULARITIES if allowed is None else allowed
        if isinstance(value, str | Granularity):
            for choice in choices:
                if value in (choice, choice.name):
                    return choice
        pair = _pair(value) if blocks else None
        if pair is not None:
            return cls("x".join(map(str, pair)), None, pair)
        names = [f"one of {tuple(map(str, choices))}"] if choices else []
        what = ", or ".join([*names, *([_A_PAIR] if blocks else [])])
        raise ValueError(
            f"`granularity` must be {what}. Received: granularity={value!r}"
        )

    def __str__(self) -> str:
        return self.name


# What arguments take.
GranularityLike = str | tuple[int, int] | Granularity
WEIGHT = Granularity("weight", grid_axes=None)
# All weights between one input and one output channel of a convolution.
KERNEL = Granularity("kernel", grid_axes=2)
GRANULARITIES = (WEIGHT, KERNEL)
_A_PAIR = (
    "a pair of positive integers, the rows and columns of a block, such as "
    "(16, 16) or '16x16'"
)
# Far above the length of any axis.
_MOST_DIGITS = 9


@dataclass(frozen=True)
class Units:
    """The units of one kernel.

    Where units are worked on, a kernel is a matrix with a column for each
    unit; the weights of a unit are the rows.

    Blocks are those of another matrix: that of a kernel from inputs, its rows,
    to outputs, its columns. Along each of the two axes, a block has the length
    of the axis' largest divisor that is at most the length asked for. So all
    units of a kernel have the same size: 784 rows make 28 blocks of 28 where 32
    are asked for, 10 columns are one block of 10 where it is 16, and a prime
    number of rows above 16 are blocks of one row. Blocks are numbered row by
    row, and so are the weights in a block.

    Args:
        shape: Shape of the kernel.
        granularity: The kind of its units.
        input_axes: The axes that contract with inputs, numbers from 0; by
            default all but the last. Only blocks and `matrix` depend on it.
    """

    shape: tuple[int, ...]
    granularity: Granularity
    input_axes: tuple[int, ...] | None = None

    @property
    def matrix(self) -> tuple[int, int]:
        """Shape of the kernel as a matrix: `(inputs, outputs)`."""
        inputs, outputs = self._axes
        return (
            math.prod(self.shape[axis] for axis in inputs),
            math.prod(self.shape[axis] for axis in outputs),
        )

    @property
    def block(self) -> tuple[int, int]:
        """Rows and columns of a block in this kernel; `(1, 1)` if it has none.

        Each is a divisor of the axis of `matrix`.
        """
        if self.granularity.block is None:
            return 1, 1
        (inputs, outputs), (rows, cols) = self.matrix, self.granularity.block
        return _divisor(inputs, rows), _divisor(outputs, cols)

    @property
    def has_small_blocks(self) -> bool:
        """Whether a block has at most half the length that it could have."""
        asked = self.granularity.block
        return asked is not None and any(
            2 * length <= min(most, axis)
            for length, most, axis in zip(
                self.block, asked, self.matrix, strict=True
            )
        )

    @property
    def grid(self) -> tuple[int, ...]:
        """Shape of an array with one entry for each unit."""
        if self.granularity.block is not None:
            (inputs, outputs), (rows, cols) = self.matrix, self.block
            return inputs // rows, outputs // cols
        axes = self.granularity.grid_axes
        return self.shape if axes is None else self.shape[-axes:]

    @property
    def grid_inputs(self) -> tuple[int, ...]:
        """The axes of `grid` that number inputs; the others number outputs."""
        if self.granularity.block is not None:
            return (0,)
        first = len(self.shape) - len(self.grid)
        inputs, _ = self._axes
        return tuple(axis - first for axis in inputs if axis >= first)

    @property
    def num_weights(self) -> int:
        """Number of weights of the kernel."""
        return math.prod(self.shape)

    @property
    def count(self) -> int:
        """Number of units."""
        return math.prod(self.grid)

    @property
    def size(self) -> int:
        """Number of weights in a unit."""
        return self.num_weights // self.count

    def num_kept(self, sparsity: float) -> int:
        """Returns how many weights a new mask of this sparsity keeps."""
        return num_kept(self.count, sparsity) * self.size

    def rows(self, kernel: Any) -> Any:
        """Returns a kernel as a matrix of shape `(size, count)`.

        Args:
            kernel: NumPy array or TensorFlow tensor of the kernel's shape.
        """
        if self.granularity.block is None:
            return _reshaped(kernel, (self.size, self.count))
        (down, across), (rows, cols) = self.grid, self.block
        matrix = _transposed(kernel, self._order)
        blocks = _reshaped(matrix, (down, rows, across, cols))
        # To the rows and columns of a block, then those of the grid.
        inside_first = _transposed(blocks, (1, 3, 0, 2))
        return _reshaped(inside_first, (self.size, self.count))

    def kernel(self, rows: Any) -> Any:
        """Returns the kernel of a matrix: the inverse of `rows`."""
        if self.granularity.block is None:
            return _reshaped(rows, self.shape)
        blocks = _reshaped(rows, (*self.block, *self.grid))
        return self.of_matrix(_transposed(blocks, (2, 0, 3, 1)))

    def of_matrix(self, matrix: Any) -> Any:
        """Returns the kernel that is a matrix of inputs and outputs.

        Args:
            matrix: NumPy array or TensorFlow tensor with the entries of one of
                the shape `matrix`, row by row.
        """
        order = self._order
        axes = _reshaped(matrix, tuple(self.shape[axis] for axis in order))
        return _transposed(axes, tuple(np.argsort(order).tolist()))

    def spread(self, mask: np.ndarray) -> np.ndarray:
        """Returns the mask of the kernel, given one entry for each unit.

        Args:
            mask: `count` entries, of any shape.
        """
        rows = np.broadcast_to(mask.reshape(-1), (self.size, self.count))
        return self.kernel(rows)

    def of_mask(self, mask: np.ndarray) -> np.ndarray:
        """Returns the entries of the units, given the mask of the kernel.

        Args:
            mask: Array of the kernel's shape.

        Returns:
            Array of shape `(count,)`.

        Raises:
            ValueError: If the entries of a unit differ.
        """
        rows = self.rows(mask)
        if (rows != rows[0]).any():
            raise ValueError(
                "`mask` must be equal throughout each unit of "
                f"{self.size} weights, because granularity="
                f"'{self.granularity}' moves them as one. "
                "Received: a unit with zeros and ones"
            )
        return rows[0]

    def magnitudes(self, kernel: Any) -> Any:
        """Returns the mean magnitude of each unit, of shape `(count,)`.

        Args:
            kernel: NumPy array or TensorFlow tensor of the kernel's shape.
        """
        rows = self.rows(kernel)
        if isinstance(rows, np.ndarray):
            return np.abs(rows).mean(axis=0)
        return tf.reduce_mean(tf.abs(rows), axis=0)

    @property
    def _axes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The axes of inputs, and those of outputs."""
        every = tuple(range(len(self.shape)))
        inputs = every[:-1] if self.input_axes is None else self.input_axes
        return inputs, tuple(axis for axis in every if axis not in inputs)

    @property
    def _order(self) -> tuple[int, ...]:
        """The axes in the order in which they make the matrix."""
        inputs, outputs = self._axes
        return (*inputs, *outputs)


def _pair(value: Any) -> tuple[int, int] | None:
    """Returns the rows and columns of a block; None if it is none."""
    if isinstance(value, Granularity):
        value = value.block
    if isinstance(value, str):
        number = rf"([1-9][0-9]{{0,{_MOST_DIGITS - 1}}})"
        match = re.fullmatch(f"{number}x{number}", value)
        value = tuple(map(int, match.groups())) if match else None
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    if not all(is_integer(n) and 0 < n < 10**_MOST_DIGITS for n in value):
        return None
    return int(value[0]), int(value[1])


def _divisor(length: int, most: int) -> int:
    """Returns the largest divisor of a length that is at most `most`."""
    return next(n for n in range(min(length, most), 0, -1) if length % n == 0)


def _transposed(values: Any, order: tuple[int, ...]) -> Any:
    if order == tuple(range(len(order))):
        return values
    if isinstance(values, np.ndarray):
        return values.transpose(order)
    return tf.transpose(values, order)


def _reshaped(values: Any, shape: tuple[int, ...]) -> Any:
    if isinstance(values, np.ndarray):
        return values.reshape(shape)
    return tf.reshape(values, shape)
