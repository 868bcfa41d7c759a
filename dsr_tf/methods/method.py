"""A method of dynamic sparsity: a choice of prune, allocate and grow."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass

import tensorflow as tf

from dsr_tf.methods.allocate import apportion
from dsr_tf.methods.grow import Growth
from dsr_tf.methods.prune import Prune
from dsr_tf.methods.tensors import State
from dsr_tf.methods.tensors import Tensors
from dsr_tf.methods.tensors import activate
from dsr_tf.methods.tensors import first_active
from dsr_tf.methods.tensors import largest_between
from dsr_tf.methods.tensors import num_ones

Allocate = Callable[[Sequence[int], Sequence[int], Sequence[int]], list[int]]
Grow = Callable[
    [Tensors, Sequence[int], Sequence[int], tf.Tensor], list[Growth]
]


@dataclass(frozen=True)
class Reallocation:
    """What one reallocation does to each tensor.

    Args:
        survivors: Masks of the weights that stay, shape `(n_l,)`, uint8.
        growth: Positions and values of the weights that come.
        num_pruned: Weights that went, one count a tensor.
        num_grown: Weights that came, one count a tensor.
        state: What the method remembers for the next reallocation.
    """

    survivors: list[tf.Tensor]
    growth: list[Growth]
    num_pruned: list[int]
    num_grown: list[int]
    state: State


class NonFiniteWeightError(FloatingPointError):
    """A weight is NaN or infinite.

    Args:
        index: Index of the first such tensor.
    """

    def __init__(self, index: int) -> None:
        super().__init__(f"tensor {index} holds a NaN or an infinite weight")
        self.index = index


@dataclass(frozen=True)
class Method:
    """Prunes, allocates and grows, under a budget that it conserves.

    The number of active weights over all tensors is the same before and
    after; every tensor keeps at least one; a position that is pruned does not
    come back in the same reallocation. Weights that no inactive position could
    replace, the largest first, are not pruned.

    Args:
        prune: Proposes which active weights go.
        allocate: Splits the count between tensors: survivors, pruned and
            capacity of each tensor in, grown weights of each out. What exceeds
            a tensor's capacity goes to the others.
        grow: Chooses positions, and values, of the new weights. Where it and
            `allocate` are None, weights go and none come.

    Raises:
        ValueError: If only one of `allocate` and `grow` is given.
    """

    prune: Prune
    allocate: Allocate | None = None
    grow: Grow | None = None

    def __post_init__(self) -> None:
        if (self.allocate is None) != (self.grow is None):
            raise ValueError(
                "`allocate` and `grow` must be given together, or neither. "
                f"Received: allocate={self.allocate}, grow={self.grow}"
            )

    def reallocate(
        self, tensors: Tensors, state: Mapping[str, float], seed: tf.Tensor
    ) -> Reallocation:
        """Runs one reallocation. Changes nothing: the result says what to do.

        Args:
            tensors: Weights, 0 where inactive, and masks.
            state: `prune.initial_state()`, or the state of the last result.
            seed: Shape `(2,)`, int32; equal seeds, equal results.

        Raises:
            NonFiniteWeightError: If a weight is NaN or infinite.
            ValueError: If `allocate` grows more than was pruned.
        """
        survivors = self.prune(tensors, state)
        active, kept = _counts(tensors, survivors)
        for i in range(len(kept)):
            if kept[i] == 0 and active[i] > 0:
                survivors[i] = first_active(tensors.masks[i])
                kept[i] = 1
        pruned = [a - k for a, k in zip(active, kept, strict=True)]
        state = self.prune.next_state(state, sum(pruned))

        inactive = [
            int(mask.shape[0]) - a
            for mask, a in zip(tensors.masks, active, strict=True)
        ]
        growth, grown = self._grown(tensors, kept, pruned, inactive, seed)
        if self.grow:
            survivors, pruned = _pardon(tensors, survivors, pruned, grown)
        return Reallocation(survivors, growth, pruned, grown, state)

    def _grown(
        self,
        tensors: Tensors,
        kept: list[int],
        pruned: list[int],
        inactive: list[int],
        seed: tf.Tensor,
    ) -> tuple[list[Growth], list[int]]:
        if not self.grow or not self.allocate:
            nothing = Growth(tf.zeros([0], tf.int64))
            return [nothing] * len(kept), [0] * len(kept)
        grown = _allocated(self.allocate, kept, pruned, inactive)
        return self.grow(tensors, inactive, grown, seed), grown


def _allocated(
    allocate: Allocate, kept: list[int], pruned: list[int], capacity: list[int]
) -> list[int]:
    wanted = allocate(kept, pruned, capacity)
    if min(wanted) < 0 or sum(wanted) > sum(pruned):
        raise ValueError(
            "`allocate` must return counts that add up to no more than was "
            f"pruned, {sum(pruned)}. Received: {wanted}"
        )
    return apportion(sum(wanted), wanted, capacity)


def _counts(
    tensors: Tensors, survivors: Sequence[tf.Tensor]
) -> tuple[list[int], list[int]]:
    """Counts active and surviving weights, with one transfer to the host."""
    counts = tf.stack(
        [
            _tally(*tensor)
            for tensor in zip(
                tensors.weights, tensors.masks, survivors, strict=True
            )
        ]
    )
    active, kept, finite = counts.numpy().T.tolist()
    if 0 in finite:
        raise NonFiniteWeightError(finite.index(0))
    return active, kept


@tf.function(reduce_retracing=True)
def _tally(
    weights: tf.Tensor, mask: tf.Tensor, survivors: tf.Tensor
) -> tf.Tensor:
    finite = tf.reduce_all(tf.math.is_finite(weights))
    return tf.stack(
        [num_ones(mask), num_ones(survivors), tf.cast(finite, tf.int64)]
    )


def _pardon(
    tensors: Tensors,
    survivors: list[tf.Tensor],
    num_pruned: list[int],
    num_grown: Sequence[int],
) -> tuple[list[tf.Tensor], list[int]]:
    """Takes back the prunings that growth could not replace."""
    surplus = sum(num_pruned) - sum(num_grown)
    if not surplus:
        return survivors, num_pruned
    pardoned = apportion(surplus, num_pruned, num_pruned)
    survivors = [
        activate(kept, largest_between(weights, mask, kept, count))
        for weights, mask, kept, count in zip(
            tensors.weights, tensors.masks, survivors, pardoned, strict=True
        )
    ]
    return survivors, [k - p for k, p in zip(num_pruned, pardoned, strict=True)]
