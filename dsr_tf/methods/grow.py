"""Where weights come back. Tensors are flat; masks are bool, True active."""

from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass

import tensorflow as tf

from dsr_tf.checks import checked_number
from dsr_tf.methods.tensors import Tensors
from dsr_tf.methods.tensors import compiled


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
        mask: Shape `(n,)`, bool.
        num_inactive: Number of inactive entries of `mask`, int64.
        count: Positions to draw, int64, at most `num_inactive`.
        seed: Shape `(2,)`, int32. Equal seeds, equal positions.

    Returns:
        Distinct positions where `mask` is False, shape `(count,)`, int64.
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
    inactive = tf.where(~mask)[:, 0]
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
            alg="auto_select",
        )
        hits = tf.boolean_mask(drawn, ~tf.gather(mask, drawn))
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
            num_inactive: Inactive positions of each tensor, int64.
            num_grown: Positions to draw in each tensor, int64.
            seed: Shape `(2,)`, int32.

        Returns:
            One `Growth` a tensor.
        """
        counts = tf.convert_to_tensor(num_grown, tf.int64)
        positions = _positions(
            tf.concat(tensors.masks, axis=0),
            tf.stack([tf.size(mask, tf.int64) for mask in tensors.masks]),
            tf.convert_to_tensor(num_inactive, tf.int64),
            counts,
            seed,
        )
        positions = tf.split(positions, counts, num=len(tensors.masks))
        if not self.stddev:
            return [Growth(row) for row in positions]
        counts = counts * tensors.sizes
        values = self.stddev * _normals(counts, seed)
        values = tf.split(values, counts, num=len(tensors.masks))
        return list(map(Growth, positions, values))


@compiled
def _positions(
    masks: tf.Tensor,
    sizes: tf.Tensor,
    num_inactive: tf.Tensor,
    counts: tf.Tensor,
    seed: tf.Tensor,
) -> tf.Tensor:
    """Draws the positions of all tensors, whose masks stand in a row."""
    ends = tf.cumsum(sizes)

    def draw(i: tf.Tensor) -> tf.Tensor:
        mask = masks[ends[i] - sizes[i] : ends[i]]
        own = fold(fold(seed, i), 0)
        return random_inactive(mask, num_inactive[i], counts[i], own)

    return _in_a_row(draw, tf.size(sizes), tf.int64)


@compiled
def _normals(counts: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Draws standard normals for all tensors."""

    def draw(i: tf.Tensor) -> tf.Tensor:
        own = fold(fold(seed, i), 1)
        return tf.random.stateless_normal(
            counts[i : i + 1], own, alg="auto_select"
        )

    return _in_a_row(draw, tf.size(counts), tf.float32)


def _in_a_row(
    draw: Callable[[tf.Tensor], tf.Tensor],
    num_tensors: tf.Tensor,
    dtype: tf.DType,
) -> tf.Tensor:
    """Joins what is drawn for each tensor; a graph holds the draw once."""
    drawn = tf.TensorArray(
        dtype, num_tensors, infer_shape=False, element_shape=[None]
    )
    _, drawn = tf.while_loop(
        lambda i, _: i < num_tensors,
        lambda i, drawn: (i + 1, drawn.write(i, draw(i))),
        (tf.constant(0), drawn),
    )
    return drawn.concat()


def fold(seed: tf.Tensor, data: tf.Tensor | int) -> tf.Tensor:
    """Returns the seed of a part of what a seed stands for.

    Args:
        seed: Shape `(2,)`, int32.
        data: Number of the part, an integer.
    """
    # Philox, on a CPU as on a GPU: named, it takes forty operations, not one.
    return tf.random.experimental.stateless_fold_in(
        seed, data, alg="auto_select"
    )
