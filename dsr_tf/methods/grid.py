"""Where the units of a tensor stand, between its inputs and its outputs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import tensorflow as tf


@dataclass(frozen=True)
class Grid:
    """The units of a tensor as links from inputs to outputs.

    Inputs and outputs are numbered. Where a unit is a weight, they are those of
    the kernel as a matrix: the inputs of a convolution are the weights of one
    window over all its channels. Where a unit is a slice of a convolution, they
    are its channels. Where it is a block, they are the rows and columns of
    blocks.

    Args:
        shape: Shape of an array with an entry for each unit, in the order of
            their positions.
        input_axes: The axes of it that number inputs; the others number
            outputs. By default these are all but the last.
    """

    shape: tuple[int, ...]
    input_axes: tuple[int, ...] | None = None

    @property
    def num_inputs(self) -> int:
        """Number of inputs."""
        return self._length(self._inputs)

    @property
    def num_outputs(self) -> int:
        """Number of outputs."""
        return self._length(self._outputs)

    def inputs(self, positions: tf.Tensor) -> tf.Tensor:
        """Returns the numbers of the inputs of some units, int64."""
        return self._numbers(positions, self._inputs)

    def outputs(self, positions: tf.Tensor) -> tf.Tensor:
        """Returns the numbers of the outputs of some units, int64."""
        return self._numbers(positions, self._outputs)

    def matrix(self, values: tf.Tensor) -> tf.Tensor:
        """Returns a matrix of inputs and outputs, given a value a unit."""
        shape = [self.num_inputs, self.num_outputs]
        if self._is_in_order:
            return tf.reshape(values, shape)
        axes = tf.reshape(values, self.shape)
        return tf.reshape(tf.transpose(axes, self._order), shape)

    def units(self, matrix: tf.Tensor) -> tf.Tensor:
        """Returns a value a unit: the inverse of `matrix`."""
        if self._is_in_order:
            return tf.reshape(matrix, [-1])
        axes = tf.reshape(matrix, [self.shape[axis] for axis in self._order])
        back = [self._order.index(axis) for axis in range(len(self.shape))]
        return tf.reshape(tf.transpose(axes, back), [-1])

    @property
    def _inputs(self) -> tuple[int, ...]:
        every = tuple(range(len(self.shape)))
        return every[:-1] if self.input_axes is None else self.input_axes

    @property
    def _outputs(self) -> tuple[int, ...]:
        every = range(len(self.shape))
        return tuple(axis for axis in every if axis not in self._inputs)

    @property
    def _order(self) -> tuple[int, ...]:
        return (*self._inputs, *self._outputs)

    @property
    def _is_in_order(self) -> bool:
        return self._order == tuple(range(len(self.shape)))

    def _length(self, axes: Sequence[int]) -> int:
        return math.prod(self.shape[axis] for axis in axes)

    def _numbers(self, positions: tf.Tensor, axes: Sequence[int]) -> tf.Tensor:
        numbers = tf.zeros_like(positions)
        for axis in axes:
            length, stride = self.shape[axis], math.prod(self.shape[axis + 1 :])
            numbers = numbers * length + positions // stride % length
        return numbers
