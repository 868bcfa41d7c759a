"""Keras layers with hashed kernels."""

from typing import Any

import keras

from dsr_tf.layers.hashed_kernel import HashedKernel


@keras.saving.register_keras_serializable(package="dsr_tf")
class HashedDense(HashedKernel, keras.layers.Dense):
    """A `keras.layers.Dense` whose weights share fewer values.

    Args:
        units: Dimension of the output, a positive integer.
        sparsity: Fraction of the kernel's parameters saved, in `[0, 1)`.
        seed: Seed of the map from positions to values, an integer from 0 to
            `2**63 - 1`, or None.
        **kwargs: Arguments of `keras.layers.Dense`. Regularizer and constraint
            of the kernel act on the bank of values.

    Input shape:
        `(batch_size, ..., input_dim)`.

    Output shape:
        `(batch_size, ..., units)`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
    >>> layer = dsr_tf.layers.HashedDense(300, sparsity=0.9)
    >>> layer.build((None, 784))
    >>> layer.num_active
    23520

    Reference:
        [Chen et al., 2015](https://arxiv.org/abs/1504.04788); as the "tied"
        baseline of [Mostafa & Wang, 2019](https://arxiv.org/abs/1902.05967)
    """

    def __init__(
        self,
        units: int,
        sparsity: float,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(units, sparsity=sparsity, seed=seed, **kwargs)


@keras.saving.register_keras_serializable(package="dsr_tf")
class HashedConv2D(HashedKernel, keras.layers.Conv2D):
    """A `keras.layers.Conv2D` whose weights share fewer values.

    Args:
        filters: Number of output channels, a positive integer.
        kernel_size: Height and width of the window, an integer or two.
        sparsity: Fraction of the kernel's parameters saved, in `[0, 1)`.
        seed: Seed of the map from positions to values, an integer from 0 to
            `2**63 - 1`, or None.
        **kwargs: Arguments of `keras.layers.Conv2D`. Regularizer and
            constraint of the kernel act on the bank of values.

    Input shape:
        `(batch_size, height, width, channels)`, or channels second with
        `data_format="channels_first"`.

    Output shape:
        `(batch_size, new_height, new_width, filters)`, or channels second.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
    >>> layer = dsr_tf.layers.HashedConv2D(64, 3, sparsity=0.8)
    >>> layer.build((None, 32, 32, 16))
    >>> layer.num_active
    1843

    Reference:
        [Chen et al., 2015](https://arxiv.org/abs/1504.04788); as the "tied"
        baseline of [Mostafa & Wang, 2019](https://arxiv.org/abs/1902.05967)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, int],
        sparsity: float,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            filters, kernel_size, sparsity=sparsity, seed=seed, **kwargs
        )
