"""The storage of each kernel, and what is done with all of them."""

from collections.abc import Mapping
from collections.abc import Sequence

import tensorflow as tf

from dsr_tf.layers import SparseKernel
from dsr_tf.layers.slots import Slot
from dsr_tf.methods import Growth
from dsr_tf.methods import SparseTensor
from dsr_tf.methods.tracing import in_turn
from dsr_tf.training.block_storage import BlockStorage
from dsr_tf.training.masked_storage import MaskedStorage
from dsr_tf.training.storage import Storage

_KINDS = {"masks": MaskedStorage, "blocks": BlockStorage}


def storages(
    layers: Sequence[SparseKernel],
    slots: Sequence[Sequence[Slot]],
    arrays: Sequence[Mapping[str, tf.Variable]],
) -> list[Storage]:
    """Returns the storage of each layer's kernel.

    Args:
        layers: Sparse layers, built.
        slots: Optimizer slots of each layer's kernel.
        arrays: What the method keeps for the units of each.
    """
    return [
        _KINDS[layer.storage](layer, own, kept)
        for layer, own, kept in zip(layers, slots, arrays, strict=True)
    ]


def apply_moves(
    stored: Sequence[Storage],
    gone: Sequence[tf.Tensor],
    growth: Sequence[Growth],
) -> None:
    """Moves the units of all kernels.

    Args:
        stored: The kernels, in the order of the tensors.
        gone: Positions of the units that go.
        growth: Units that come.
    """
    for one, came in zip(stored, growth, strict=True):
        one.keep(came)
    in_turn(lambda one, *row: one.move(*row), stored, gone, growth)


def count_units(stored: Sequence[Storage]) -> tf.Tensor:
    """Counts the active units of each kernel, shape `(L,)`, int64."""
    return tf.stack([one.count() for one in stored])


def all_tensors(
    stored: Sequence[Storage],
    num_active: Sequence[tf.Tensor | None] = (),
    growth_scores: Sequence[tf.Tensor | None] = (),
) -> list[SparseTensor]:
    """Returns the kernels as a method sees them.

    Args:
        stored: The kernels.
        num_active: Active units of each, where they are known.
        growth_scores: Scores of all weights of each, where they are asked for.
    """
    unknown = [None] * len(stored)
    return [
        one.tensor(active, scores)
        for one, active, scores in zip(
            stored,
            num_active or unknown,
            growth_scores or unknown,
            strict=True,
        )
    ]
