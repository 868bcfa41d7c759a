"""What all that has one sparse kernel can be asked."""

from typing import Any

import keras
import numpy as np
from keras import ops

from dsr_tf.layers.trained_variable import TrainedVariable
from dsr_tf.units import Units


class SparseKernel:
    """A kernel, where it is not 0, and how it was made.

    It is stored under a mask, unless a class says otherwise.

    Attributes:
        name: Name of the layer, or of the layer and the kernel.
        built: Whether the kernel has been made.
        trainable: Whether optimizers train the kernel.
        kernel: The kernel, exactly 0 wherever its mask is False.
        kernel_mask: The mask, bool, of the kernel's shape.
        kernel_units: The units that move.
        sparsity: Fraction of zeros in the first mask.
        granularity: The kind of its units.
        seed: Seed of the first mask.
        storage: How it is stored, `"masks"` or `"blocks"`.
    """

    name: str
    built: bool
    trainable: bool
    kernel: Any
    kernel_mask: Any
    kernel_units: Units
    sparsity: float
    granularity: str
    seed: int
    storage: str = "masks"

    def set_mask(self, mask: Any) -> None:
        """Replaces the mask, and sets to 0 the weights it makes inactive.

        Optimizer slots begin anew at all positions that are, or were,
        inactive.

        Args:
            mask: Array of the kernel's shape, of zeros and ones; equal
                throughout each unit.

        Raises:
            ValueError: If the shape differs, there are other values, all are
                zeros, or a unit is masked in part.
        """
        self.kernel_mask.assign(mask)

    def assign_kernel(self, kernel: Any) -> None:
        """Assigns weights, wherever the mask is True.

        Args:
            kernel: Array of the kernel's shape.
        """
        self.kernel.assign(kernel)

    @property
    def num_active(self) -> int:
        """Exact number of active weights."""
        return int(np.count_nonzero(ops.convert_to_numpy(self.kernel_mask)))

    @property
    def kernel_shape(self) -> tuple[int, ...]:
        """Shape of the kernel, zeros included."""
        return self.kernel_units.shape

    @property
    def unit_size(self) -> int:
        """Number of weights that move as one."""
        return self.kernel_units.size

    def num_kept(self, sparsity: float) -> int:
        """Returns how many weights a new mask of this sparsity would keep."""
        return self.kernel_units.num_kept(sparsity)

    @property
    def trained_kernel(self) -> TrainedVariable:
        """The variable that the optimizer trains."""
        return self.kernel

    @property
    def placement(self) -> keras.Variable:
        """The variable that says which units are active."""
        return self.kernel_mask
