"""Sparse evolutionary training (SET)."""

from dataclasses import dataclass
from typing import Any

from dsr_tf.methods.allocate import what_it_lost
from dsr_tf.methods.grow import AtRandom
from dsr_tf.methods.method import Method
from dsr_tf.methods.prune import SmallestFraction
from dsr_tf.methods.record import Record
from dsr_tf.methods.settings import scheduled_fraction


def set_method(drop_fraction: Any) -> Method:
    """Returns sparse evolutionary training.

    Args:
        drop_fraction: Fraction of the active weights of each tensor that is
            pruned in a reallocation, in `[0, 1)`, or a schedule of it.

    Reference:
        [Mocanu et al., 2018](https://arxiv.org/abs/1707.04780).
    """
    return Method(SmallestFraction(drop_fraction), what_it_lost, AtRandom())


@dataclass(frozen=True)
class Settings:
    """The settings of `--method=set`."""

    drop_fraction: Any = scheduled_fraction(
        0.1, "Fraction of the weights of each tensor that is replaced."
    )


RECORD = Record(
    name="set",
    help="sparse evolutionary training",
    label="SET",
    settings=Settings,
    build=lambda settings, sparsity: set_method(settings.drop_fraction),
    keeps_counts=True,
    settles=True,
)
