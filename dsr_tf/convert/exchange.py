"""Copies of a model in which some layers have other kernels."""

from collections.abc import Mapping
from collections.abc import Sequence

import keras
import numpy as np
from keras.layers import Layer

from dsr_tf.checks import checked_count
from dsr_tf.convert.clone import clone_with
from dsr_tf.graph.kinds import hashed_twin
from dsr_tf.graph.kinds import sparse_twin
from dsr_tf.graph.kinds import units_of
from dsr_tf.layers import HashedKernel
from dsr_tf.layers import MaskedKernel
from dsr_tf.layers import copy_weights
from dsr_tf.units import WEIGHT
from dsr_tf.units import Granularity
from dsr_tf.units import Units


def with_sparse_kernels(
    model: keras.Model,
    sparsities: Mapping[int, float],
    seeds: Mapping[int, int],
    granularity: Granularity = WEIGHT,
    keep_largest: bool = False,
) -> keras.Model:
    """Copies a model with some of its layers made sparse.

    Args:
        model: A built sequential or functional model.
        sparsities: Fraction of zeros of each layer to make sparse, by
            `id(layer)`.
        seeds: Seed of each first mask, by `id(layer)`.
        granularity: The unit that masks move, in layers that have it.
        keep_largest: Whether a kernel keeps its largest weights instead of
            weights drawn by the seed.

    Returns:
        A new model with the weights of `model`, under the masks.
    """

    def exchange(layer: Layer) -> Layer | None:
        if id(layer) not in sparsities:
            return None
        moved = units_of(layer, granularity).granularity
        key = id(layer)
        return sparse_twin(layer, sparsities[key], moved, seeds[key])

    def copy(old: Layer, new: Layer) -> None:
        if keep_largest and isinstance(new, MaskedKernel):
            kernel = keras.ops.convert_to_numpy(old.kernel)
            new.set_mask(_largest(new.kernel_units, kernel, new.num_active))
        copy_weights(old, new)

    return clone_with(model, exchange, copy)


def with_hashed_kernels(
    model: keras.Model,
    sparsities: Mapping[int, float],
    seeds: Mapping[int, int],
) -> keras.Model:
    """Copies a model with some of its layers hashed.

    Args:
        model: A built sequential or functional model.
        sparsities: Fraction of parameters saved in each layer to hash, by
            `id(layer)`.
        seeds: Seed of each map, by `id(layer)`.

    Returns:
        A new model. The bank of a hashed layer holds weights of the old
        kernel; all other weights are copied from `model`.
    """

    def exchange(layer: Layer) -> Layer | None:
        if id(layer) not in sparsities:
            return None
        return hashed_twin(layer, sparsities[id(layer)], seeds[id(layer)])

    return clone_with(model, exchange, _copy_hashed)


def layer_seeds(layers: Sequence[Layer], seed: int) -> dict[int, int]:
    """Draws a seed for each layer, by `id(layer)`.

    Args:
        layers: Distinct layers.
        seed: Non-negative integer.
    """
    sequence = np.random.SeedSequence(checked_count("seed", seed))
    seeds = sequence.generate_state(len(layers)).tolist()
    return {id(x): s for x, s in zip(layers, seeds, strict=True)}


def _copy_hashed(old: Layer, new: Layer) -> None:
    if not isinstance(new, HashedKernel):
        copy_weights(old, new)
        return
    new.sample_kernel(old.kernel)
    if old.bias is not None:
        new.bias.assign(old.bias)


def _largest(units: Units, kernel: np.ndarray, budget: int) -> np.ndarray:
    """Returns the mask of the largest units; ties go by lower index."""
    order = np.argsort(-units.magnitudes(kernel), kind="stable")
    mask = np.zeros(units.count, np.uint8)
    mask[order[: budget // units.size]] = 1
    return units.spread(mask)
