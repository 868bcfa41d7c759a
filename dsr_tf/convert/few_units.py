"""Says where outputs of a layer begin without any input."""

from collections.abc import Mapping
from collections.abc import Sequence

import keras
from absl import logging

from dsr_tf.convert.select import Candidate
from dsr_tf.convert.small_blocks import named
from dsr_tf.convert.small_blocks import shortened
from dsr_tf.units import Units


def warn_of_few_units(
    model: keras.Model,
    chosen: Sequence[Candidate],
    units: Mapping[int, Units],
    sparsities: Mapping[int, float],
) -> None:
    """Logs which kernels keep fewer units than they have outputs.

    Args:
        model: The model.
        chosen: Its layers to make sparse.
        units: Units of each kernel, by `id(kernel)`.
        sparsities: Fraction of zeros of each kernel to make sparse.
    """
    few = []
    for candidate in chosen:
        for kernel in candidate.kernels:
            if (own := id(kernel)) not in sparsities:
                continue
            kept = units[own].num_kept(sparsities[own]) // units[own].size
            outputs = _num_outputs(units[own])
            if kept < outputs:
                name = named(candidate, kernel)
                few.append(f"{name} ({kept} for {outputs})")
    if few:
        logging.warning(
            "Some outputs begin without any input, as these kernels of model "
            "'%s' keep fewer weights or slices than outputs, or fewer blocks "
            "than columns of blocks: %s. Give them a lower sparsity, or "
            "another `distribution`.",
            model.name,
            shortened(few),
        )


def _num_outputs(units: Units) -> int:
    """Returns how many units stand side by side in the matrix of a kernel."""
    return units.matrix[1] // units.block[1]
