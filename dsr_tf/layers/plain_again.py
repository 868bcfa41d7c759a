"""Layers that are plain again, or look so for a while."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from keras.layers import Layer

from dsr_tf.layers.block_in_place import store_whole
from dsr_tf.layers.block_in_place import stored_whole
from dsr_tf.layers.block_in_place import storing_blocks
from dsr_tf.layers.mask_in_place import change_class
from dsr_tf.layers.mask_in_place import drop
from dsr_tf.layers.mask_in_place import hold
from dsr_tf.layers.masked_kernel import MaskedKernel
from dsr_tf.layers.sparse_kernel import SparseKernel
from dsr_tf.layers.sparse_part import SparsePart
from dsr_tf.layers.sparsified import Sparsified
from dsr_tf.layers.sparsified import plain_class
from dsr_tf.layers.tree import all_layers

# What layers of sparse classes hold besides.
_KNOWN = ("sparsity", "granularity", "seed", "kernel_units")
_UNKNOWN = ("_entries", "_parts", "_is_masked")


def unmask_weights(layer: Layer) -> None:
    """Makes all sparse weights of a layer plain, and those inside it, in place.

    Args:
        layer: The layer, or a model. Its zeros stay.
    """
    for inner in storing_blocks(layer):
        store_whole(inner)
    for inner, parts in _sparse_inside(layer):
        kind = type(inner)
        change_class(inner, plain_class(kind))
        names = _KNOWN if issubclass(kind, MaskedKernel) else _UNKNOWN
        for name in names:
            inner.__dict__.pop(name, None)
        for part in parts:
            drop(inner, part.kernel_mask)
            part.kernel.give_back()


@contextmanager
def looking_plain(layer: Layer) -> Iterator[None]:
    """Lets a layer load files of a plain one: its masks stay, out of sight.

    Args:
        layer: The layer, or a model.
    """
    changed = [(x, type(x), parts) for x, parts in _sparse_inside(layer)]
    for inner, kind, parts in changed:
        inner.__class__ = plain_class(kind)
        for part in parts:
            drop(inner, part.kernel_mask)
    try:
        with stored_whole(layer) as whole:
            yield
            loaded = [inner.kernel for inner in whole]
        for inner, kernel in zip(whole, loaded, strict=True):
            inner.assign_kernel(kernel)
    finally:
        for inner, kind, parts in changed:
            inner.__class__ = kind
            for part in parts:
                hold(inner, part.kernel_mask)


def _sparse_inside(layer: Layer) -> list[tuple[Any, list[SparseKernel]]]:
    """Returns the layers of sparse classes, with the kernels of each itself."""
    found: list[tuple[Any, list[SparseKernel]]] = []
    for inner in all_layers(layer):
        if isinstance(inner, MaskedKernel):
            found.append((inner, [SparsePart.of(inner)] if inner.built else []))
        elif isinstance(inner, Sparsified):
            found.append((inner, list(inner.sparse_parts)))
    return found
