"""Says where units become much smaller than was asked for."""

from collections.abc import Iterator
from collections.abc import Sequence

import keras
from absl import logging

from dsr_tf.convert.select import Candidate
from dsr_tf.layers.kernel_units import units_of
from dsr_tf.units import Granularity
from dsr_tf.units import Units

# Kernels that a warning names.
_MOST = 5


def warn_of_small_blocks(
    model: keras.Model, chosen: Sequence[Candidate], granularity: Granularity
) -> None:
    """Logs which kernels have small blocks, or that none has such units.

    Args:
        model: The model.
        chosen: Its layers to make sparse.
        granularity: The unit that masks move.
    """
    found = list(_with_units(chosen, granularity))
    if not found:
        _warn_of_none(model, granularity)
    small = [
        f"{path} ({rows}x{cols} of {inputs}x{outputs})"
        for path, units in found
        if units.has_small_blocks
        for (rows, cols), (inputs, outputs) in [(units.block, units.matrix)]
    ]
    if small:
        logging.warning(
            "Blocks of %s are at most half as long, or as wide, in these "
            "kernels of model '%s': %s. Inputs that %d divides and outputs "
            "that %d divides give whole blocks.",
            granularity,
            model.name,
            shortened(small),
            *(granularity.block or ()),
        )


def _warn_of_none(model: keras.Model, granularity: Granularity) -> None:
    """Logs that no kernel has the units that were asked for."""
    what, which = "slices", "Convolutions can"
    if granularity.block:
        what = f"blocks of {granularity}"
        which = "Dense layers and 1×1 convolutions can"
    logging.warning(
        "No kernel to make sparse in model '%s' can have %s: single weights "
        "move. %s.",
        model.name,
        what,
        which,
    )


def shortened(texts: Sequence[str]) -> str:
    """Returns the first of some texts as a list, and how many more there are.

    Args:
        texts: At least one.
    """
    left = len(texts) - _MOST
    return ", ".join(texts[:_MOST]) + (f" and {left} more" if left > 0 else "")


def named(candidate: Candidate, kernel: keras.Variable) -> str:
    """Returns the path of a layer, and of one of several kernels its name."""
    path = candidate.place.path
    several = len(candidate.kernels) > 1
    return f"{path}/{kernel.name}" if several else path


def _with_units(
    chosen: Sequence[Candidate], granularity: Granularity
) -> Iterator[tuple[str, Units]]:
    """Yields the kernels that have these units, each after its name."""
    for candidate in chosen:
        for kernel in candidate.kernels:
            units = units_of(candidate.layer, kernel, granularity)
            if units.granularity == granularity:
                yield named(candidate, kernel), units
