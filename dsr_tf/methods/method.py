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
from dsr_tf.methods.plan import Plan
from dsr_tf.methods.plan import make_plan
from dsr_tf.methods.prune import Prune
from dsr_tf.methods.tensors import State
from dsr_tf.methods.tensors import Tensors
from dsr_tf.methods.tensors import compiled
from dsr_tf.methods.tensors import in_turn
from dsr_tf.methods.tensors import num_active

Grow = Callable[
    [Tensors, Sequence[int], Sequence[int], tf.Tensor], list[Growth]
]


@dataclass(frozen=True)
class Reallocation:
    """What one reallocation does to each tensor.

    Counts are of units: of weights, where nothing larger moves as one.

    Args:
        gone: Positions of what goes, ascending, int64, one tensor a tensor.
        growth: Positions and values of what comes.
        num_pruned: Units that went, one count a tensor.
        num_grown: Units that came, one count a tensor.
        unspent: Weights of the budget that no whole unit could take.
        state: What the method remembers for the next reallocation.
    """

    gone: list[tf.Tensor]
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
        gone, counts = self.propose(tensors, state)
        plan = self.plan(counts.numpy(), tensors.sizes, unspent)
        gone, growth = self.carry_out(tensors, gone, plan.moves, seed)
        return Reallocation(
            gone,
            growth,
            [n - p for n, p in zip(plan.pruned, plan.pardoned, strict=True)],
            plan.grown,
            plan.unspent,
            self.prune.next_state(state, sum(plan.pruned)),
        )

    def propose(
        self, tensors: Tensors, state: Mapping[str, Any]
    ) -> tuple[list[tf.Tensor], tf.Tensor]:
        """Begins a reallocation: also inside a `tf.function`.

        Args:
            tensors: Weights, 0 where inactive, and masks.
            state: As for `reallocate`, or scalar tensors, float64.

        Returns:
            Positions of what `prune` chooses, and the counts `plan` goes by:
            active, chosen and inactive units, and whether the weights are
            finite, shape `(number of tensors, 4)`, int64.
        """
        gone = self.prune(tensors, state)
        counts = in_turn(_tally, tensors.weights, tensors.masks, gone)
        return gone, tf.stack(counts)

    def plan(
        self, counts: np.ndarray, unit_sizes: Sequence[int], unspent: int = 0
    ) -> Plan:
        """Decides how many units go and come, on the host.

        Args:
            counts: What `propose` has counted.
            unit_sizes: Weights in a unit of each tensor.
            unspent: What the last reallocation left unspent.

        Raises:
            NonFiniteWeightError: If a weight is NaN or infinite.
            ValueError: If `allocate` grows more than was pruned.
        """
        active, chosen, inactive, finite = counts.T.tolist()
        if 0 in finite:
            raise NonFiniteWeightError(finite.index(0))
        return make_plan(
            self.allocate, active, chosen, inactive, unit_sizes, unspent
        )

    def carry_out(
        self,
        tensors: Tensors,
        gone: Sequence[tf.Tensor],
        moves: tf.Tensor,
        seed: tf.Tensor,
    ) -> tuple[list[tf.Tensor], list[Growth]]:
        """Ends a reallocation: also inside a `tf.function`.

        Args:
            tensors: As for `propose`.
            gone: What it returned.
            moves: `Plan.moves`.
            seed: Shape `(2,)`, int32; equal seeds, equal results.

        Returns:
            Positions of what goes, and what comes.
        """
        rescued, pardoned, inactive, grown = tf.unstack(moves)
        gone = [
            _corrected(weights, positions, rescued[i], pardoned[i])
            for i, (weights, positions) in enumerate(
                zip(tensors.weights, gone, strict=True)
            )
        ]
        if self.grow:
            return gone, self.grow(tensors, inactive, grown, seed)
        return gone, [Growth(tf.zeros([0], tf.int64))] * len(gone)

    def rewire(
        self, active: Tensors, masks: Sequence[tf.Tensor], seed: tf.Tensor
    ) -> tuple[list[tf.Tensor], list[Growth], tf.Tensor]:
        """Runs one reallocation inside a `tf.function`.

        For methods that remember nothing and move single weights, in every
        step: work follows the number of active weights, and only counts leave
        the graph.

        Args:
            active: The active weights alone, in order, under masks of ones.
            masks: The whole masks, shape `(n_l,)`, bool.
            seed: Shape `(2,)`, int32; equal seeds, equal results.

        Returns:
            Positions, among the active weights, of those that go; what comes;
            and how many weights come.
        """
        gone = self.prune(active, {})
        sizes = [tf.size(mask, tf.int64) for mask in active.masks]
        inactive = [
            tf.size(mask, tf.int64) - size
            for mask, size in zip(masks, sizes, strict=True)
        ]
        chosen = [tf.size(positions, tf.int64) for positions in gone]

        def planned(counts: np.ndarray) -> np.ndarray:
            sizes, chosen, inactive = counts.tolist()
            return make_plan(
                self.allocate, sizes, chosen, inactive, active.sizes
            ).moves

        counts = tf.stack([sizes, chosen, inactive])
        moves = tf.numpy_function(planned, [counts], tf.int64, stateful=False)
        moves.set_shape([4, len(masks)])
        whole = Tensors(active.weights, masks, active.unit_sizes)
        gone, growth = self.carry_out(whole, gone, moves, seed)
        return gone, growth, tf.reduce_sum(moves[3])


@compiled
def _tally(weights: tf.Tensor, mask: tf.Tensor, gone: tf.Tensor) -> tf.Tensor:
    active = num_active(mask)
    inactive = tf.size(mask, out_type=tf.int64) - active
    finite = tf.reduce_all(tf.math.is_finite(weights))
    chosen = tf.size(gone, out_type=tf.int64)
    return tf.stack([active, chosen, inactive, tf.cast(finite, tf.int64)])


@compiled
def _corrected(
    weights: tf.Tensor, gone: tf.Tensor, rescued: tf.Tensor, pardoned: tf.Tensor
) -> tf.Tensor:
    """Keeps the first where all would go, and those that are pardoned."""
    gone = gone[rescued:]
    return tf.cond(
        pardoned > 0,
        lambda: _without_largest(weights, gone, pardoned),
        lambda: gone,
    )


def _without_largest(
    weights: tf.Tensor, positions: tf.Tensor, count: tf.Tensor
) -> tf.Tensor:
    """Drops the positions of the largest weights, of ties the lower ones."""
    order = tf.argsort(
        tf.abs(tf.gather(weights, positions)),
        direction="DESCENDING",
        stable=True,
    )
    return tf.sort(tf.gather(positions, order[count:]))
