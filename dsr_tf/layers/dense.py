"""A densely connected layer with a sparse kernel."""

from typing import Any

import keras

from dsr_tf.layers.masked_kernel import MaskedKernel
from dsr_tf.units import GranularityLike


@keras.saving.register_keras_serializable(package="dsr_tf")
class SparseDense(MaskedKernel, keras.layers.Dense):
    """A `keras.layers.Dense` with a fixed number of non-zero weights.

    Args:
        units: Dimension of the output, a positive integer.
        sparsity: Fraction of zeros in the kernel, in `[0, 1)`.
        granularity: What the mask moves as one: `"weight"`, or blocks of so
            many rows and columns, such as `(16, 16)` or `"16x16"`. Along an
            axis that the block does not divide, it has the length of the
            largest divisor below.
        seed: Seed of the first mask, a non-negative integer, or None.
        **kwargs: Arguments of `keras.layers.Dense`.

    Input shape:
        `(batch_size, ..., input_dim)`.

    Output shape:
        `(batch_size, ..., units)`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
    >>> layer = dsr_tf.layers.SparseDense(300, sparsity=0.9)
    >>> layer.build((None, 784))
    >>> layer.num_active
    23520
    >>> blocks = dsr_tf.layers.SparseDense(300, 0.9, granularity=(16, 16))
    >>> blocks.build((None, 784))
    >>> blocks.num_active  # 98 blocks of 16x15, as 16 does not divide 300
    23520

    Reference:
        [Mostafa & Wang, 2019](https://arxiv.org/abs/1902.05967)
    """

    takes_blocks = True

    def __init__(
        self,
        units: int,
        sparsity: float,
        granularity: GranularityLike = "weight",
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
