"""MEST: weights go by magnitude and gradient, fewer from time to time."""

from dataclasses import dataclass

from dsr_tf.checks import checked_fraction
from dsr_tf.checks import checked_switch
from dsr_tf.methods.allocate import what_it_lost
from dsr_tf.methods.grow import AtRandom
from dsr_tf.methods.method import Method
from dsr_tf.methods.prune import SmallestShare
from dsr_tf.methods.record import Record
from dsr_tf.methods.settings import number
from dsr_tf.methods.settings import switch
from dsr_tf.methods.shrinking import ShrinkAndReplace
from dsr_tf.schedules import ByShare

# Epochs 90 and 120 of 160.
_SHARES = (0.0, 0.5625, 0.75)
# Of the active weights; and of all weights, beyond the budget.
_REPLACED = (0.2, 0.1, 0.0)
_BEYOND = (0.05, 0.025, 0.0)


def mest(
    gradient_weight: float = 0.5,
    soft: bool = False,
    sparsity: float | None = None,
) -> Method:
    """Returns elastic mutation, of memory-economic sparse training.

    Units go by `|w| + gradient_weight * |gradient|`, and others grow at random
    in the same tensor: a fifth of the active weights, a tenth from 9/16 of the
    training on, and none from 3/4 on.

    With a soft memory bound (EM&S), a network begins with 5 % of all weights
    beyond its budget, has 2.5 % more from 9/16 of the training on, and is
    within the budget from 3/4 on. What is beyond it is replaced. The weights
    that go for good are the least important ones of all tensors together; the
    authors' scripts take as many of each.

    Args:
        gradient_weight: `lambda`, at least 0. The authors' scripts give none.
        soft: Whether the network begins denser.
        sparsity: With `soft`, the fraction of zeros at the end, in `[0, 1)`.

    Raises:
        ValueError: If an argument is out of its range, or one of `soft` and
            `sparsity` is given without the other.

    Reference:
        [Yuan et al., 2021](https://arxiv.org/abs/2110.14032); shares and steps
        by the scripts of its authors, for sparsities of .9 and .95.
    """
    if not checked_switch("soft", soft):
        if sparsity is not None:
            raise ValueError(
                "`sparsity` must be None without `soft`: the budget is then "
                f"that of the model. Received: soft=False, sparsity={sparsity}"
            )
        shares = _steps(_REPLACED)
        prune = SmallestShare(shares, gradient_weight)
        return Method(prune, what_it_lost, AtRandom())
    if sparsity is None:
        raise ValueError(
            "`sparsity` must be given with `soft`: it is that of the end. "
            "Received: soft=True, sparsity=None"
        )
    sparsity = checked_fraction("sparsity", sparsity)
    path = [max(0.0, sparsity - more) for more in _BEYOND]
    replaced = [1 - (1 - sparsity) / (1 - first) for first in path]
    return Method(
        ShrinkAndReplace(_steps(path), _steps(replaced), gradient_weight),
        what_it_lost,
        AtRandom(),
    )


def _steps(values: list[float] | tuple[float, ...]) -> ByShare:
    return ByShare(tuple(zip(_SHARES, values, strict=True)))


def first_sparsity(sparsity: float) -> float:
    """Returns the sparsity that a network with a soft bound begins with."""
    return max(0.0, sparsity - _BEYOND[0])


@dataclass(frozen=True)
class Settings:
    """The settings of `--method=mest`."""

    gradient_weight: float = number(
        0.5, "What a weight's gradient counts beside its magnitude."
    )
    soft: bool = switch(
        False, "Begin with 5 % of all weights more, and end in the budget."
    )


RECORD = Record(
    name="mest",
    help="elastic mutation: pruning by magnitude and gradient",
    label="MEST",
    settings=Settings,
    build=lambda own, sparsity: mest(
        own.gradient_weight, own.soft, sparsity if own.soft else None
    ),
    first_sparsity=lambda own, sparsity: (
        first_sparsity(sparsity) if own.soft else sparsity
    ),
)
