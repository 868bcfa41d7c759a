"""RigL: weights grow where the gradient of the loss is largest."""

from dataclasses import dataclass
from typing import Any

from dsr_tf.methods.allocate import what_it_lost
from dsr_tf.methods.grow import ByScore
from dsr_tf.methods.method import Method
from dsr_tf.methods.prune import SmallestShare
from dsr_tf.methods.record import Record
from dsr_tf.methods.settings import scheduled_fraction
from dsr_tf.schedules import Cosine


def rigl(drop_fraction: Any) -> Method:
    """Returns RigL.

    Args:
        drop_fraction: Fraction of the active weights of each tensor that is
            replaced, in `[0, 1)`, or a schedule of it.

    Reference:
        [Evci et al., 2020](https://arxiv.org/abs/1911.11134), Algorithm 1.
    """
    return Method(SmallestShare(drop_fraction), what_it_lost, ByScore())


@dataclass(frozen=True)
class Settings:
    """The settings of `--method=rigl`."""

    drop_fraction: Any = scheduled_fraction(
        Cosine(0.3, 0.0, 0.75),
        "Fraction of the weights of each tensor that is replaced.",
    )


RECORD = Record(
    name="rigl",
    help="growth by the gradients of all positions",
    label="RigL",
    settings=Settings,
    build=lambda settings, sparsity: rigl(settings.drop_fraction),
    keeps_counts=True,
)
