"""Layers that multiply by the blocks that a SavedModel holds."""

from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from dsr_tf.exporting.block_layout import BlockLayout
from dsr_tf.exporting.packed_kernel import UnpackedVariable
from dsr_tf.layers import BlockKernel
from dsr_tf.layers import MaskedKernel
from dsr_tf.layers.sparse_classes import BLOCK_OF
from dsr_tf.layers.sparse_classes import SPARSE_OF
from dsr_tf.layers.tree import all_layers

# Where blocks take less time than a dense kernel, as measured on processors
# with one row, 32 and 256 rows: what has fewer weights, or shorter blocks, or
# more of them, is left dense.
_LEAST_WEIGHTS = 512 * 1024
_SHORTEST = 8
_MOST_KEPT = 1 / 4
_SERVED_OF: dict[type[Any], type[BlockKernel]] = {
    sparse: BLOCK_OF[plain] for plain, sparse in SPARSE_OF.items()
}


@dataclass(frozen=True)
class ServedBlocks:
    """A layer with a mask of blocks, and these as a file holds them.

    Args:
        layer: The layer.
        layout: Its blocks.
        weights: Where a SavedModel reads the weights from.
    """

    layer: MaskedKernel
    layout: BlockLayout
    weights: UnpackedVariable

    @classmethod
    def of(cls, layer: MaskedKernel, folder: Path) -> "ServedBlocks":
        """Puts the blocks of a layer into a file of a folder."""
        kernel = keras.ops.convert_to_numpy(layer.kernel.value)
        mask = keras.ops.convert_to_numpy(layer.kernel_mask)
        layout = BlockLayout.of(kernel, mask, layer.kernel_units)
        weights = UnpackedVariable.of(
            layout.weights, f"{layer.kernel.path}_blocks", folder
        )
        return cls(layer, layout, weights)

    def product(self, inputs: Any) -> tf.Tensor:
        """Multiplies inputs by the kernel as a matrix."""
        kind = self.layer.compute_dtype
        weights = tf.cast(self.weights.read(), kind)
        return self.layout.product(tf.cast(inputs, kind), weights)


def can_serve_blocks(model: keras.Model) -> bool:
    """Tells whether a layer of a model is to compute with blocks."""
    return any(map(_can_serve, all_layers(model)))


def served_blocks(model: keras.Model, folder: Path) -> list[ServedBlocks]:
    """Puts the blocks of a model into files, for each layer that has some.

    Args:
        model: A built model, whose blocks are under masks.
        folder: Where the files are until a SavedModel has its copies.
    """
    layers = filter(_can_serve, all_layers(model))
    return [ServedBlocks.of(layer, folder) for layer in layers]


@contextmanager
def computing_with_blocks(served: Sequence[ServedBlocks]) -> Iterator[None]:
    """Lets layers compute with the blocks of files for a while."""
    kinds = [type(x.layer) for x in served]
    for x in served:
        x.layer.__class__ = _served_class(x)
    try:
        yield
    finally:
        for x, kind in zip(served, kinds, strict=True):
            x.layer.__class__ = kind


def _can_serve(layer: Any) -> bool:
    """Tells whether a layer can compute with blocks, and gains by it."""
    known = type(layer) in _SERVED_OF or type(layer) in BLOCK_OF.values()
    if not known or not layer.built or getattr(layer, "groups", 1) != 1:
        return False
    units = layer.kernel_units
    return (
        units.granularity.block is not None
        and units.num_weights >= _LEAST_WEIGHTS
        and min(units.block) >= _SHORTEST
        and layer.num_active <= _MOST_KEPT * units.num_weights
    )


def _served_class(served: ServedBlocks) -> type[BlockKernel]:
    """Returns the class that a layer has while it computes with a file."""

    def multiply(self: Any, inputs: Any) -> tf.Tensor:
        return served.product(inputs)

    def kernel(self: Any) -> None:
        raise ValueError(
            "`compute` must be 'dense' where other code reads the kernel of a "
            f"layer: there is none. Received: layer '{self.name}'"
        )

    plain = _SERVED_OF[type(served.layer)]
    members = {"multiply": multiply, "kernel": property(kernel)}
    return type(plain.__name__, (plain,), members)
