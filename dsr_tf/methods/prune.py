"""Which weights go. Tensors are flat; masks are bool, True active."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from dsr_tf.checks import checked_count
from dsr_tf.checks import checked_fraction
from dsr_tf.checks import checked_number
from dsr_tf.methods.tensors import State
from dsr_tf.methods.tensors import Tensors
from dsr_tf.methods.tensors import compiled
from dsr_tf.methods.tensors import in_turn
from dsr_tf.methods.tensors import num_active


class Prune:
    """Which weights go, and what it remembers between reallocations."""

    def initial_state(self) -> State:
        """Returns what it remembers before the first reallocation."""
        return {}

    def check(self, budget: int) -> None:
        """Raises a ValueError if it cannot serve this many active weights."""

    def __call__(
        self, tensors: Tensors, state: Mapping[str, Any]
    ) -> list[tf.Tensor]:
        """Returns the positions of what goes, ascending, int64.

        Inside a `tf.function` the state is of scalar tensors, float64.
        """
        raise NotImplementedError

    def next_state(self, state: Mapping[str, float], num_pruned: int) -> State:
        """Returns what it remembers after `num_pruned` weights were pruned."""
        return dict(state)


_SMALLEST, _LARGEST = 2.0**-126, 2.0**127
# Weights that are compared at a time, which takes several bytes for each.
_BLOCK = 2**20


def below_threshold(
    weights: tf.Tensor, mask: tf.Tensor, threshold: Any
) -> tf.Tensor:
    """Finds the active weights whose magnitude is below a threshold.

    Args:
        weights: Shape `(n,)`, any floating type.
        mask: Shape `(n,)`, bool.
        threshold: `H`. A weight with `|w| < H`, strictly, goes.

    Returns:
        Their positions, ascending, int64.
    """
    threshold = tf.convert_to_tensor(threshold, tf.float64)
    wide = weights.dtype if weights.dtype.size > 4 else tf.float32

    limit = tf.cast(threshold, wide)

    def below(start: int) -> tf.Tensor:
        return _below(weights, mask, limit, tf.constant(start, tf.int64))

    return tf.concat(in_turn(below, range(0, weights.shape[0], _BLOCK)), axis=0)


@compiled
def _below(
    weights: tf.Tensor, mask: tf.Tensor, limit: tf.Tensor, start: tf.Tensor
) -> tf.Tensor:
    """Finds those of the block that begins at `start`."""
    weights = tf.cast(weights[start : start + _BLOCK], limit.dtype)
    small = tf.abs(weights) < limit
    return tf.where(small & mask[start : start + _BLOCK])[:, 0] + start


def adapted_threshold(
    threshold: float, num_below: int, num_pruned: int, tolerance: float
) -> float:
    """Returns the threshold of the next reallocation.

    Doubled if fewer than `(1 - tolerance) * num_pruned` weights were pruned,
    halved if more than `(1 + tolerance) * num_pruned`, else as it was. It
    stays within the normal float32 numbers, also where the target is out of
    reach.

    Args:
        threshold: `H` of this reallocation.
        num_below: `sum(K_l)`, weights that it pruned.
        num_pruned: `N_p`, weights that it was to prune.
        tolerance: `delta`, a fraction.
    """
    if num_below < (1 - tolerance) * num_pruned:
        return min(threshold * 2, _LARGEST)
    if num_below > (1 + tolerance) * num_pruned:
        return max(threshold / 2, _SMALLEST)
    return threshold


@dataclass(frozen=True)
class AdaptiveThreshold(Prune):
    """Prunes below one threshold for all tensors, which adapts to a target.

    Args:
        num_pruned: `N_p`, number of weights to prune in a reallocation, at
            least 1.
        tolerance: `delta`, fraction of `num_pruned` by which the count may
            miss before the threshold moves, in `[0, 1)`.
        initial_threshold: `H` of the first reallocation, above 0.

    Raises:
        ValueError: If an argument is out of its range.

    Reference:
        [Mostafa & Wang, 2019](https://arxiv.org/abs/1902.05967), Algorithm 1.
    """

    num_pruned: int
    tolerance: float
    initial_threshold: float

    def __post_init__(self) -> None:
        checked_count("num_pruned", self.num_pruned, minimum=1)
        checked_fraction("tolerance", self.tolerance)
        checked_number("initial_threshold", self.initial_threshold, True)

    def initial_state(self) -> State:
        """Returns the first threshold."""
        return {"threshold": self.initial_threshold}

    def check(self, budget: int) -> None:
        """Refuses a target that the budget cannot serve."""
        if self.num_pruned >= budget:
            raise ValueError(
                "`num_pruned` must be smaller than the budget, the number of "
                "active weights of the model's sparse layers, or of slices "
                "where these move as one. "
                f"Received: num_pruned={self.num_pruned}, budget={budget}"
            )

    def __call__(
        self, tensors: Tensors, state: Mapping[str, Any]
    ) -> list[tf.Tensor]:
        thresholds = [state["threshold"]] * len(tensors.weights)
        return in_turn(
            below_threshold, tensors.weights, tensors.masks, thresholds
        )

    def next_state(self, state: Mapping[str, float], num_below: int) -> State:
        """Returns the threshold after `num_below` weights were pruned."""
        return {
            "threshold": adapted_threshold(
                state["threshold"], num_below, self.num_pruned, self.tolerance
            )
        }


@compiled
def smallest(
    weights: tf.Tensor, mask: tf.Tensor, count: tf.Tensor
) -> tf.Tensor:
    """Finds the smallest active weights.

    Args:
        weights: Shape `(n,)`, any floating type.
        mask: Shape `(n,)`, bool.
        count: How many, an int64 scalar from 0 to the number of ones in
            `mask`. Ties go by lower index.

    Returns:
        Their positions, shape `(count,)`, ascending, int64.
    """
    active = tf.where(mask)[:, 0]
    order = tf.argsort(tf.abs(tf.gather(weights, active)), stable=True)
    return tf.sort(tf.gather(active, order[:count]))


@dataclass(frozen=True)
class SmallestFraction(Prune):
    """Prunes the smallest weights of each tensor.

    Of `M` active weights `int(drop_fraction * M) + 1` go, but never more than
    the inactive positions could replace, and never all.

    Args:
        drop_fraction: Fraction of the active weights, in `[0, 1)`.

    Raises:
        ValueError: If `drop_fraction` is out of its range.

    Reference:
        [Mocanu et al., 2018](https://arxiv.org/abs/1707.04780); the count is
        that of [Mostafa & Wang, 2019](https://arxiv.org/abs/1902.05967), code.
    """

    drop_fraction: float

    def __post_init__(self) -> None:
        checked_fraction("drop_fraction", self.drop_fraction)

    def __call__(
        self, tensors: Tensors, state: Mapping[str, Any]
    ) -> list[tf.Tensor]:
        counts = [self._count(mask) for mask in tensors.masks]
        return in_turn(smallest, tensors.weights, tensors.masks, counts)

    def _count(self, mask: tf.Tensor) -> tf.Tensor:
        active = num_active(mask)
        fraction = tf.cast(self.drop_fraction, tf.float64)
        count = tf.cast(fraction * tf.cast(active, tf.float64), tf.int64) + 1
        inactive = tf.size(mask, out_type=tf.int64) - active
        return tf.minimum(count, tf.minimum(inactive, active - 1))
