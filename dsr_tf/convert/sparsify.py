"""Any Keras model, made sparse."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras.layers import Layer

from dsr_tf.checks import checked_count
from dsr_tf.checks import checked_fraction
from dsr_tf.convert.clone import check_convertible
from dsr_tf.convert.clone import clone_with
from dsr_tf.convert.select import matched
from dsr_tf.convert.select import select
from dsr_tf.convert.shares import DISTRIBUTIONS
from dsr_tf.convert.shares import share_out
from dsr_tf.graph.kinds import sparse_twin
from dsr_tf.graph.kinds import units_of
from dsr_tf.layers import MaskedKernel
from dsr_tf.layers import copy_weights
from dsr_tf.units import Granularity
from dsr_tf.units import Units


def sparsify(
    model: keras.Model,
    sparsity: float | None = None,
    distribution: str | Mapping[Any, float] = "uniform",
    include: Any = None,
    exclude: Any = None,
    granularity: str = "weight",
    keep: str = "random",
    seed: int = 0,
) -> keras.Model:
    """Makes a sparse model of a Keras model.

    Dense, EinsumDense and Conv1D to Conv3D layers are replaced by their sparse
    kinds, wherever in the model they are; all others stay as they are. Names,
    dtype policies, weights, and what `compile` was given are carried over; the
    optimizer starts anew. The model itself is not changed.

    By default the first convolution behind each input and the 1×1 convolutions
    of residual shortcuts stay dense, as in the paper.

    Args:
        model: A built sequential or functional model. Layers of models nested
            in it are replaced too; those of wrappers and of subclassed models
            are not.
        sparsity: Fraction of zeros over all kernels made sparse together, in
            `[0, 1)`: they keep `int((1 - sparsity) * size + 0.1)` weights,
            exactly; to within a slice with `granularity="kernel"`.
        distribution: How these are shared out. `"uniform"`: equal density.
            `"erk"`: in proportion to the sum of a kernel's dimensions, so
            large kernels end sparser (Erdős–Rényi-kernel). A mapping from
            patterns, as in `include`, to sparsities: the layers a pattern
            matches share its budget at equal density, and those that none
            matches get `sparsity`, or stay dense where that is None.
        include: Layers to make sparse: a name, a glob such as `"block_*"`, a
            compiled regular expression, a class, a function from layer to
            bool, or a list of these. Also reaches what is left dense by
            default.
        exclude: Layers to leave as they are, given in the same ways.
        granularity: What masks of convolutions move as one: `"weight"` or
            `"kernel"`.
        keep: Which weights a kernel keeps: `"random"` ones, as in the paper,
            or those of largest `"magnitude"`, as of a trained model.
        seed: Non-negative integer: equal seeds, equal masks.

    Returns:
        A new model.

    Raises:
        ValueError: If an argument is out of its range, a pattern matches no
            layer, or the model cannot be converted.

    Example:
    >>> model = keras.applications.MobileNetV2(weights=None)
    >>> sparse = dsr_tf.sparsify(model, 0.9)

    Reference:
        [Mostafa & Wang, 2019](https://arxiv.org/abs/1902.05967);
        [Evci et al., 2020](https://arxiv.org/abs/1911.11134) for `"erk"`.
    """
    check_convertible(model)
    moves = Granularity.of(granularity)
    _check_choice("keep", keep, ("random", "magnitude"))
    chosen = select(model, include, exclude)
    budgets = _budgets(chosen, sparsity, distribution, moves)
    generator = np.random.SeedSequence(checked_count("seed", seed))
    seeds = generator.generate_state(len(chosen)).tolist()
    seed_of = {id(x): s for x, s in zip(chosen, seeds, strict=True)}

    def exchange(layer: Layer) -> Layer | None:
        if id(layer) not in budgets:
            return None
        units = units_of(layer, moves)
        # The fraction for which the first mask has just so many ones.
        zeros = 1 - budgets[id(layer)] / units.num_weights
        return sparse_twin(layer, zeros, units.granularity, seed_of[id(layer)])

    def copy(old: Layer, new: Layer) -> None:
        if keep == "magnitude" and isinstance(new, MaskedKernel):
            new.set_mask(
                _largest(new.kernel_units, old.kernel, budgets[id(old)])
            )
        copy_weights(old, new)

    return clone_with(model, exchange, copy)


def _budgets(
    layers: Sequence[Layer],
    sparsity: float | None,
    distribution: Any,
    granularity: Granularity,
) -> dict[int, int]:
    """Returns how many weights each layer keeps, by `id(layer)`."""
    if not isinstance(distribution, Mapping):
        _check_choice("distribution", distribution, tuple(DISTRIBUTIONS))
        groups = [(list(layers), checked_fraction("sparsity", sparsity))]
        share = distribution
    else:
        groups = _groups(layers, sparsity, distribution)
        share = "uniform"
    budgets: dict[int, int] = {}
    for members, fraction in groups:
        kernels = [units_of(layer, granularity) for layer in members]
        counts = share_out(kernels, fraction, share)
        ids = [id(layer) for layer in members]
        budgets |= dict(zip(ids, counts, strict=True))
    return budgets


def _groups(
    layers: Sequence[Layer],
    sparsity: float | None,
    distribution: Mapping[Any, float],
) -> list[tuple[list[Layer], float]]:
    left = {id(layer): layer for layer in layers}
    groups = []
    for pattern, fraction in distribution.items():
        checked_fraction(f"distribution[{pattern!r}]", fraction)
        members = matched("distribution", pattern, layers)
        taken = [layer.name for layer in members if id(layer) not in left]
        if taken:
            raise ValueError(
                "`distribution` must have one pattern at most for a layer. "
                f"Received: two that match {taken}"
            )
        for layer in members:
            del left[id(layer)]
        groups.append((members, fraction))
    if left and sparsity is not None:
        rest = checked_fraction("sparsity", sparsity)
        groups.append((list(left.values()), rest))
    return groups


def _largest(units: Units, kernel: Any, budget: int) -> np.ndarray:
    """Returns the mask of the largest units; ties go by lower index."""
    magnitudes = units.magnitudes(keras.ops.convert_to_numpy(kernel))
    mask = np.zeros(units.count, np.uint8)
    order = np.argsort(-magnitudes, kind="stable")
    mask[order[: budget // units.size]] = 1
    return units.spread(mask)


def _check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(
            f"`{name}` must be one of {choices}. Received: {name}={value!r}"
        )
