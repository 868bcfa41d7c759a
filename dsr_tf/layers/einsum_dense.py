"""An einsum layer with a sparse kernel."""

from typing import Any

import keras

from dsr_tf.layers.kernel_units import contracted
from dsr_tf.layers.masked_kernel import MaskedKernel
from dsr_tf.units import GranularityLike


@keras.saving.register_keras_serializable(package="dsr_tf")
class SparseEinsumDense(MaskedKernel, keras.layers.EinsumDense):
    """A `keras.layers.EinsumDense` with a fixed number of non-zero weights.

    Args:
        equation: Einsum equation of inputs and kernel, such as
            `"abc,cd->abd"`.
        output_shape: Shape of the output, without the batch.
        sparsity: Fraction of zeros in the kernel, in `[0, 1)`.
        granularity: What the mask moves as one: `"weight"`, or blocks of so
            many rows and columns, such as `(16, 16)` or `"16x16"`. Rows are
            along the axes of the kernel that contract with the inputs, columns
            along the others. Along an axis that the block does not divide, it
            has the length of the largest divisor below.
        seed: Seed of the first mask, a non-negative integer, or None.
        **kwargs: Arguments of `keras.layers.EinsumDense`.

    Input shape:
        As the equation says.

    Output shape:
        As the equation says.

    Raises:
        ValueError: If an argument is out of its range, or `granularity` is
            that of blocks and the kernel is no matrix: if one of its letters
            is in the inputs and in the output.

    Example:
    >>> layer = dsr_tf.layers.SparseEinsumDense("abc,cd->abd", (None, 64), 0.9)
    >>> layer.build((None, 10, 32))
    >>> layer.num_active
    204

    Reference:
        [Mostafa & Wang, 2019](https://arxiv.org/abs/1902.05967)
    """

    takes_blocks = True

    def __init__(
        self,
        equation: str,
        output_shape: int | tuple[int | None, ...],
        sparsity: float,
        granularity: GranularityLike = "weight",
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
        if self.granularity != "weight" and contracted(equation) is None:
            raise ValueError(
                "`granularity` must be 'weight' where `equation` has a letter "
                "of the kernel in the inputs and in the output: such a kernel "
                "is no matrix with blocks. Received: "
                f"granularity={granularity!r}, equation={equation!r}"
            )
