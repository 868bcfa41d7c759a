"""The sparsity of each layer of a model."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from keras.layers import Layer

from dsr_tf.checks import checked_fraction
from dsr_tf.convert.select import matched
from dsr_tf.convert.shares import DISTRIBUTIONS
from dsr_tf.convert.shares import share_out
from dsr_tf.graph.kinds import units_of
from dsr_tf.units import Granularity


def layer_sparsities(
    layers: Sequence[Layer],
    sparsity: float | None,
    distribution: str | Mapping[Any, float],
    granularity: Granularity,
) -> dict[int, float]:
    """Returns the fraction of zeros of each layer, by `id(layer)`.

    Args:
        layers: Built layers of classes that have a sparse kind.
        sparsity: Fraction of zeros over all layers, as in `sparsify`.
        distribution: How the budget is split, as in `sparsify`.
        granularity: The unit that masks move.

    Raises:
        ValueError: If an argument is out of its range, or a pattern matches no
            layer.
    """
    if isinstance(distribution, Mapping) and distribution:
        groups = _groups(layers, sparsity, distribution)
        share = "uniform"
    elif isinstance(distribution, str) and distribution in DISTRIBUTIONS:
        groups = [(list(layers), checked_fraction("sparsity", sparsity))]
        share = distribution
    else:
        raise ValueError(
            f"`distribution` must be one of {tuple(DISTRIBUTIONS)}, or a "
            "mapping from patterns to sparsities. "
            f"Received: distribution={distribution!r}"
        )
    found: dict[int, float] = {}
    for members, fraction in groups:
        kernels = [units_of(layer, granularity) for layer in members]
        counts = share_out(kernels, fraction, share)
        for layer, units, count in zip(members, kernels, counts, strict=True):
            # The fraction for which a mask has just so many ones.
            found[id(layer)] = 1 - count / units.num_weights
    return found


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
                "`distribution` must have at most one pattern for each layer. "
                f"Received: two patterns that match {taken}"
            )
        for layer in members:
            del left[id(layer)]
        groups.append((members, fraction))
    if left and sparsity is not None:
        rest = checked_fraction("sparsity", sparsity)
        groups.append((list(left.values()), rest))
    return groups
