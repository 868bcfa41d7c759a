"""Checks of the arguments that all networks have, before any is built."""

from collections.abc import Sequence
from typing import Any

from dsr_tf.checks import checked_choice
from dsr_tf.checks import checked_count
from dsr_tf.checks import checked_fraction
from dsr_tf.checks import checked_number
from dsr_tf.checks import checked_switch
from dsr_tf.checks import is_integer
from dsr_tf.convert.kernel_sparsities import Distribution
from dsr_tf.convert.shares import DISTRIBUTIONS
from dsr_tf.convert.stored import check_stored
from dsr_tf.units import WEIGHT
from dsr_tf.units import Granularity
from dsr_tf.units import GranularityLike


def check_network(
    input_shape: Sequence[int | None],
    num_classes: int,
    width: float,
    is_image: bool = False,
) -> None:
    """Refuses what no network can be built with.

    Args:
        input_shape: Lengths of the axes of an input, at least one axis.
        num_classes: Number of logits, at least 1.
        width: Factor of the channels, above 0.
        is_image: Whether the axes must be height, width and channels, the
            first two of which may be open, None.

    Raises:
        ValueError: If an argument is out of its range.
    """
    lengths = input_shape if isinstance(input_shape, list | tuple) else ()
    closed = [x for x in lengths[:2] if x is not None] if is_image else lengths
    rest = lengths[2:] if is_image else ()
    fits = len(lengths) == 3 if is_image else len(lengths) > 0
    if not fits or not all(map(_is_length, (*closed, *rest))):
        what = "height, width and channels" if is_image else "an input"
        raise ValueError(
            f"`input_shape` must be the shape of {what}, positive integers, "
            f"without the batch. Received: input_shape={input_shape!r}"
        )
    checked_count("num_classes", num_classes, minimum=1)
    checked_number("width", width, positive=True)


def check_budget(
    sparsity: float | None,
    distribution: Distribution,
    hashed: bool,
    granularity: GranularityLike = "weight",
    storage: str = "masks",
    group_lasso: float = 0.0,
) -> None:
    """Refuses budgets that no network can have.

    Args:
        sparsity: Fraction of zeros, in `[0, 1)`, or None.
        distribution: `"uniform"`, `"erk"` or a function.
        hashed: Whether kernels share values instead of holding zeros.
        granularity: What the masks move as one.
        storage: How kernels are stored, as in `sparsify`.
        group_lasso: Factor of the norms of the convolutions' slices.

    Raises:
        ValueError: If an argument is out of its range, hashed kernels are to
            move in units of several weights, or slices are to be emptied where
            blocks move.
    """
    if sparsity is not None:
        checked_fraction("sparsity", sparsity)
    if not callable(distribution):
        checked_choice("distribution", distribution, tuple(DISTRIBUTIONS))
    moved = Granularity.of(granularity)
    check_stored(storage, moved)
    if checked_switch("hashed", hashed) and moved != WEIGHT:
        raise ValueError(
            f"`granularity` must be '{WEIGHT}' where kernels are hashed: their "
            "positions share values, and no weight moves. "
            f"Received: granularity={granularity}"
        )
    if moved.block is not None and group_lasso:
        raise ValueError(
            "`group_lasso` must be 0 where blocks move: its groups are slices. "
            f"Received: group_lasso={group_lasso}, granularity={granularity!r}"
        )


def _is_length(value: Any) -> bool:
    return is_integer(value) and value > 0
