"""A 2D convolution with a sparse kernel."""

from typing import Any

import keras

from dsr_tf.layers.masked_kernel import MaskedKernel


@keras.saving.register_keras_serializable(package="dsr_tf")
class SparseConv2D(MaskedKernel, keras.layers.Conv2D):
    """A `keras.layers.Conv2D` with a fixed number of non-zero weights.

    Args:
        filters: Number of output channels, a positive integer.
        kernel_size: Height and width of the window, an integer or two.
        sparsity: Fraction of zeros in the kernel, in `[0, 1)`.
        granularity: What the mask moves as one: `"weight"`, or `"kernel"`, the
            weights between one input and one output channel.
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

    granularities = ("weight", "kernel")

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, int],
        sparsity: float,
        granularity: str = "weight",
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

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        return super().convolution_op(inputs, self.masked(kernel))
