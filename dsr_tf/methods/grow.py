"""Chooses where units grow."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field

import tensorflow as tf

from dsr_tf.checks import checked_choice
from dsr_tf.checks import checked_kind
from dsr_tf.checks import checked_number
from dsr_tf.checks import keep
from dsr_tf.methods.context import Context
from dsr_tf.methods.context import SparseTensor
from dsr_tf.methods.sampling import drawn_inactive
from dsr_tf.methods.sampling import ones_at
from dsr_tf.methods.scores import GRADIENT
from dsr_tf.methods.scores import MOMENTUM
from dsr_tf.methods.scores import Scores
from dsr_tf.methods.tracing import fold
from dsr_tf.methods.tracing import host_numbers

# Number of a draw, for its seed.
_DRAWN = 5


@dataclass(frozen=True)
class Growth:
    """New units of one tensor.

    Args:
        positions: Positions of units that were inactive before pruning,
            distinct, shape `(k,)`, int64.
        values: Their weights, float32, or None if all are 0. The shape is
            `(k,)`; for units of `u` weights it is `(u * k,)`: the first weight
            of every unit, then the second, and so on.
        arrays: Arrays that the method keeps for them, by name, shape `(k,)`.
    """

    positions: tf.Tensor
    values: tf.Tensor | None = None
    arrays: Mapping[str, tf.Tensor] = field(default_factory=dict)


Grow = Callable[[Context, tf.Tensor, tf.Tensor], Sequence[Growth]]


@dataclass(frozen=True)
class AtRandom:
    """Grows units at positions drawn uniformly from the inactive ones.

    Args:
        stddev: Standard deviation of the new weights, at least 0. With 0, as in
            the paper's text, they are exactly 0; otherwise N(0, stddev²).

    Raises:
        ValueError: If `stddev` is negative or not finite.

    Reference:
        [Mostafa & Wang, 2019](https://arxiv.org/abs/1902.05967), Algorithm 1.
    """

    stddev: float = 0.0

    def __post_init__(self) -> None:
        keep(self, stddev=checked_number("stddev", self.stddev))

    def __call__(
        self, ctx: Context, counts: tf.Tensor, seed: tf.Tensor
    ) -> list[Growth]:
        """Draws positions and weights for every tensor.

        Args:
            ctx: The network before pruning. Units that are pruned in this
                reallocation are still active in it, so they do not grow again.
            counts: Units to grow in each tensor, shape `(L,)`, int64.
            seed: Shape `(2,)`, int32.

        Returns:
            One `Growth` for each tensor.
        """
        positions = ctx.random_inactive(counts, seed)
        if not self.stddev:
            return [Growth(row) for row in positions]
        counts = host_numbers(counts * ctx.unit_sizes)
        return [
            Growth(row, self.stddev * _normals(counts[i], seed, i))
            for i, row in enumerate(positions)
        ]


@dataclass(frozen=True)
class ByScore:
    """Grows the inactive units with the largest growth scores, at exactly 0.

    Ties go to the lower position.

    Args:
        scores: What scores units: `GRADIENT` or `MOMENTUM`.
    """

    scores: Scores = GRADIENT

    def __post_init__(self) -> None:
        checked_kind("scores", self.scores, Scores, "GRADIENT or MOMENTUM")

    def __call__(
        self, ctx: Context, counts: tf.Tensor, seed: tf.Tensor
    ) -> list[Growth]:
        """Chooses positions for every tensor.

        Args:
            ctx: The network before pruning, with growth scores.
            counts: Units to grow in each tensor, shape `(L,)`, int64.
            seed: Not used.

        Returns:
            One `Growth` for each tensor.
        """
        counts = host_numbers(counts)
        positions = map(_best_inactive, ctx.tensors, counts)
        return [Growth(row) for row in positions]


@dataclass(frozen=True)
class DrawnByScore(ByScore):
    """Grows inactive units that are drawn by their growth scores, at exactly 0.

    A unit is drawn with a probability in proportion to its score, without
    replacement. So the best grow most often, and others are tried too. Units
    of score 0 grow where the others are too few.

    Args:
        scores: What scores units: `GRADIENT` or `MOMENTUM`.
    """

    scores: Scores = MOMENTUM

    def __call__(
        self, ctx: Context, counts: tf.Tensor, seed: tf.Tensor
    ) -> list[Growth]:
        """Draws positions for every tensor.

        Args:
            ctx: The network before pruning, with growth scores.
            counts: Units to grow in each tensor, shape `(L,)`, int64.
            seed: Shape `(2,)`, int32.

        Returns:
            One `Growth` for each tensor.
        """
        own, counts = fold(seed, _DRAWN), host_numbers(counts)
        return [
            Growth(_drawn(tensor, counts[i], fold(own, i)))
            for i, tensor in enumerate(ctx.tensors)
        ]


GROWTHS = ("random", "gradient", "momentum", "drawn")


def growth_by_name(name: str, stddev: float = 0.0) -> Grow:
    """Returns the growth of a name.

    Args:
        name: `"random"`: all positions alike. `"gradient"` or `"momentum"`:
            where the magnitude of the gradient, or of its running mean, is
            largest. `"drawn"`: at random, in proportion to that of the running
            mean.
        stddev: Standard deviation of the new weights, at least 0; 0 unless
            they are at random.

    Raises:
        ValueError: If an argument is out of its range.
    """
    checked_choice("growth", name, GROWTHS)
    checked_number("regrow_stddev", stddev)
    if name == "random":
        return AtRandom(stddev)
    if stddev:
        raise ValueError(
            "`regrow_stddev` must be 0 unless growth='random': elsewhere new "
            "weights begin at 0, and follow the gradient. "
            f"Received: regrow_stddev={stddev}, growth={name!r}"
        )
    if name == "drawn":
        return DrawnByScore()
    return ByScore(GRADIENT if name == "gradient" else MOMENTUM)


def _drawn(
    tensor: SparseTensor, count: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    active = ones_at(tensor.positions, tensor.num_units)
    return drawn_inactive(tensor.growth_scores, active, count, seed)


def _best_inactive(tensor: SparseTensor, count: tf.Tensor) -> tf.Tensor:
    lowest = tf.fill(tf.shape(tensor.positions), -float("inf"))
    scores = tf.tensor_scatter_nd_update(
        tensor.growth_scores, tensor.positions[:, None], lowest
    )
    best = tf.math.top_k(scores, count).indices
    return tf.cast(best, tf.int64)


def _normals(count: tf.Tensor, seed: tf.Tensor, index: int) -> tf.Tensor:
    """Draws standard normals for tensor `index`."""
    own = fold(fold(seed, index), 1)
    return tf.random.stateless_normal([count], own, alg="auto_select")
