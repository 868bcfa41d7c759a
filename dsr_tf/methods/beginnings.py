"""What methods that prune for good say of the weights that they begin with."""

from collections.abc import Sequence

from dsr_tf.budget import num_kept
from dsr_tf.methods.context import Extent

# The share of the active weights that may go beyond the schedule unsaid: a
# budget that is rounded, or 0.45 in the place of 0.5.
_UNSAID = 0.1


def counts_at(extents: Sequence[Extent], sparsity: float) -> tuple[int, int]:
    """Returns the weights that there are, and those that a sparsity keeps."""
    active = sum(x.num_active * x.unit_size for x in extents)
    kept = (num_kept(x.num_units, sparsity) * x.unit_size for x in extents)
    return active, sum(kept)


def nothing_goes(active: int, target: int) -> str | None:
    """Says that a network begins with no more weights than it is to end with.

    Args:
        active: The weights that there are.
        target: Those at the end.
    """
    if active > target:
        return None
    return (
        f"no weight goes for good: the sparse layers begin with {active:,}, "
        f"and would be pruned to {target:,}. Make them with a lower sparsity"
    )


def many_go(
    extents: Sequence[Extent], sparsity: float, late: bool
) -> str | None:
    """Says that a network has far more weights than its schedule begins with.

    Args:
        extents: The tensors.
        sparsity: Where the schedule stands.
        late: Whether it has begun before these weights did.
    """
    active, kept = counts_at(extents, sparsity)
    least = sum(x.unit_size for x in extents)
    if active - kept <= max(_UNSAID * active, least):
        return None
    size = sum(x.num_units * x.unit_size for x in extents)
    remedy = "Make them with that sparsity"
    if late:
        remedy += (
            ", or compile the model again: steps and shares count from the "
            "optimizer's first step on"
        )
    return (
        f"the first reallocation prunes {active - kept:,} weights more than "
        f"the schedule means: the sparse layers hold {active:,}, a sparsity of "
        f"{1 - active / size:.3g}, where it has {kept:,}, one of "
        f"{sparsity:.3g}. {remedy}"
    )
