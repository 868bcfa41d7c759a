"""Sparse momentum (SNFS): weights go where the momentum is large."""

from dataclasses import dataclass
from typing import Any

from dsr_tf.methods.allocate import InProportionToScores
from dsr_tf.methods.grow import ByScore
from dsr_tf.methods.method import Method
from dsr_tf.methods.prune import SmallestShare
from dsr_tf.methods.record import Record
from dsr_tf.methods.scores import MOMENTUM
from dsr_tf.methods.settings import scheduled_fraction
from dsr_tf.schedules import Cosine

DROP_FRACTION = Cosine(0.5, 0.005)


def sparse_momentum(drop_fraction: Any = DROP_FRACTION) -> Method:
    """Returns sparse momentum, "sparse networks from scratch".

    Tensors get back weights in proportion to the mean magnitude of the momentum
    of their active weights. They grow where that of inactive ones is largest.
    The momentum is a running mean of gradients with a decay of 0.9, whatever
    the optimizer is; the authors divide it by Adam's second moment, which this
    does not.

    Args:
        drop_fraction: Fraction of the active weights of each tensor that is
            pruned, in `[0, 1)`, or a schedule of it.

    Reference:
        [Dettmers & Zettlemoyer, 2019](https://arxiv.org/abs/1907.04840).
    """
    return Method(
        SmallestShare(drop_fraction),
        InProportionToScores(MOMENTUM),
        ByScore(MOMENTUM),
    )


@dataclass(frozen=True)
class Settings:
    """The settings of `--method=snfs`."""

    drop_fraction: Any = scheduled_fraction(
        DROP_FRACTION, "Fraction of the weights of each tensor that is pruned."
    )


RECORD = Record(
    name="snfs",
    help="sparse momentum, growth by running means of gradients",
    label="SNFS",
    settings=Settings,
    build=lambda settings, sparsity: sparse_momentum(settings.drop_fraction),
)
