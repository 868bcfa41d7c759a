"""Splits the number of pruned weights between tensors.

Each function gets the context and the number of pruned units of each tensor,
shape `(L,)`, int64. It returns proportions of the same shape: integers or
floats that are not negative. The library rounds them to counts that add up
exactly. If a tensor has no room for all its units, the others get the rest.
"""

from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

from dsr_tf.checks import checked_count
from dsr_tf.checks import checked_function
from dsr_tf.checks import checked_kind
from dsr_tf.checks import keep
from dsr_tf.methods.context import Context
from dsr_tf.methods.context import SparseTensor
from dsr_tf.methods.scores import Scores

Allocate = Callable[[Context, tf.Tensor], tf.Tensor]

# Every tensor gets back as many units as it lost. If it has no room for some of
# them, these are not pruned.
what_it_lost = None


def in_proportion_to_survivors(ctx: Context, pruned: tf.Tensor) -> tf.Tensor:
    """Gives every tensor its share of the weights that survived pruning.

    `G_l = round(R_l / sum(R) * sum(K))`, with `R_l` the survivors and `K_l`
    the pruned weights of tensor `l`, balanced so that `sum(G) = sum(K)`.

    Reference:
        [Mostafa & Wang, 2019](https://arxiv.org/abs/1902.05967), Algorithm 1.
    """
    return (ctx.num_active - pruned) * ctx.unit_sizes


@dataclass(frozen=True)
class InProportionToScores:
    """Gives tensors weights by the mean growth score of their active units.

    Args:
        scores: What scores units: `GRADIENT` or `MOMENTUM`.

    Reference:
        [Dettmers & Zettlemoyer, 2019](https://arxiv.org/abs/1907.04840).
    """

    scores: Scores

    def __post_init__(self) -> None:
        checked_kind("scores", self.scores, Scores, "GRADIENT or MOMENTUM")

    def __call__(self, ctx: Context, pruned: tf.Tensor) -> tf.Tensor:
        """Returns a mean for each tensor, shape `(L,)`, float64."""
        means = tf.stack([_mean_score(x) for x in ctx.tensors])
        # If no gradient came, all are 0, and so every tensor gets alike.
        return tf.where(tf.reduce_any(means > 0), means, tf.ones_like(means))


@dataclass(frozen=True)
class AtLeast:
    """Lets no tensor have fewer units than some inputs for each output.

    A tensor that would fall below `inputs` units for each of its outputs gets
    as many as it lacks. The rest is allocated as another rule says, among all
    tensors that it gives more than they lack. If what was pruned is too little
    for all, tensors get it in proportion to what they lack.

    The counts are exact where all that was pruned is replaced. A tensor stays
    below if it loses more than it has inactive positions, as what goes cannot
    come back at once. Which outputs the inputs are of is left to `grow`.

    Args:
        of: The other rule, such as `in_proportion_to_survivors`.
        inputs: Units for each output, at least 1. Inputs and outputs are those
            of `tensor.grid`.

    Raises:
        ValueError: If an argument is out of its range.
    """

    of: Allocate
    inputs: int = 1

    def __post_init__(self) -> None:
        checked_function("of", self.of)
        keep(self, inputs=checked_count("inputs", self.inputs, minimum=1))

    @property
    def scores(self) -> Scores | None:
        """The growth scores that the other rule reads, if it reads any."""
        return getattr(self.of, "scores", None)

    def __call__(self, ctx: Context, pruned: tf.Tensor) -> tf.Tensor:
        """Returns the weights that each tensor is to get, float64."""
        least = [
            min(self.inputs * x.grid.num_outputs, x.num_units)
            for x in ctx.tensors
        ]
        left = ctx.num_active - pruned
        lacking = tf.maximum(tf.constant(least, tf.int64) - left, 0)
        lacking = tf.minimum(lacking, ctx.num_inactive) * ctx.unit_sizes
        total = tf.reduce_sum(pruned * ctx.unit_sizes)
        shares = tf.cast(self.of(ctx, pruned), tf.float64)
        filled = _filled(
            tf.cast(total, tf.float64), tf.cast(lacking, tf.float64), shares
        )
        # What is no proportion is refused where all of them are.
        is_valid = tf.reduce_all(tf.math.is_finite(shares) & (shares >= 0))
        return tf.where(is_valid, filled, shares)


def _filled(
    total: tf.Tensor, lacking: tf.Tensor, shares: tf.Tensor
) -> tf.Tensor:
    """Returns `max(lacking, level * shares)`, with `total` as the sum.

    If `lacking` has a larger sum, it is returned.
    """
    # Those that lack most, measured by their shares, get what they lack. The
    # level is what is left then for each share of the others.
    order = tf.argsort(
        tf.where(lacking > 0, lacking / shares, 0.0), direction="DESCENDING"
    )
    own, rest = tf.gather(lacking, order), tf.gather(shares, order)
    left = total - tf.cumsum(own, exclusive=True)
    levels = tf.math.divide_no_nan(left, tf.cumsum(rest, reverse=True))
    lacks = tf.cast(own > levels * rest, tf.int64)
    count = tf.reduce_sum(tf.math.cumprod(lacks))
    level = tf.gather(tf.concat([levels, [0.0]], axis=0), count)
    return tf.maximum(lacking, tf.maximum(level, 0.0) * shares)


def _mean_score(tensor: SparseTensor) -> tf.Tensor:
    own = tf.gather(tensor.growth_scores, tensor.positions)
    return tf.reduce_mean(tf.cast(own, tf.float64))
