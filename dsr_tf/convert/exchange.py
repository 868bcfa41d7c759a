"""Copies of a model in which some layers have other kernels."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras.layers import Layer

from dsr_tf.checks import checked_count
from dsr_tf.convert.clone import clone_with
from dsr_tf.convert.clone import copy_all
from dsr_tf.graph.kinds import has_sparse_class
from dsr_tf.graph.kinds import hashed_twin
from dsr_tf.graph.kinds import sparse_twin
from dsr_tf.graph.places import places
from dsr_tf.graph.search import is_graph
from dsr_tf.layers import BlockKernel
from dsr_tf.layers import HashedKernel
from dsr_tf.layers import MaskedKernel
from dsr_tf.layers import copy_weights
from dsr_tf.layers.kernel_units import units_of
from dsr_tf.layers.sparse_part import Sparsity
from dsr_tf.layers.sparsified import mask_weights
from dsr_tf.layers.tree import all_layers
from dsr_tf.layers.tree import own_weights
from dsr_tf.units import Granularity

_SPARSE = (MaskedKernel, BlockKernel)


def with_sparse_kernels(
    model: keras.Model,
    made: Mapping[int, Sparsity],
    keep_largest: bool = False,
) -> keras.Model:
    """Copies a model with some of its kernels made sparse.

    Args:
        model: A built model.
        made: How each of these kernels is made sparse, by `id(kernel)`.
        keep_largest: Whether a kernel keeps its largest weights instead of
            weights drawn by the seed.

    Returns:
        A new model with the weights of `model`, under the masks.
    """

    def exchange(layer: Layer) -> Layer | None:
        if not has_sparse_class(layer) or id(layer.kernel) not in made:
            return None
        return sparse_twin(layer, made[id(layer.kernel)])

    def copy(old: Layer, new: Layer) -> None:
        if isinstance(new, _SPARSE) and has_sparse_class(old):
            if keep_largest:
                mask = _largest(old, old.kernel, made[id(old.kernel)])
                new.set_mask(mask)
            copy_weights(old, new)
            return
        copy_all(old, new)
        pairs = zip(old.weights, new.weights, strict=True)
        inside = {id(b): made[id(a)] for a, b in pairs if id(a) in made}
        _mask(new, inside, keep_largest)

    return clone_with(model, exchange, copy)


def make_sparse(
    model: keras.Model,
    made: Mapping[int, Sparsity],
    keep_largest: bool = False,
) -> keras.Model:
    """Makes some of a model's kernels sparse, in place.

    Args:
        model: A built model.
        made: How each of these kernels is made sparse, by `id(kernel)`.
        keep_largest: Whether a kernel keeps its largest weights instead of
            weights drawn by the seed.

    Returns:
        The model. Functions that Keras has compiled for it are made again.

    Raises:
        ValueError: If blocks are to be stored, and the model has an optimizer
            with slots already.
    """
    _check_optimizer(model, made)
    for layer in _holders(model):
        own = {id(x) for x in layer.weights}
        inside = {key: how for key, how in made.items() if key in own}
        _mask(layer, inside, keep_largest)
    model.train_function = model.test_function = model.predict_function = None
    return model


def _check_optimizer(model: Any, made: Mapping[int, Sparsity]) -> None:
    """Refuses an optimizer with slots for kernels that there will not be."""
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None or not optimizer.built:
        return
    if any(how.storage == "blocks" for how in made.values()):
        raise ValueError(
            "`model` must have an optimizer without slots where "
            "`storage='blocks'` and `in_place=True`: its slots are those of "
            "whole kernels. Call `model.compile` again, with a new optimizer. "
            f"Received: model '{model.name}', whose {type(optimizer).__name__} "
            "is built"
        )


def _holders(model: keras.Model) -> list[Layer]:
    """Returns the layers whose config must say what is sparse in them."""
    if not is_graph(model):
        return [model]
    free = [x.layer for x in places(model) if x.is_free]
    return [layer for layer in free if not is_graph(layer)]


def _mask(
    layer: Layer, made: Mapping[int, Sparsity], keep_largest: bool
) -> None:
    if not made:
        return
    masks = {
        id(kernel): _largest(inner, kernel, made[id(kernel)])
        for inner in all_layers(layer)
        for kernel in own_weights(inner)
        if keep_largest and id(kernel) in made
    }
    mask_weights(layer, made, masks)


def with_hashed_kernels(
    model: keras.Model,
    sparsities: Mapping[int, float],
    seeds: Mapping[int, int],
) -> keras.Model:
    """Copies a model with some of its layers hashed.

    Args:
        model: A built sequential or functional model.
        sparsities: Fraction of parameters saved in each layer to hash, by
            `id(kernel)`.
        seeds: Seed of each map, by `id(kernel)`.

    Returns:
        A new model. The bank of a hashed layer holds weights of the old
        kernel; all other weights are copied from `model`.
    """

    def exchange(layer: Layer) -> Layer | None:
        key = id(getattr(layer, "kernel", None))
        if key not in sparsities:
            return None
        return hashed_twin(layer, sparsities[key], seeds[key])

    return clone_with(model, exchange, _copy_hashed)


def kernel_seeds(
    kernels: Sequence[keras.Variable], seed: int
) -> dict[int, int]:
    """Draws a seed for each kernel, by `id(kernel)`.

    Args:
        kernels: Distinct kernels.
        seed: Non-negative integer.
    """
    sequence = np.random.SeedSequence(checked_count("seed", seed))
    seeds = sequence.generate_state(len(kernels)).tolist()
    return {id(x): s for x, s in zip(kernels, seeds, strict=True)}


def _copy_hashed(old: Layer, new: Layer) -> None:
    if not isinstance(new, HashedKernel) or isinstance(old, HashedKernel):
        copy_all(old, new)
        return
    new.sample_kernel(old.kernel)
    if old.bias is not None:
        new.bias.assign(old.bias)


def _largest(layer: Layer, kernel: Any, made: Sparsity) -> np.ndarray:
    """Returns the mask of the largest units; ties go by lower index."""
    units = units_of(layer, kernel, Granularity.of(made.granularity))
    values = keras.ops.convert_to_numpy(kernel)
    order = np.argsort(-units.magnitudes(values), kind="stable")
    mask = np.zeros(units.count, np.uint8)
    mask[order[: units.num_kept(made.sparsity) // units.size]] = 1
    return units.spread(mask)
