"""A method of dynamic sparsity: a choice of prune, allocate and grow."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from dsr_tf.methods.grow import Growth
from dsr_tf.methods.plan import Allocate
from dsr_tf.methods.plan import make_plan
from dsr_tf.methods.prune import Prune
from dsr_tf.methods.tensors import State
from dsr_tf.methods.tensors import Tensors
from dsr_tf.methods.tensors import activate
from dsr_tf.methods.tensors import first_active
from dsr_tf.methods.tensors import largest_between
from dsr_tf.methods.tensors import num_ones

Grow = Callable[
    [Tensors, Sequence[int], Sequence[int], tf.Tensor], list[Growth]
]


@dataclass(frozen=True)
class Reallocation:
    """What one reallocation does to each tensor.

    Counts are of units: of weights, where nothing larger moves as one.

    Args:
        survivors: Masks of what stays, shape `(n_l,)`, uint8.
        growth: Positions and values of what comes.
        num_pruned: Units that went, one count a tensor.
        num_grown: Units that came, one count a tensor.
        unspent: Weights of the budget that no whole unit could take.
        state: What the method remembers for the next reallocation.
    """

    survivors: list[tf.Tensor]
    growth: list[Growth]
    num_pruned: list[int]
    num_grown: list[int]
    unspent: int
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
    replace, the largest first, are not pruned. Where units of several weights
    move as one, less than a unit may stay unspent until the next time.

    Args:
        prune: Proposes which active weights go.
        allocate: Splits the count between tensors: survivors, pruned and
            capacity of each tensor in, grown weights of each out, all counted
            in weights. What exceeds a tensor's capacity goes to the others.
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
        self,
        tensors: Tensors,
        state: Mapping[str, float],
        seed: tf.Tensor,
        unspent: int = 0,
    ) -> Reallocation:
        """Runs one reallocation. Changes nothing: the result says what to do.

        Args:
            tensors: Weights, 0 where inactive, and masks.
            state: `prune.initial_state()`, or the state of the last result.
            seed: Shape `(2,)`, int32; equal seeds, equal results.
            unspent: What the last result left unspent.

        Raises:
            NonFiniteWeightError: If a weight is NaN or infinite.
            ValueError: If `allocate` grows more than was pruned.
        """
        survivors = self.prune(tensors, state)
        counts = _counts(tensors, survivors)
        active, kept, inactive, finite = counts.numpy().T.tolist()
        if 0 in finite:
            raise NonFiniteWeightError(finite.index(0))
        plan = make_plan(
            self.allocate, active, kept, inactive, tensors.sizes, unspent
        )
        survivors = _corrected(tensors, survivors, plan.rescued, plan.pardoned)
        return Reallocation(
            survivors,
            self._grown(tensors, inactive, plan.grown, seed),
            [n - p for n, p in zip(plan.pruned, plan.pardoned, strict=True)],
            plan.grown,
            plan.unspent,
            self.prune.next_state(state, sum(plan.pruned)),
        )

    def rewire(
        self, active: Tensors, masks: Sequence[tf.Tensor], seed: tf.Tensor
    ) -> tuple[list[tf.Tensor], list[Growth], tf.Tensor]:
        """Runs one reallocation inside a `tf.function`.

        For methods that remember nothing and move single weights, in every
        step: work follows the number of active weights, and only counts leave
        the graph.

        Args:
            active: The active weights alone, in order, under masks of ones.
            masks: The whole masks, shape `(n_l,)`, uint8.
            seed: Shape `(2,)`, int32; equal seeds, equal results.

        Returns:
            Masks of those active weights that stay, what comes, and how many
            weights come.
        """
        survivors = self.prune(active, {})
        sizes = [tf.size(mask, tf.int64) for mask in active.masks]
        inactive = [
            tf.size(mask, tf.int64) - size
            for mask, size in zip(masks, sizes, strict=True)
        ]
        kept = [num_ones(mask) for mask in survivors]

        def planned(counts: np.ndarray) -> np.ndarray:
            sizes, kept, inactive = counts.tolist()
            plan = make_plan(
                self.allocate, sizes, kept, inactive, active.sizes, 0
            )
            return np.array([plan.rescued, plan.grown, plan.pardoned], np.int64)

        counts = tf.stack([sizes, kept, inactive])
        plan = tf.numpy_function(planned, [counts], tf.int64, stateful=False)
        plan.set_shape([3, len(masks)])
        rescued, grown, pardoned = (tf.unstack(row) for row in tf.unstack(plan))
        whole = Tensors(active.weights, masks, active.unit_sizes)
        return (
            _corrected(active, survivors, rescued, pardoned),
            self._grown(whole, inactive, grown, seed),
            tf.reduce_sum(plan[1]),
        )

    def _grown(
        self,
        tensors: Tensors,
        inactive: Sequence[Any],
        grown: Sequence[Any],
        seed: tf.Tensor,
    ) -> list[Growth]:
        if self.grow:
            return self.grow(tensors, inactive, grown, seed)
        return [Growth(tf.zeros([0], tf.int64))] * len(tensors.masks)


def _counts(tensors: Tensors, survivors: Sequence[tf.Tensor]) -> tf.Tensor:
    """Counts active, surviving and inactive units, and tells who is finite.

    Returns:
        Shape `(number of tensors, 4)`, int64: one transfer to the host.
    """
    triples = zip(tensors.weights, tensors.masks, survivors, strict=True)
    return tf.stack([_tally(*triple) for triple in triples])


@tf.function(reduce_retracing=True)
def _tally(
    weights: tf.Tensor, mask: tf.Tensor, survivors: tf.Tensor
) -> tf.Tensor:
    active = num_ones(mask)
    inactive = tf.size(mask, out_type=tf.int64) - active
    finite = tf.reduce_all(tf.math.is_finite(weights))
    return tf.stack(
        [active, num_ones(survivors), inactive, tf.cast(finite, tf.int64)]
    )


def _corrected(
    tensors: Tensors,
    survivors: Sequence[tf.Tensor],
    rescued: Sequence[Any],
    pardoned: Sequence[Any],
) -> list[tf.Tensor]:
    """Keeps one where all would go, and takes back what is pardoned."""
    rows = zip(
        tensors.weights,
        tensors.masks,
        survivors,
        rescued,
        pardoned,
        strict=True,
    )
    return [_correct(*row) for row in rows]


def _correct(
    weights: tf.Tensor,
    mask: tf.Tensor,
    kept: tf.Tensor,
    rescued: Any,
    pardoned: Any,
) -> tf.Tensor:
    kept = tf.cond(
        tf.cast(rescued, tf.bool), lambda: first_active(mask), lambda: kept
    )
    return tf.cond(
        tf.cast(pardoned, tf.bool),
        lambda: activate(kept, largest_between(weights, mask, kept, pardoned)),
        lambda: kept,
    )
