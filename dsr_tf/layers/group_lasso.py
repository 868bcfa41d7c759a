"""A penalty that empties whole slices of a convolution."""

from typing import Any

import keras
from keras import ops

from dsr_tf.checks import checked_number
from dsr_tf.units import KERNEL
from dsr_tf.units import Units


@keras.saving.register_keras_serializable(package="dsr_tf")
class GroupLasso(keras.regularizers.L1L2):
    """Adds the sum of the norms of a kernel's slices to L1 and L2.

    `l1 * sum(|w|) + l2 * sum(w²) + group * sum(‖slice‖₂)`, where a slice holds
    the weights between one input and one output channel. Its gradient at a
    slice of zeros is 0.

    Args:
        group: Factor of the norms, at least 0.
        l1: Factor of the magnitudes, at least 0.
        l2: Factor of the squares, at least 0.

    Reference:
        [Yuan & Lin, 2006](https://doi.org/10.1111/j.1467-9868.2005.00532.x)
    """

    def __init__(self, group: float, l1: float = 0.0, l2: float = 0.0) -> None:
        super().__init__(l1, l2)
        self.group = checked_number("group", group)

    def __call__(self, x: Any) -> Any:
        slices = Units(tuple(x.shape), KERNEL)
        squares = ops.sum(slices.rows(ops.square(x)), axis=0)
        occupied = squares > 0
        # The root's gradient at 0 is infinite, and stays so under a mask.
        norms = ops.sqrt(ops.where(occupied, squares, ops.ones_like(squares)))
        total = ops.sum(ops.where(occupied, norms, ops.zeros_like(norms)))
        return super().__call__(x) + self.group * total

    def get_config(self) -> dict[str, float]:
        return {**super().get_config(), "group": self.group}
