"""What all that has one sparse kernel can be asked."""

from typing import Any

import numpy as np
from keras import ops

from dsr_tf.layers.kernel_mask import KernelMask
from dsr_tf.layers.masked_variable import MaskedVariable
from dsr_tf.units import Units


class SparseKernel:
    """A kernel, its mask, and how they were made.

    Attributes:
        name: Name of the layer, or of the layer and the kernel.
        built: Whether the kernel has been made.
        trainable: Whether optimizers train the kernel.
        kernel: The kernel, exactly 0 wherever its mask is False.
        kernel_mask: The mask, bool, of the kernel's shape.
        kernel_units: The units that the mask moves.
        sparsity: Fraction of zeros in the first mask.
        granularity: The kind of its units.
        seed: Seed of the first mask.
    """

    name: str
    built: bool
    trainable: bool
    kernel: MaskedVariable
    kernel_mask: KernelMask
    kernel_units: Units
    sparsity: float
    granularity: str
    seed: int

    def set_mask(self, mask: Any) -> None:
        """Replaces the mask, and sets to 0 the weights it makes inactive.

        Optimizer slots begin anew at all positions that are, or were,
        inactive.

        Args:
            mask: Array of the kernel's shape, of zeros and ones; equal
                throughout each unit.

        Raises:
            ValueError: If the shape differs, there are other values, or a
                unit is masked in part.
        """
        self.kernel_mask.assign(mask)

    @property
    def num_active(self) -> int:
        """Exact number of active weights."""
        return int(np.count_nonzero(ops.convert_to_numpy(self.kernel_mask)))

    @property
    def unit_size(self) -> int:
        """Number of weights that the mask moves as one."""
        return self.kernel_units.size

    def num_kept(self, sparsity: float) -> int:
        """Returns how many weights a new mask of this sparsity would keep."""
        return self.kernel_units.num_kept(sparsity)

    @property
    def trained_kernel(self) -> MaskedVariable:
        """The variable that the optimizer trains: the kernel."""
        return self.kernel
