"""Dynamic sparse reparameterization (DSR)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dsr_tf.checks import checked_count
from dsr_tf.checks import checked_fraction
from dsr_tf.checks import is_integer
from dsr_tf.methods.allocate import Allocate
from dsr_tf.methods.allocate import AtLeast
from dsr_tf.methods.allocate import in_proportion_to_survivors
from dsr_tf.methods.grow import GROWTHS
from dsr_tf.methods.grow import growth_by_name
from dsr_tf.methods.method import Method
from dsr_tf.methods.prune import AdaptiveThreshold
from dsr_tf.methods.prune import Prune
from dsr_tf.methods.record import Record
from dsr_tf.methods.settings import amount
from dsr_tf.methods.settings import choice
from dsr_tf.methods.settings import count
from dsr_tf.methods.settings import fraction
from dsr_tf.methods.settings import number
from dsr_tf.methods.smallest_of_all import SmallestOfAll
from dsr_tf.schedules import Schedule


def dsr(
    num_pruned: int | float | Mapping[int, float] | Schedule,
    tolerance: float = 0.1,
    initial_threshold: float | None = None,
    regrow_stddev: float = 0.0,
    growth: str = "random",
    min_inputs: int = 0,
) -> Method:
    """Returns dynamic sparse reparameterization.

    Args:
        num_pruned: `N_p`, how much to prune in a reallocation: a count of
            weights, an integer; or a share of all active weights, a float in
            `[0, 1)`, or a schedule of it.
        tolerance: `delta`, fraction of `num_pruned`, in `[0, 1)`. It is used
            with an initial threshold alone.
        initial_threshold: `H` of the first reallocation, above 0, which then
            adapts to a count. None to prune just so many: the threshold is
            found anew for each reallocation.
        regrow_stddev: Standard deviation of new weights, at least 0; 0 unless
            all positions are alike.
        growth: Where weights grow in a tensor: `"random"`, as in the paper, or
            by `"gradient"`, by `"momentum"`, or `"drawn"`.
        min_inputs: Weights for each output that every tensor gets before
            others get more; 0, as in the paper, for none.

    Reference:
        [Mostafa & Wang, 2019](https://arxiv.org/abs/1902.05967), Algorithm 1.
    """
    allocate: Allocate = in_proportion_to_survivors
    if checked_count("min_inputs", min_inputs):
        allocate = AtLeast(allocate, min_inputs)
    return Method(
        prune=_rule(num_pruned, tolerance, initial_threshold),
        allocate=allocate,
        grow=growth_by_name(growth, regrow_stddev),
    )


def _rule(
    amount: Any, tolerance: float, initial_threshold: float | None
) -> Prune:
    checked_fraction("tolerance", tolerance)
    if initial_threshold is None:
        return SmallestOfAll(amount)
    if not is_integer(amount):
        raise ValueError(
            "`num_pruned` must be a count, an integer, with an "
            "`initial_threshold`, which adapts to it. Received: "
            f"num_pruned={amount}, initial_threshold={initial_threshold}"
        )
    return AdaptiveThreshold(amount, tolerance, initial_threshold)


@dataclass(frozen=True)
class Settings:
    """The settings of `--method=dsr`."""

    num_pruned: Any = amount(
        0.05,
        "Number of weights, or of slices or blocks, to prune in a "
        "reallocation. Or a share of all active weights, such as 0.05, or a "
        "schedule of shares.",
    )
    tolerance: float = fraction(
        0.1,
        "With --initial_threshold, fraction of num_pruned by which the number "
        "of pruned weights may differ before the threshold changes.",
    )
    initial_threshold: float | None = number(
        None,
        "Threshold of the first reallocation; it then adapts to num_pruned. By "
        "default, and for shares, it is found anew each time.",
        above=True,
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


def _build(settings: Settings, sparsity: float) -> Method:
    own = dict(vars(settings))
    # Files that all experiments of a data set share have a first threshold.
    if not is_integer(settings.num_pruned):
        own["initial_threshold"] = None
    return dsr(**own)


RECORD = Record(
    name="dsr",
    help="dynamic sparse reparameterization",
    label="DSR",
    settings=Settings,
    build=_build,
    settles=True,
)
