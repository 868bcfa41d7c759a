"""Masks for weights that are there already, and layers that hold them."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextlib import nullcontext
from typing import Any

import keras
import numpy as np
from keras.layers import Layer

from dsr_tf.layers.kernel_mask import KernelMask
from dsr_tf.layers.kernel_units import units_of
from dsr_tf.layers.masked_variable import MaskedVariable
from dsr_tf.layers.name_scopes import open_name_scopes
from dsr_tf.layers.random_mask import first_mask
from dsr_tf.layers.sparse_classes import SPARSE_OF
from dsr_tf.layers.sparse_part import Sparsity
from dsr_tf.units import Granularity


def change_class(layer: Any, kind: type[Layer]) -> None:
    """Gives a built layer another class."""
    layer.__class__ = kind
    # Keras keeps that of the former class in the layer itself.
    layer.__dict__.pop("quantize", None)


def become_known(layer: Any, made: Sparsity, mask: np.ndarray | None) -> None:
    """Makes a layer one of the sparse class that there is of its own."""
    kernel = layer.kernel
    change_class(layer, SPARSE_OF[type(layer)])
    layer.sparsity, layer.granularity = made.sparsity, made.granularity
    layer.seed = made.seed
    add_mask(layer, kernel, "kernel_mask", made, mask)
    layer.kernel_units = kernel.mask.units


def add_mask(
    layer: Any,
    weight: keras.Variable,
    name: str,
    made: Sparsity,
    mask: np.ndarray | None,
) -> None:
    """Masks a weight, and gives its layer the mask."""
    if type(weight) is not keras.Variable:
        raise ValueError(
            "A weight to make sparse must be a `keras.Variable`. Received: "
            f"'{weight.path}' of class {type(weight).__name__}"
        )
    units = units_of(layer, weight, Granularity.of(made.granularity))
    if mask is None:
        mask = first_mask(units, made.sparsity, made.seed)
    scope, _, _ = weight.path.rpartition("/")
    strategy = getattr(weight.value, "distribute_strategy", None)
    where = strategy.scope() if strategy else nullcontext()
    with where, open_name_scopes(scope):
        kernel_mask = KernelMask(mask, units, name)
        MaskedVariable.take_over(weight, kernel_mask)
    hold(layer, kernel_mask)


def hold(layer: Any, mask: KernelMask) -> None:
    """Gives a layer a mask, by its name."""
    with unlocked(layer):
        setattr(layer, mask.name, mask)


def drop(layer: Any, mask: KernelMask) -> None:
    """Takes a mask from a layer.

    Private: `delattr` does so too, and collects garbage at each variable.
    """
    layer._untrack_variable(mask)
    layer.__dict__[mask.name] = None
    delattr(layer, mask.name)


@contextmanager
def unlocked(layer: Any) -> Iterator[None]:
    """Lets a built layer take a new variable.

    Private: nothing public lets it. Keras' own LoRA and quantization do so.
    """
    tracker = layer._tracker
    locked = tracker.locked
    tracker.unlock()
    try:
        yield
    finally:
        if locked:
            tracker.lock()
