"""Convolutions with sparse kernels."""

from typing import Any

import keras

from dsr_tf.layers.masked_kernel import MaskedKernel
from dsr_tf.units import KERNEL
from dsr_tf.units import WEIGHT
from dsr_tf.units import Granularity
from dsr_tf.units import GranularityLike


class SparseConv(MaskedKernel):
    """What the sparse convolutions share: their arguments.

    Args:
        filters: Number of output channels, a positive integer.
        kernel_size: Size of the window, an integer or one a dimension.
        sparsity: Fraction of zeros in the kernel, in `[0, 1)`.
        granularity: What the mask moves as one: `"weight"`; `"kernel"`, the
            weights between one input and one output channel; or, if the window
            has one position, blocks of so many input and output channels, such
            as `(16, 16)` or `"16x16"`.
        seed: Seed of the first mask, a non-negative integer, or None.
        **kwargs: Arguments of the Keras layer.
    """

    granularities = (WEIGHT, KERNEL)
    takes_blocks = True

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, ...],
        sparsity: float,
        granularity: GranularityLike = "weight",
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
        has_blocks = Granularity.of(self.granularity).block is not None
        if has_blocks and set(self.kernel_size) != {1}:
            raise ValueError(
                f"`granularity` must be '{WEIGHT}' or '{KERNEL}' where "
                "the window has several positions. Received: "
                f"granularity={granularity!r}, kernel_size={kernel_size}"
            )


@keras.saving.register_keras_serializable(package="dsr_tf")
class SparseConv1D(SparseConv, keras.layers.Conv1D):
    """A `keras.layers.Conv1D` with a fixed number of non-zero weights.

    Args:
        filters: Number of output channels, a positive integer.
        kernel_size: Length of the window, an integer.
        sparsity: Fraction of zeros in the kernel, in `[0, 1)`.
        granularity: What the mask moves as one: `"weight"`; `"kernel"`, the
            weights between one input and one output channel; or, if the window
            has one position, blocks of so many input and output channels, such
            as `(16, 16)` or `"16x16"`.
        seed: Seed of the first mask, a non-negative integer, or None.
        **kwargs: Arguments of `keras.layers.Conv1D`.

    Input shape:
        `(batch_size, steps, channels)`, or channels second with
        `data_format="channels_first"`.

    Output shape:
        `(batch_size, new_steps, filters)`, or channels second.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
    >>> layer = dsr_tf.layers.SparseConv1D(64, 3, sparsity=0.8)
    >>> layer.build((None, 100, 16))
    >>> layer.num_active
    614

    Reference:
        [Mostafa & Wang, 2019](https://arxiv.org/abs/1902.05967)
    """


@keras.saving.register_keras_serializable(package="dsr_tf")
class SparseConv2D(SparseConv, keras.layers.Conv2D):
    """A `keras.layers.Conv2D` with a fixed number of non-zero weights.

    Args:
        filters: Number of output channels, a positive integer.
        kernel_size: Height and width of the window, an integer or two.
        sparsity: Fraction of zeros in the kernel, in `[0, 1)`.
        granularity: What the mask moves as one: `"weight"`; `"kernel"`, the
            weights between one input and one output channel; or, if the window
            has one position, blocks of so many input and output channels, such
            as `(16, 16)` or `"16x16"`.
        seed: Seed of the first mask, a non-negative integer, or None.
        **kwargs: Arguments of `keras.layers.Conv2D`.

    Input shape:
        `(batch_size, height, width, channels)`, or channels second with
        `data_format="channels_first"`.

    Output shape:
        `(batch_size, new_height, new_width, filters)`, or channels second.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
    >>> layer = dsr_tf.layers.SparseConv2D(64, 3, sparsity=0.8)
    >>> layer.build((None, 32, 32, 16))
    >>> layer.num_active
    1843
    >>> layer = dsr_tf.layers.SparseConv2D(64, 3, 0.8, granularity="kernel")
    >>> layer.build((None, 32, 32, 16))
    >>> layer.num_active  # 204 slices of 3x3
    1836

    Reference:
        [Mostafa & Wang, 2019](https://arxiv.org/abs/1902.05967)
    """


@keras.saving.register_keras_serializable(package="dsr_tf")
class SparseConv3D(SparseConv, keras.layers.Conv3D):
    """A `keras.layers.Conv3D` with a fixed number of non-zero weights.

    Args:
        filters: Number of output channels, a positive integer.
        kernel_size: Depth, height and width of the window, an integer or three.
        sparsity: Fraction of zeros in the kernel, in `[0, 1)`.
        granularity: What the mask moves as one: `"weight"`; `"kernel"`, the
            weights between one input and one output channel; or, if the window
            has one position, blocks of so many input and output channels, such
            as `(16, 16)` or `"16x16"`.
        seed: Seed of the first mask, a non-negative integer, or None.
        **kwargs: Arguments of `keras.layers.Conv3D`.

    Input shape:
        `(batch_size, depth, height, width, channels)`, or channels second
        with `data_format="channels_first"`.

    Output shape:
        `(batch_size, new_depth, new_height, new_width, filters)`, or channels
        second.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
    >>> layer = dsr_tf.layers.SparseConv3D(64, 3, sparsity=0.8)
    >>> layer.build((None, 8, 32, 32, 16))
    >>> layer.num_active
    5529

    Reference:
        [Mostafa & Wang, 2019](https://arxiv.org/abs/1902.05967)
    """
