"""How each kernel of a model is stored: under a mask, or as blocks."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import keras
from absl import logging

from dsr_tf.checks import checked_choice
from dsr_tf.convert.holders import held_by_several
from dsr_tf.convert.select import Candidate
from dsr_tf.layers.block_kernel import elementwise_only
from dsr_tf.layers.sparse_classes import BLOCK_OF
from dsr_tf.layers.step_cost import step_cost
from dsr_tf.units import Granularity
from dsr_tf.units import Units

STORAGES = ("masks", "blocks", "auto")
# What was measured is noisy, and other machines differ.
_FASTER = 0.9
# Layers that a warning names.
_MOST = 5


def check_stored(storage: str, granularity: Granularity) -> None:
    """Raises a ValueError if kernels cannot be stored so.

    Args:
        storage: As in `sparsify`.
        granularity: What moves as one.
    """
    checked_choice("storage", storage, STORAGES)
    if storage != "masks" and granularity.block is None:
        raise ValueError(
            "`granularity` must be that of blocks, such as (32, 32), unless "
            f"`storage='masks'`. Received: granularity={str(granularity)!r}, "
            f"storage={storage!r}"
        )


def storages(
    model: keras.Model,
    chosen: Sequence[Candidate],
    units: Mapping[int, Units],
    sparsities: Mapping[int, float],
    storage: str,
    granularity: Granularity,
) -> dict[int, str]:
    """Returns how each kernel is stored, by `id(kernel)`.

    Args:
        model: The model.
        chosen: Its layers to make sparse.
        units: The units of each kernel.
        sparsities: Fraction of zeros of each kernel.
        storage: `"masks"`; `"blocks"` wherever blocks can be stored; or
            `"auto"`: where that makes a training step faster.
        granularity: What moves as one, as it was asked for.
    """
    stored: dict[int, str] = {}
    left: list[str] = []
    shared = held_by_several(model) if storage != "masks" else set()
    for candidate in chosen:
        for kernel in candidate.kernels:
            key = id(kernel)
            if key not in sparsities:
                continue
            fits = key not in shared and can_store_blocks(
                candidate.layer, kernel, units[key]
            )
            if not fits:
                left.append(candidate.place.path)
            if fits and storage == "auto":
                density = 1 - sparsities[key]
                fits = step_cost(units[key], density) < _FASTER
            blocks = fits and storage != "masks"
            stored[key] = "blocks" if blocks else "masks"
    if storage == "blocks" and left:
        _warn(model, left, len(stored))
    return stored


def can_store_blocks(layer: Any, kernel: keras.Variable, units: Units) -> bool:
    """Tells whether a layer can store the blocks of a kernel alone.

    Args:
        layer: A built layer, which holds the kernel itself.
        kernel: The kernel.
        units: Its units.
    """
    return (
        type(layer) in BLOCK_OF
        and kernel is layer.kernel
        and units.granularity.block is not None
        and getattr(layer, "groups", 1) == 1
        and elementwise_only(layer)
    )


def _warn(model: keras.Model, left: Sequence[str], count: int) -> None:
    paths = list(dict.fromkeys(left))
    names = ", ".join(paths[:_MOST])
    more = f" and {len(paths) - _MOST} more" if len(paths) > _MOST else ""
    logging.warning(
        "%d of %d kernels of model '%s' keep a mask, which saves neither time "
        "nor memory: %s%s. Blocks are stored of `Dense`, `EinsumDense` and 1×1 "
        "convolutions whose penalty and constraint are elementwise, and whose "
        "kernel no other layer holds.",
        len(left),
        count,
        model.name,
        names,
        more,
    )
