"""Networks that keep the largest weights of a trained one."""

import keras
import numpy as np

from dsr_tf.convert import sparsify
from dsr_tf.convert.kernel_sparsities import Distribution
from dsr_tf.layers import sparse_layers

# So small that it decides between weights that are 0 alone.
_TINY = 1e-30


def largest_kept(
    dense: keras.Model,
    model: keras.Model,
    sparsity: float,
    distribution: Distribution,
    granularity: str,
    storage: str,
    seed: int,
) -> keras.Model:
    """Returns a sparse network with masks over the largest weights.

    Of weights that are 0, as those that other masks have hidden, some are
    drawn, where the budget has room for them.

    Args:
        dense: The plain network, with the trained weights.
        model: The network with other masks: its layers become sparse.
        sparsity: As in `sparsify`.
        distribution: As in `sparsify`.
        granularity: As in `sparsify`.
        storage: As in `sparsify`.
        seed: Seed of the draw.
    """
    weights = dense.get_weights()
    rng = np.random.default_rng(seed)
    dense.set_weights([_ranked(weight, rng) for weight in weights])
    try:
        return sparsify(
            dense,
            sparsity,
            distribution,
            include=[layer.name for layer in sparse_layers(model)],
            granularity=granularity,
            keep="magnitude",
            seed=seed,
            storage=storage,
        )
    finally:
        dense.set_weights(weights)


def _ranked(weight: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if weight.ndim < 2 or not np.issubdtype(weight.dtype, np.floating):
        return weight
    drawn = (_TINY * (1 + rng.random(weight.shape))).astype(weight.dtype)
    return np.where(weight == 0, drawn, weight)
