"""GraNet: gradual pruning that replaces weights on its way."""

from dataclasses import dataclass
from typing import Any

from dsr_tf.checks import checked_fraction
from dsr_tf.methods.allocate import what_it_lost
from dsr_tf.methods.grow import ByScore
from dsr_tf.methods.method import Method
from dsr_tf.methods.record import Record
from dsr_tf.methods.settings import fraction
from dsr_tf.methods.settings import scheduled_fraction
from dsr_tf.methods.settings import share
from dsr_tf.methods.shrinking import ShrinkAndReplace
from dsr_tf.schedules import Cosine
from dsr_tf.schedules import Cubic

DROP_FRACTION = Cosine(0.5, 0.005)


def granet(
    sparsity: float,
    initial_sparsity: float = 0.5,
    drop_fraction: Any = DROP_FRACTION,
    until: float = 0.5,
) -> Method:
    """Returns gradual pruning with zero-cost neuroregeneration.

    At each reallocation the smallest weights of all tensors go, down to the
    number that a cubic schedule allows. Then a fraction of each tensor is
    replaced by growth at the largest gradients. The authors' code lets what
    has just been pruned grow again; here it does not.

    Args:
        sparsity: Fraction of zeros at the end, in `[0, 1)`.
        initial_sparsity: Fraction of zeros at the beginning, at most
            `sparsity`.
        drop_fraction: Fraction of the active weights of each tensor that is
            replaced, in `[0, 1)`, or a schedule of it.
        until: Where the sparsity is reached: a share of the training, a float
            in `(0, 1]`, or an optimizer step, at least 2.

    Raises:
        ValueError: If an argument is out of its range.

    Reference:
        [Liu et al., 2021](https://arxiv.org/abs/2106.10404), Algorithm 1.
    """
    sparsity = checked_fraction("sparsity", sparsity)
    if checked_fraction("initial_sparsity", initial_sparsity) > sparsity:
        raise ValueError(
            "`initial_sparsity` must be at most `sparsity`. Received: "
            f"initial_sparsity={initial_sparsity}, sparsity={sparsity}"
        )
    path = Cubic(initial_sparsity, sparsity, until)
    return Method(
        ShrinkAndReplace(path, drop_fraction), what_it_lost, ByScore()
    )


@dataclass(frozen=True)
class Settings:
    """The settings of `--method=granet`."""

    initial_sparsity: float = fraction(
        0.5, "Fraction of zeros at the beginning."
    )
    drop_fraction: Any = scheduled_fraction(
        DROP_FRACTION,
        "Fraction of the weights of each tensor that is replaced.",
    )
    until: float = share(
        0.5, "Share of the training after which the sparsity is reached."
    )


def _first_sparsity(settings: Settings, sparsity: float) -> float:
    return min(settings.initial_sparsity, sparsity)


RECORD = Record(
    name="granet",
    help="gradual pruning that grows by gradients on its way",
    label="GraNet",
    settings=Settings,
    build=lambda own, sparsity: granet(
        sparsity, _first_sparsity(own, sparsity), own.drop_fraction, own.until
    ),
    first_sparsity=_first_sparsity,
)
