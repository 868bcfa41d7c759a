"""Dynamic sparse reparameterization (DSR)."""

from dataclasses import dataclass

from dsr_tf.checks import checked_count
from dsr_tf.methods.allocate import Allocate
from dsr_tf.methods.allocate import AtLeast
from dsr_tf.methods.allocate import in_proportion_to_survivors
from dsr_tf.methods.grow import GROWTHS
from dsr_tf.methods.grow import growth_by_name
from dsr_tf.methods.method import Method
from dsr_tf.methods.prune import AdaptiveThreshold
from dsr_tf.methods.record import Record
from dsr_tf.methods.settings import choice
from dsr_tf.methods.settings import count
from dsr_tf.methods.settings import fraction
from dsr_tf.methods.settings import number


def dsr(
    num_pruned: int,
    tolerance: float = 0.1,
    initial_threshold: float = 1e-3,
    regrow_stddev: float = 0.0,
    growth: str = "random",
    min_inputs: int = 0,
) -> Method:
    """Returns dynamic sparse reparameterization.

    Args:
        num_pruned: `N_p`, number of weights to prune in a reallocation.
        tolerance: `delta`, fraction of `num_pruned`, in `[0, 1)`.
        initial_threshold: `H` of the first reallocation, above 0.
        regrow_stddev: Standard deviation of new weights, at least 0; 0 unless
            they are at random.
        growth: Where weights grow in a tensor: `"random"`, as in the paper, or
            by `"gradient"` or `"momentum"`.
        min_inputs: Weights for each output that every tensor gets before
            others get more; 0, as in the paper, for none.

    Reference:
        [Mostafa & Wang, 2019](https://arxiv.org/abs/1902.05967), Algorithm 1.
    """
    allocate: Allocate = in_proportion_to_survivors
    if checked_count("min_inputs", min_inputs):
        allocate = AtLeast(allocate, min_inputs)
    return Method(
        prune=AdaptiveThreshold(num_pruned, tolerance, initial_threshold),
        allocate=allocate,
        grow=growth_by_name(growth, regrow_stddev),
    )


@dataclass(frozen=True)
class Settings:
    """The settings of `--method=dsr`."""

    num_pruned: int = count(
        150,
        "Number of weights, or of slices or blocks, to prune in a "
        "reallocation. The threshold adapts to it.",
    )
    tolerance: float = fraction(
        0.1,
        "Fraction of num_pruned by which the number of pruned weights may "
        "differ before the threshold changes.",
    )
    initial_threshold: float = number(
        1e-3, "Threshold of the first reallocation.", above=True
    )
    regrow_stddev: float = number(
        0.0, "Standard deviation of newly grown weights."
    )
    growth: str = choice("random", GROWTHS, "Where weights grow.")
    min_inputs: int = count(
        0,
        "Weights, or slices or blocks, for each output that every layer gets "
        "before others get more.",
        minimum=0,
    )


RECORD = Record(
    name="dsr",
    help="dynamic sparse reparameterization",
    label="DSR",
    settings=Settings,
    build=lambda settings, sparsity: dsr(**vars(settings)),
)
