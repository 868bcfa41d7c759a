"""Layers that store the active blocks of their kernels alone."""

import math
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from dsr_tf.layers.block_kernel import BlockKernel
from dsr_tf.layers.kernel_units import contracted
from dsr_tf.units import GranularityLike


@keras.saving.register_keras_serializable(package="dsr_tf")
class BlockDense(BlockKernel, keras.layers.Dense):
    """A `keras.layers.Dense` that stores blocks of its kernel alone.

    Args:
        units: Dimension of the output, a positive integer.
        sparsity: Fraction of zeros in the kernel, in `[0, 1)`.
        granularity: Rows and columns of a block, such as `(32, 32)`.
        seed: Seed of the first positions, a non-negative integer, or None.
        **kwargs: Arguments of `keras.layers.Dense`.

    Input shape:
        `(batch_size, ..., input_dim)`.

    Output shape:
        `(batch_size, ..., units)`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
    >>> layer = dsr_tf.layers.BlockDense(2048, 0.9, granularity=(32, 32))
    >>> layer.build((None, 2048))
    >>> layer.kernel_blocks.shape
    TensorShape([409, 32, 32])
    """

    def __init__(
        self,
        units: int,
        sparsity: float,
        granularity: GranularityLike,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            units,
            sparsity=sparsity,
            granularity=granularity,
            seed=seed,
            **kwargs,
        )

    def call(self, inputs: Any, training: Any = None) -> Any:
        rows, shape = _as_matrix(inputs, 1)
        outputs = ops.reshape(self.multiply(rows), (*shape, self.units))
        return self.finish(_shaped(outputs, inputs, self))


@keras.saving.register_keras_serializable(package="dsr_tf")
class BlockEinsumDense(BlockKernel, keras.layers.EinsumDense):
    """A `keras.layers.EinsumDense` that stores blocks of its kernel alone.

    Args:
        equation: Einsum equation of inputs and kernel, such as
            `"abc,cd->abd"`. No letter of the kernel is both in the inputs and
            in the output.
        output_shape: Shape of the output, without the batch.
        sparsity: Fraction of zeros in the kernel, in `[0, 1)`.
        granularity: Rows and columns of a block, such as `(32, 32)`. Rows are
            along the axes of the kernel that contract with the inputs.
        seed: Seed of the first positions, a non-negative integer, or None.
        **kwargs: Arguments of `keras.layers.EinsumDense`.

    Input shape:
        As the equation says.

    Output shape:
        As the equation says.

    Raises:
        ValueError: If an argument is out of its range, or the kernel is no
            matrix.

    Example:
    >>> layer = dsr_tf.layers.BlockEinsumDense(
    ...     "abc,cde->abde", (None, 8, 64), 0.9, granularity=(32, 32)
    ... )
    >>> layer.build((None, 10, 512))
    >>> layer.kernel_blocks.shape
    TensorShape([25, 32, 32])
    """

    def __init__(
        self,
        equation: str,
        output_shape: int | tuple[int | None, ...],
        sparsity: float,
        granularity: GranularityLike,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            equation,
            output_shape,
            sparsity=sparsity,
            granularity=granularity,
            seed=seed,
            **kwargs,
        )
        if contracted(equation) is None:
            raise ValueError(
                "`equation` must have no letter of the kernel in the inputs "
                "and in the output, where only blocks are stored: such a "
                f"kernel is no matrix. Received: equation={equation!r}"
            )

    def call(self, inputs: Any, training: Any = None) -> Any:
        letters, kernel, output = _letters(self.equation, len(inputs.shape))
        summed = [x for x in kernel if x in letters]
        free = [x for x in letters if x not in kernel]
        new = [x for x in kernel if x not in letters]
        order = [letters.index(x) for x in free + summed]
        rows, shape = _as_matrix(_transposed(inputs, order), len(summed))
        sizes = dict(zip(kernel, self.kernel_units.shape, strict=True))
        outputs = ops.reshape(
            self.multiply(rows), (*shape, *(sizes[x] for x in new))
        )
        order = [(free + new).index(x) for x in output]
        outputs = _transposed(outputs, order)
        if tf.is_tensor(outputs):
            # Keras' own `compute_output_shape` takes `...` for one axis.
            sizes |= {x: inputs.shape[letters.index(x)] for x in free}
            outputs.set_shape([sizes[x] for x in output])
        return self.finish(outputs)


class BlockConv(BlockKernel):
    """What convolutions share that store blocks: a window of one position.

    Args:
        filters: Number of output channels, a positive integer.
        kernel_size: 1, or one a dimension.
        sparsity: Fraction of zeros in the kernel, in `[0, 1)`.
        granularity: Input and output channels of a block, such as `(32, 32)`.
        seed: Seed of the first positions, a non-negative integer, or None.
        **kwargs: Arguments of the Keras layer; `groups` is 1.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, ...],
        sparsity: float,
        granularity: GranularityLike,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            filters,
            kernel_size,
            sparsity=sparsity,
            granularity=granularity,
            seed=seed,
            **kwargs,
        )
        if set(self.kernel_size) != {1} or self.groups != 1:
            raise ValueError(
                "`kernel_size` and `groups` must be 1 where only blocks are "
                f"stored. Received: kernel_size={kernel_size}, "
                f"groups={self.groups}"
            )

    def call(self, inputs: Any) -> Any:
        first = self.data_format == "channels_first"
        rank = len(inputs.shape)
        moved = inputs
        if first:
            moved = _transposed(inputs, [0, *range(2, rank), 1])
        steps = [slice(None, None, n) for n in self.strides]
        rows, shape = _as_matrix(moved[:, *steps], 1)
        outputs = ops.reshape(self.multiply(rows), (*shape, self.filters))
        outputs = self.finish(outputs)
        if first:
            outputs = _transposed(outputs, [0, rank - 1, *range(1, rank - 1)])
        return _shaped(outputs, inputs, self)


@keras.saving.register_keras_serializable(package="dsr_tf")
class BlockConv1D(BlockConv, keras.layers.Conv1D):
    """A pointwise `keras.layers.Conv1D` that stores blocks of its kernel."""


@keras.saving.register_keras_serializable(package="dsr_tf")
class BlockConv2D(BlockConv, keras.layers.Conv2D):
    """A pointwise `keras.layers.Conv2D` that stores blocks of its kernel."""


@keras.saving.register_keras_serializable(package="dsr_tf")
class BlockConv3D(BlockConv, keras.layers.Conv3D):
    """A pointwise `keras.layers.Conv3D` that stores blocks of its kernel."""


def _as_matrix(inputs: Any, num_axes: int) -> tuple[Any, list[Any]]:
    """Joins the last axes, and those before; returns the shape of these."""
    known = inputs.shape[len(inputs.shape) - num_axes :]
    before = list(ops.shape(inputs))[: len(inputs.shape) - num_axes]
    return ops.reshape(inputs, (-1, math.prod(known))), before


def _transposed(values: Any, order: list[int]) -> Any:
    return values if order == sorted(order) else ops.transpose(values, order)


def _shaped(outputs: Any, inputs: Any, layer: Any) -> Any:
    """Says what is known of the shape of an output."""
    if tf.is_tensor(outputs):
        outputs.set_shape(layer.compute_output_shape(inputs.shape))
    return outputs


def _letters(equation: str, rank: int) -> tuple[str, str, str]:
    """Returns the letters of inputs, kernel and output.

    An ellipsis becomes letters that are not used.
    """
    left, output = equation.split("->")
    inputs, kernel = left.split(",")
    count = rank - len(inputs.replace("...", ""))
    unused = [chr(x) for x in range(97, 123) if chr(x) not in equation]
    more = "".join(unused[:count])
    kernel = kernel.replace("...", "")
    return inputs.replace("...", more), kernel, output.replace("...", more)
