"""The sparsity of each kernel of a model."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from dsr_tf.checks import checked_fraction
from dsr_tf.convert.select import Candidate
from dsr_tf.convert.select import matched
from dsr_tf.convert.shares import DISTRIBUTIONS
from dsr_tf.convert.shares import share_out
from dsr_tf.layers.kernel_units import units_of
from dsr_tf.layers.sparse_part import Sparsity
from dsr_tf.units import Granularity
from dsr_tf.units import Units

# Returns a score for each weight of some kernels of a model.
Scoring = Callable[[keras.Model, Sequence[keras.Variable]], Sequence[Any]]
# What arguments take.
Distribution = str | Mapping[Any, float] | Scoring
# Why a layer with kernels is none of those whose sparsity is given.
_LEFT_OUT = "left out by `include`, `exclude` or default"


def kernel_sparsities(
    model: keras.Model,
    chosen: Sequence[Candidate],
    sparsity: float | None,
    distribution: Distribution,
    granularity: Granularity,
) -> dict[int, float]:
    """Returns the fraction of zeros of each kernel, by `id(kernel)`.

    Args:
        model: The model.
        chosen: Its layers to make sparse.
        sparsity: Fraction of zeros over all kernels, as in `sparsify`.
        distribution: How the budget is split, as in `sparsify`.
        granularity: The unit that masks move.

    Raises:
        ValueError: If an argument is out of its range, or a pattern matches no
            layer, or a function returns what are no scores.
    """
    share: str | Sequence[np.ndarray]
    if isinstance(distribution, Mapping) and distribution:
        groups = _groups(model, chosen, sparsity, distribution)
        share = "uniform"
    elif isinstance(distribution, str) and distribution in DISTRIBUTIONS:
        groups = [(list(chosen), checked_fraction("sparsity", sparsity))]
        share = distribution
    elif callable(distribution):
        groups = [(list(chosen), checked_fraction("sparsity", sparsity))]
        share = _scores(distribution, model, chosen)
    else:
        raise ValueError(
            f"`distribution` must be one of {tuple(DISTRIBUTIONS)}, a mapping "
            "from patterns to sparsities, or a function that scores weights, "
            f"such as a `Balanced`. Received: distribution={distribution!r}"
        )
    found: dict[int, float] = {}
    for members, fraction in groups:
        kernels = kernel_units(members, granularity)
        counts = share_out(list(kernels.values()), fraction, share)
        for (key, units), count in zip(kernels.items(), counts, strict=True):
            # The fraction for which a mask has just so many ones.
            found[key] = 1 - count / units.num_weights
    return found


def kernel_units(
    chosen: Sequence[Candidate], granularity: Granularity
) -> dict[int, Units]:
    """Returns the units of each kernel, by `id(kernel)`, in order."""
    return {
        id(kernel): units_of(candidate.layer, kernel, granularity)
        for candidate in chosen
        for kernel in candidate.kernels
    }


def all_made(
    sparsities: Mapping[int, float],
    units: Mapping[int, Units],
    seeds: Mapping[int, int],
    stored: Mapping[int, str],
) -> dict[int, Sparsity]:
    """Returns how each kernel is made sparse, by `id(kernel)`.

    Args:
        sparsities: Fraction of zeros of each kernel to make sparse.
        units: Units of each kernel.
        seeds: Seed of the first mask of each.
        stored: How each is stored.
    """
    return {
        key: Sparsity(
            sparsity,
            str(units[key].granularity),
            seeds[key],
            stored[key],
        )
        for key, sparsity in sparsities.items()
    }


def _scores(
    scoring: Scoring, model: keras.Model, chosen: Sequence[Candidate]
) -> list[np.ndarray]:
    """Returns what a function says of each kernel, checked."""
    kernels = [kernel for candidate in chosen for kernel in candidate.kernels]
    found: Any = scoring(model, kernels)
    try:
        scores = [np.asarray(x, np.float32) for x in found]
    except (TypeError, ValueError):
        scores = []
    shapes = [tuple(kernel.shape) for kernel in kernels]
    # A NaN is not at least 0.
    valid = all(((x >= 0) & (x < np.inf)).all() for x in scores)
    if [x.shape for x in scores] != shapes or not valid:
        raise ValueError(
            "`distribution`, where it is a function, must return an array of "
            "finite scores, of at least 0, for each kernel, of its shape. "
            f"Received: distribution={scoring!r}, which returns {found!r:.200}"
        )
    return scores


def _groups(
    model: keras.Model,
    chosen: Sequence[Candidate],
    sparsity: float | None,
    distribution: Mapping[Any, float],
) -> list[tuple[list[Candidate], float]]:
    left = {id(x): x for x in chosen}
    groups = []
    for pattern, fraction in distribution.items():
        own = checked_fraction(f"distribution[{pattern!r}]", fraction)
        members = matched("distribution", pattern, chosen, model, _LEFT_OUT)
        taken = [x.layer.name for x in members if id(x) not in left]
        if taken:
            raise ValueError(
                "`distribution` must have at most one pattern for each layer. "
                f"Received: two patterns that match {taken}"
            )
        for member in members:
            del left[id(member)]
        groups.append((members, own))
    if left and sparsity is not None:
        rest = checked_fraction("sparsity", sparsity)
        groups.append((list(left.values()), rest))
    return groups
