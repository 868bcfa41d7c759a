"""Splits the number of pruned weights between tensors.

Each function gets the context and the number of pruned units of each tensor,
shape `(L,)`, int64. It returns proportions of the same shape: integers or
floats that are not negative. The library rounds them to counts that add up
exactly. If a tensor has no room for all its units, the others get the rest.
"""

from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

from dsr_tf.checks import checked_kind
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


def _mean_score(tensor: SparseTensor) -> tf.Tensor:
    own = tf.gather(tensor.growth_scores, tensor.positions)
    return tf.reduce_mean(tf.cast(own, tf.float64))
