"""An einsum layer with a sparse kernel."""

from typing import Any

import keras

from dsr_tf.layers.masked_kernel import MaskedKernel


@keras.saving.register_keras_serializable(package="dsr_tf")
class SparseEinsumDense(MaskedKernel, keras.layers.EinsumDense):
    """A `keras.layers.EinsumDense` with a fixed number of non-zero weights.

    Args:
        equation: Einsum equation of inputs and kernel, such as
            `"abc,cd->abd"`.
        output_shape: Shape of the output, without the batch.
        sparsity: Fraction of zeros in the kernel, in `[0, 1)`.
        granularity: What the mask moves as one: `"weight"`.
        seed: Seed of the first mask, a non-negative integer, or None.
        **kwargs: Arguments of `keras.layers.EinsumDense`.

    Input shape:
        As the equation says.

    Output shape:
        As the equation says.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
    >>> layer = dsr_tf.layers.SparseEinsumDense("abc,cd->abd", (None, 64), 0.9)
    >>> layer.build((None, 10, 32))
    >>> layer.num_active
    204

    Reference:
        [Mostafa & Wang, 2019](https://arxiv.org/abs/1902.05967)
    """

    def __init__(
        self,
        equation: str,
        output_shape: int | tuple[int | None, ...],
        sparsity: float,
        granularity: str = "weight",
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
