"""Makes networks sparse, with a mask seed of its own for each layer."""

from collections.abc import Mapping

import keras

from dsr_tf.convert.exchange import with_hashed_kernels
from dsr_tf.convert.exchange import with_sparse_kernels
from dsr_tf.convert.few_units import warn_of_few_units
from dsr_tf.convert.kernel_sparsities import Distribution
from dsr_tf.convert.kernel_sparsities import all_made
from dsr_tf.convert.kernel_sparsities import kernel_sparsities
from dsr_tf.convert.kernel_sparsities import kernel_units
from dsr_tf.convert.select import candidates
from dsr_tf.convert.small_blocks import warn_of_small_blocks
from dsr_tf.convert.stored import storages
from dsr_tf.units import Granularity
from dsr_tf.units import GranularityLike


def budgeted(
    model: keras.Model,
    mask_seeds: Mapping[str, int],
    sparsity: float | None,
    distribution: Distribution = "uniform",
    hashed: bool = False,
    granularity: GranularityLike = "weight",
    storage: str = "masks",
) -> keras.Model:
    """Makes a network of plain Keras layers sparse.

    Args:
        model: The network.
        mask_seeds: Seeds of the masks or maps of the layers to make sparse, by
            name.
        sparsity: Fraction of zeros, in `[0, 1)`; None returns the network
            itself.
        distribution: `"uniform"`: every kernel has this sparsity, rounded on
            its own. `"erk"`, or a function: as in `sparsify`.
        hashed: Whether kernels share values instead of holding zeros.
        granularity: What the masks move as one, as in `sparsify`.
        storage: How kernels are stored, as in `sparsify`.
    """
    moved = Granularity.of(granularity)
    if sparsity is None:
        return model
    chosen = [x for x in candidates(model) if x.layer.name in mask_seeds]
    warn_of_small_blocks(model, chosen, moved)
    units = kernel_units(chosen, moved)
    seeds = {id(x.kernels[0]): mask_seeds[x.layer.name] for x in chosen}
    if distribution == "uniform":
        sparsities = dict.fromkeys(seeds, sparsity)
    else:
        sparsities = kernel_sparsities(
            model, chosen, sparsity, distribution, moved
        )
    if hashed:
        return with_hashed_kernels(model, sparsities, seeds)
    warn_of_few_units(model, chosen, units, sparsities)
    stored = storages(model, chosen, units, sparsities, storage, moved)
    made = all_made(sparsities, units, seeds, stored)
    return with_sparse_kernels(model, made)
