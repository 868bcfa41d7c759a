"""Inputs and outputs of sparse layers that have no active weight left."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from dsr_tf.checks import checked_kind
from dsr_tf.layers import SparseKernel
from dsr_tf.layers.kernel_units import CONVOLUTIONS

# Their kernels have the outputs before the inputs.
_TRANSPOSED = (
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)


@dataclass(frozen=True)
class DeadUnits:
    """How many inputs and outputs of a kernel no active weight is left to.

    Args:
        inputs: Inputs that lead to no output.
        outputs: Outputs that no input leads to; they are their bias.
    """

    inputs: int
    outputs: int


def dead_units(kernel: SparseKernel) -> DeadUnits:
    """Counts inputs and outputs of a kernel that have no active weight.

    Of a convolution these are channels: one is dead if it has no weight at any
    position of the window. A channel of a convolution in groups leads to the
    outputs of its group alone. Of an einsum they are the entries along the
    letters that the kernel shares with inputs, and with outputs.

    Args:
        kernel: A sparse layer, built, or one sparse kernel of a layer.

    Returns:
        The counts. Only masks, or the positions of stored blocks, are read.

    Raises:
        ValueError: If `kernel` is no sparse kernel.
    """
    checked_kind("kernel", kernel, SparseKernel, "a sparse layer or kernel")
    if kernel.storage == "blocks":
        inputs, outputs = _of_blocks(kernel)
    else:
        inputs, outputs = _of_mask(kernel)
    return DeadUnits(_num_false(inputs), _num_false(outputs))


def _num_false(alive: np.ndarray) -> int:
    return int(np.size(alive) - np.count_nonzero(alive))


def _of_mask(kernel: SparseKernel) -> tuple[np.ndarray, np.ndarray]:
    """Returns which inputs, and which outputs, have an active weight."""
    mask = keras.ops.convert_to_numpy(kernel.kernel_mask) != 0
    layer = _layer_of(kernel)
    if letters := _letters(kernel):
        return _of_einsum(mask, *letters)
    if isinstance(layer, _TRANSPOSED):
        mask = mask.swapaxes(-1, -2)
    groups = layer.groups if isinstance(layer, CONVOLUTIONS) else 1
    *_, num_inputs, num_outputs = mask.shape
    by_group = (-1, num_inputs, groups, num_outputs // groups)
    mask = mask.reshape(by_group).any(axis=0)
    return mask.any(axis=2), mask.any(axis=0)


def _of_blocks(kernel: SparseKernel) -> tuple[np.ndarray, np.ndarray]:
    """Returns the same of the rows and columns that blocks take."""
    units = kernel.kernel_units
    grid = np.zeros(units.count, bool)
    grid[keras.ops.convert_to_numpy(kernel.placement)] = True
    grid = grid.reshape(units.grid)
    rows, columns = (
        np.repeat(grid.any(axis=1 - axis), length)
        for axis, length in enumerate(units.block)
    )
    if not (letters := _letters(kernel)):
        return rows, columns
    # Rows may also be along letters that are in no input.
    inputs, own, output = letters
    summed = [i for i, x in enumerate(own) if x not in output]
    shape = [units.shape[i] for i in summed]
    names = "".join(own[i] for i in summed)
    alive = _of_einsum(rows.reshape(shape), inputs, names, output)[0]
    return alive, columns


def _of_einsum(
    mask: np.ndarray, inputs: str, own: str, output: str
) -> tuple[np.ndarray, np.ndarray]:
    """Returns which entries of inputs and of the output have a weight.

    Args:
        mask: Bool, with an axis for each letter in `own`.
        inputs: Letters of the inputs.
        own: Letters of the kernel; of equal ones the diagonal is used.
        output: Letters of the output.
    """
    into = "".join(x for x in dict.fromkeys(own) if x in inputs)
    out = "".join(x for x in dict.fromkeys(own) if x in output)
    # Of bool, a sum is an "or".
    return np.einsum(f"{own}->{into}", mask), np.einsum(f"{own}->{out}", mask)


def _letters(kernel: SparseKernel) -> tuple[str, str, str] | None:
    """Returns the letters of inputs, kernel and output of an einsum."""
    layer = _layer_of(kernel)
    is_own = layer is kernel or kernel.kernel.name == "kernel"
    if not is_own or not isinstance(layer, keras.layers.EinsumDense):
        return None
    inputs, own, output = layer.equation.replace("->", ",").split(",")
    return inputs, own.replace("...", ""), output


def _layer_of(kernel: Any) -> Any:
    """Returns the layer that a kernel is of."""
    return getattr(kernel, "layer", kernel)
