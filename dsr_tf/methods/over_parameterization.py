"""In-time over-parameterization (ITOP): long periods, to the very end."""

from dataclasses import dataclass
from typing import Any

from dsr_tf.methods.allocate import what_it_lost
from dsr_tf.methods.grow import GROWTHS
from dsr_tf.methods.grow import growth_by_name
from dsr_tf.methods.method import Method
from dsr_tf.methods.prune import SmallestShare
from dsr_tf.methods.record import Record
from dsr_tf.methods.settings import choice
from dsr_tf.methods.settings import scheduled_fraction
from dsr_tf.schedules import Cosine

DROP_FRACTION = Cosine(0.5, 0.005)


def itop(
    drop_fraction: Any = DROP_FRACTION, growth: str = "gradient"
) -> Method:
    """Returns in-time over-parameterization.

    Args:
        drop_fraction: Fraction of the active weights of each tensor that is
            replaced, in `[0, 1)`, or a schedule of it.
        growth: `"gradient"`, as RigL, or `"random"`, as SET; or `"momentum"`.

    Reference:
        [Liu et al., 2021](https://arxiv.org/abs/2102.02887).
    """
    return Method(
        SmallestShare(drop_fraction), what_it_lost, growth_by_name(growth)
    )


@dataclass(frozen=True)
class Settings:
    """The settings of `--method=itop`."""

    drop_fraction: Any = scheduled_fraction(
        DROP_FRACTION,
        "Fraction of the weights of each tensor that is replaced.",
    )
    growth: str = choice("gradient", GROWTHS, "Where weights grow.")


RECORD = Record(
    name="itop",
    help="long periods between reallocations, so that weights have time",
    label="ITOP",
    settings=Settings,
    build=lambda settings, sparsity: itop(**vars(settings)),
    keeps_counts=True,
)
