"""What moves as one in the kernel of a layer."""

import re

import keras
from absl import logging

from dsr_tf.units import KERNEL
from dsr_tf.units import WEIGHT
from dsr_tf.units import Granularity
from dsr_tf.units import Units

CONVOLUTIONS = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
)
# Their pointwise kernels have a window of one position.
_SEPARABLE = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)
_EQUATION = r"(?:\.\.\.)?([a-zA-Z]+)(?:\.\.\.)?,([a-zA-Z]+)->([a-zA-Z.]+)"


def warn_of_small_blocks(name: str, units: Units) -> None:
    """Logs that the blocks of a layer are much smaller than was asked for.

    Args:
        name: Name of the layer.
        units: The units of its kernel.
    """
    if units.has_small_blocks:
        rows, columns = units.block
        logging.warning(
            "Blocks of %s are %dx%d in layer '%s', as they divide neither more "
            "of its %d inputs nor of its %d outputs. Inputs and outputs that "
            "blocks divide give whole ones.",
            units.granularity,
            rows,
            columns,
            name,
            *units.matrix,
        )


def units_of(
    layer: keras.layers.Layer,
    kernel: keras.Variable,
    granularity: Granularity,
) -> Units:
    """Returns the units of a layer's kernel, once it is made sparse.

    Args:
        layer: A built layer, which holds the kernel itself.
        kernel: Its kernel.
        granularity: The kind of its units. Slices are those of convolutions.
            Blocks are those of kernels that are a matrix: of `Dense` and
            `EinsumDense`, of convolutions with a window of one position, and
            all others of two axes. Other kernels have single weights.
    """
    is_einsum = _is_einsum(layer, kernel)
    if granularity == KERNEL:
        fits = isinstance(layer, CONVOLUTIONS)
    else:
        fits = granularity == WEIGHT or _is_matrix(layer, kernel)
    return Units(
        tuple(kernel.shape),
        granularity if fits else WEIGHT,
        input_axes(layer) if is_einsum else None,
    )


def input_axes(layer: keras.layers.Layer) -> tuple[int, ...] | None:
    """Returns the axes of a layer's own kernel that contract with its inputs.

    Args:
        layer: A layer, with a kernel that is called so.

    Returns:
        Numbers from 0; None if they are all but the last, or if the kernel of
        an `EinsumDense` is no matrix.
    """
    if isinstance(layer, keras.layers.EinsumDense):
        return contracted(layer.equation)
    return None


def contracted(equation: str) -> tuple[int, ...] | None:
    """Returns the axes of an einsum's kernel that contract with the inputs.

    Args:
        equation: As `EinsumDense` takes it.

    Returns:
        Numbers from 0. None if the kernel is no matrix from inputs to outputs:
        if one of its letters is in the inputs and in the output, so that there
        is a matrix for each of its indices.
    """
    parts = re.fullmatch(_EQUATION, equation)
    if parts is None:
        return None
    inputs, kernel, output = parts.groups()
    several = any(x in inputs and x in output for x in kernel)
    if several or len(set(kernel)) < len(kernel):
        return None
    return tuple(i for i, x in enumerate(kernel) if x not in output)


def _is_einsum(layer: keras.layers.Layer, kernel: keras.Variable) -> bool:
    is_own = kernel.name == "kernel"
    return is_own and isinstance(layer, keras.layers.EinsumDense)


def _is_matrix(layer: keras.layers.Layer, kernel: keras.Variable) -> bool:
    if _is_einsum(layer, kernel):
        return contracted(layer.equation) is not None
    window = tuple(kernel.shape)[:-2]
    has_window = isinstance(layer, (*CONVOLUTIONS, *_SEPARABLE))
    return not window or (has_window and set(window) == {1})
