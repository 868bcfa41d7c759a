"""Where weights come back. Tensors are flat; masks are uint8, 1 active."""

from collections.abc import Sequence
from dataclasses import dataclass

import tensorflow as tf

from dsr_tf.checks import checked_number
from dsr_tf.methods.tensors import Tensors


@dataclass(frozen=True)
class Growth:
    """New weights of one tensor.

    Args:
        positions: Flat positions of units, distinct, shape `(k,)`, int64.
        values: Their weights, float32, or None where all are 0: shape `(k,)`,
            or, of units of `u` weights, `(u * k,)`, the first weight of every
            unit, then the second, and so on.
    """

    positions: tf.Tensor
    values: tf.Tensor | None = None


def random_inactive(
    mask: tf.Tensor, num_inactive: tf.Tensor, count: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    """Draws inactive positions uniformly, without replacement.

    Positions are drawn from the whole tensor, and those that are active or
    were drawn before are passed over: work and memory follow `count`, not the
    size of the tensor. Where that would take too many draws, because few
    positions are inactive or most of them are wanted, they are listed and
    shuffled.

    Args:
        mask: Shape `(n,)`, uint8.
        num_inactive: Number of zeros of `mask`, int64.
        count: Positions to draw, int64, at most `num_inactive`.
        seed: Shape `(2,)`, int32. Equal seeds, equal positions.

    Returns:
        Distinct positions where `mask` is 0, shape `(count,)`, int64.
    """
    size = tf.size(mask, out_type=tf.int64)
    few = num_inactive * 8 < size
    most = count * 2 > num_inactive
    return tf.cond(
        few | most,
        lambda: _by_listing(mask, count, seed),
        lambda: _by_rejection(mask, num_inactive, count, seed),
    )


def _by_listing(
    mask: tf.Tensor, count: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    inactive = tf.where(tf.equal(mask, 0))[:, 0]
    return tf.random.experimental.stateless_shuffle(inactive, seed)[:count]


def _by_rejection(
    mask: tf.Tensor, num_inactive: tf.Tensor, count: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    size = tf.size(mask, out_type=tf.int64)
    # One and a half times what is needed when none repeats: a second round
    # is rare.
    num_draws = count * size * 3 // (num_inactive * 2) + 16

    def draw(found: tf.Tensor, trial: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        drawn = tf.random.stateless_uniform(
            [num_draws],
            fold(seed, trial),
            maxval=size,
            dtype=tf.int64,
            alg="philox",
        )
        hits = tf.boolean_mask(drawn, tf.equal(tf.gather(mask, drawn), 0))
        return tf.unique(tf.concat([found, hits], axis=0))[0], trial + 1

    found, _ = tf.while_loop(
        lambda found, _: tf.size(found, out_type=tf.int64) < count,
        draw,
        [tf.zeros([0], tf.int64), tf.constant(0)],
        shape_invariants=[tf.TensorShape([None]), tf.TensorShape([])],
    )
    return found[:count]


@dataclass(frozen=True)
class AtRandom:
    """Grows weights at positions drawn uniformly from the inactive ones.

    Args:
        stddev: Standard deviation of the new weights, at least 0. With 0, the
            paper's text, they are exactly 0; otherwise N(0, stddev²).

    Raises:
        ValueError: If `stddev` is negative or not finite.

    Reference:
        [Mostafa & Wang, 2019](https://arxiv.org/abs/1902.05967), Algorithm 1.
    """

    stddev: float = 0.0

    def __post_init__(self) -> None:
        checked_number("regrow_stddev", self.stddev)

    def __call__(
        self,
        tensors: Tensors,
        num_inactive: Sequence[int],
        num_grown: Sequence[int],
        seed: tf.Tensor,
    ) -> list[Growth]:
        """Draws positions and weights for every tensor.

        Args:
            tensors: The network before pruning: what goes in this step stays
                active in its masks, and so cannot come back in it.
            num_inactive: Inactive positions of each tensor, a Python integer
                or an int64 scalar each.
            num_grown: Positions to draw in each tensor.
            seed: Shape `(2,)`, int32.

        Returns:
            One `Growth` a tensor.
        """
        rows = zip(
            tensors.masks, num_inactive, num_grown, tensors.sizes, strict=True
        )
        return [
            self._grow(*row, fold(seed, index))
            for index, row in enumerate(rows)
        ]

    def _grow(
        self,
        mask: tf.Tensor,
        inactive: int,
        count: int,
        size: int,
        seed: tf.Tensor,
    ) -> Growth:
        positions, noise = _draw(mask, inactive, count, size, seed)
        return Growth(positions, noise * self.stddev if self.stddev else None)


# Compiled once for tensors of every size.
@tf.function(
    input_signature=[
        tf.TensorSpec([None], tf.uint8),
        tf.TensorSpec([], tf.int64),
        tf.TensorSpec([], tf.int64),
        tf.TensorSpec([], tf.int64),
        tf.TensorSpec([2], tf.int32),
    ]
)
def _draw(
    mask: tf.Tensor,
    num_inactive: tf.Tensor,
    count: tf.Tensor,
    size: tf.Tensor,
    seed: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws positions, and `size` standard normals for each."""
    positions = random_inactive(mask, num_inactive, count, fold(seed, 0))
    noise = tf.random.stateless_normal(
        (count * size)[None], fold(seed, 1), alg="philox"
    )
    return positions, noise


def fold(seed: tf.Tensor, data: tf.Tensor | int) -> tf.Tensor:
    """Returns the seed of a part of what a seed stands for.

    Args:
        seed: Shape `(2,)`, int32.
        data: Number of the part, an integer.
    """
    return tf.random.experimental.stateless_fold_in(seed, data, alg="philox")
