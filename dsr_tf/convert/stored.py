"""How each kernel of a model is stored: under a mask, or as blocks."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import keras
from absl import logging

from dsr_tf.convert.holders import held_by_several
from dsr_tf.convert.select import Candidate
from dsr_tf.layers.block_kernel import elementwise_only
from dsr_tf.layers.sparse_classes import BLOCK_OF
from dsr_tf.units import Granularity
from dsr_tf.units import Units

STORAGES = ("masks", "blocks")
# Layers that a warning names.
_MOST = 5


def storages(
    model: keras.Model,
    chosen: Sequence[Candidate],
    units: Mapping[int, Units],
    storage: str,
    granularity: Granularity,
) -> dict[int, str]:
    """Returns how each kernel is stored, by `id(kernel)`.

    Args:
        model: The model.
        chosen: Its layers to make sparse.
        units: The units of each kernel.
        storage: `"masks"`, or `"blocks"` wherever blocks can be stored.
        granularity: What moves as one, as it was asked for.

    Raises:
        ValueError: If blocks are to be stored, and there are none.
    """
    if storage == "blocks" and granularity.block is None:
        raise ValueError(
            "`granularity` must be that of blocks, such as (32, 32), where "
            f"`storage='blocks'`. Received: granularity={str(granularity)!r}"
        )
    stored: dict[int, str] = {}
    left: list[str] = []
    shared = held_by_several(model) if storage == "blocks" else set()
    for candidate in chosen:
        for kernel in candidate.kernels:
            fits = id(kernel) not in shared and can_store_blocks(
                candidate.layer, kernel, units[id(kernel)]
            )
            stored[id(kernel)] = storage if fits else "masks"
            if not fits:
                left.append(candidate.place.path)
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
    names = ", ".join(left[:_MOST])
    more = f" and {len(left) - _MOST} more" if len(left) > _MOST else ""
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
