"""A method of dynamic sparsity: a choice of prune, allocate and grow."""

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace

import numpy as np
import tensorflow as tf

from dsr_tf.checks import checked_function
from dsr_tf.methods.allocate import Allocate
from dsr_tf.methods.context import Context
from dsr_tf.methods.context import SparseTensor
from dsr_tf.methods.context import State
from dsr_tf.methods.grow import Grow
from dsr_tf.methods.grow import Growth
from dsr_tf.methods.plan import Plan
from dsr_tf.methods.plan import plan_across_tensors
from dsr_tf.methods.plan import plan_within_tensors
from dsr_tf.methods.prune import Prune
from dsr_tf.methods.prune import PruneFunction
from dsr_tf.methods.prune import Stateless
from dsr_tf.methods.returned import check_shares
from dsr_tf.methods.returned import checked_allocated
from dsr_tf.methods.returned import checked_grown
from dsr_tf.methods.returned import checked_pruned
from dsr_tf.methods.scores import Scores
from dsr_tf.methods.tracing import compiled
from dsr_tf.methods.tracing import host_numbers
from dsr_tf.methods.tracing import in_turn


class NonFiniteWeightError(FloatingPointError):
    """A weight is NaN or infinite.

    Args:
        index: Index of the first such tensor.
    """

    def __init__(self, index: int) -> None:
        super().__init__(f"tensor {index} holds a NaN or an infinite weight")
        self.index = index


@dataclass(frozen=True)
class Proposal:
    """The units that a method would prune, and the counts for a plan.

    Args:
        gone: Positions of the units to prune, one array for each tensor.
        counts: Shape `(5, L)`, int64. The rows are the active, chosen and
            inactive units, those of the chosen that are not replaced, and
            whether the weights are finite.
        proportions: Proportions in which tensors get back units, shape `(L,)`;
            None if each gets back as many as it lost.
    """

    gone: list[tf.Tensor]
    counts: tf.Tensor
    proportions: tf.Tensor | None


@dataclass(frozen=True)
class Moves:
    """The changes of one reallocation.

    Args:
        gone: Positions of the pruned units, ascending, int64, one array for
            each tensor.
        growth: Positions and values of the grown units.
        unspent: Weights of the budget that are too few for a whole unit.
        state: Numbers that the method remembers for the next reallocation.
    """

    gone: list[tf.Tensor]
    growth: Sequence[Growth]
    unspent: int
    state: State


@dataclass(frozen=True)
class Method:
    """Prunes, allocates and grows, and does not change the budget.

    The number of active weights over all tensors is the same before and after,
    unless `prune` says that some units are not replaced, or none grow. Every
    tensor keeps at least one unit. A pruned position does not grow again in
    the same reallocation. If a tensor has too few inactive positions to
    replace all chosen units, the largest of these are not pruned. If units of
    several weights move as one, less than one unit may stay unspent until the
    next reallocation.

    All three parts get a `Context`, compute with TensorFlow's operations, and
    are compiled. A part that reads growth scores has an attribute `scores`,
    such as `methods.scores.GRADIENT`.

    Args:
        prune: `prune(ctx)` returns the positions of the active units to prune,
            ascending. It is a `Prune`, or a function that remembers nothing.
        allocate: `allocate(ctx, pruned)` returns the proportions in which the
            tensors get back units. With None, `allocate.what_it_lost`, each
            tensor gets back as many as it lost.
        grow: `grow(ctx, counts, seed)` chooses the positions and values of the
            new units. With None, units are pruned and none are grown.

    Raises:
        ValueError: If a part is no function, or `allocate` is given without
            `grow`, or parts read different growth scores; where the parts are
            traced, if one returns what it may not.
    """

    prune: Prune | PruneFunction
    allocate: Allocate | None = None
    grow: Grow | None = None

    def __post_init__(self) -> None:
        checked_function("prune", self.prune)
        checked_function("allocate", self.allocate, optional=True)
        checked_function("grow", self.grow, optional=True)
        if self.allocate and not self.grow:
            raise ValueError(
                "`grow` must be given with `allocate`. "
                f"Received: allocate={self.allocate}, grow=None"
            )
        parts = (self.prune, self.allocate, self.grow)
        if any(
            getattr(x, "scores", None) not in (None, self.scores) for x in parts
        ):
            raise ValueError(
                "`prune`, `allocate` and `grow` must read the same growth "
                f"scores. Received: {parts}"
            )

    @property
    def rule(self) -> Prune:
        """The part that prunes, as a `Prune`."""
        if isinstance(self.prune, Prune):
            return self.prune
        return Stateless(self.prune)

    @property
    def keeps_counts(self) -> bool:
        """Whether every tensor keeps its number of active units."""
        return self.grow is not None and self.allocate is None

    @property
    def scores(self) -> Scores | None:
        """The growth scores that its parts read; None if they read none."""
        parts = (self.prune, self.allocate, self.grow)
        asked = [getattr(part, "scores", None) for part in parts]
        return next((x for x in asked if x is not None), None)

    def reallocate(
        self,
        ctx: Context,
        seed: tf.Tensor,
        unspent: int = 0,
        state: Mapping[str, float] | None = None,
    ) -> Moves:
        """Computes one reallocation. It changes nothing, but returns the moves.

        Args:
            ctx: The network.
            seed: Shape `(2,)`, int32. Equal seeds give equal results.
            unspent: Weights that the last reallocation left unspent.
            state: Numbers that the method remembers; `ctx.numbers` by default.

        Raises:
            NonFiniteWeightError: If a weight is NaN or infinite.
        """
        ctx = replace(ctx, seed=seed)
        proposal = self.propose(ctx)
        check_finite(proposal.counts.numpy())
        if proposal.proportions is None:
            plan = self.plan_within(proposal.counts)
        else:
            plan, unspent = self.plan_across(
                ctx.unit_sizes.numpy(), proposal, unspent
            )
        gone, growth = self.carry_out(ctx, proposal.gone, plan, seed)
        numbers = ctx.numbers if state is None else state
        pruned = num_pruned(proposal.counts.numpy(), plan)
        return Moves(
            gone, growth, unspent, self.rule.next_state(numbers, pruned)
        )

    def propose(self, ctx: Context) -> Proposal:
        """Begins a reallocation. It can run inside a `tf.function`."""
        pruned = checked_pruned(
            self.rule(ctx), len(ctx.tensors), self.grow is not None
        )
        gone = list(pruned.positions)
        chosen = tf.stack([tf.size(x, out_type=tf.int64) for x in gone])
        active = ctx.num_active
        finite = in_turn(lambda x: x.is_finite, ctx.tensors)
        counts = [
            *(active, chosen, ctx.num_inactive, pruned.removed),
            tf.cast(finite, tf.int64),
        ]
        proportions = None
        if self.allocate:
            exempt = tf.cast((active == chosen) & (chosen > 0), tf.int64)
            proportions = checked_allocated(
                self.allocate(ctx, chosen - exempt), len(ctx.tensors)
            )
        return Proposal(gone, tf.stack(counts), proportions)

    def plan_within(self, counts: tf.Tensor) -> Plan:
        """Plans on the device, if `allocate` is None.

        Args:
            counts: Counts of the proposal. If a weight is not finite, nothing
                moves.
        """
        active, chosen, inactive, removed, finite = tf.unstack(counts, 5)
        all_finite = tf.reduce_all(finite > 0)
        return plan_within_tensors(
            active, chosen, inactive, all_finite, removed
        )

    def plan_across(
        self,
        unit_sizes: Sequence[int] | np.ndarray,
        proposal: Proposal,
        unspent: int,
    ) -> tuple[Plan, int]:
        """Plans on the host, if `allocate` is given.

        Args:
            unit_sizes: Weights in a unit of each tensor.
            proposal: The proposal, with counts and proportions as arrays.
            unspent: Weights that the last reallocation left unspent.

        Returns:
            The plan, and the weights that it leaves unspent.

        Raises:
            NonFiniteWeightError: If a weight is NaN or infinite.
            ValueError: If a proportion is negative, NaN or infinite, or there
                is not one for each tensor.
        """
        proportions = np.asarray(proposal.proportions)
        check_shares(proportions.shape, len(unit_sizes))
        counts = np.asarray(proposal.counts)
        check_finite(counts)
        active, chosen, inactive, removed, _ = counts.tolist()
        return plan_across_tensors(
            proportions,
            active,
            chosen,
            inactive,
            [int(size) for size in unit_sizes],
            unspent,
            removed,
        )

    def carry_out(
        self,
        ctx: Context,
        gone: Sequence[tf.Tensor],
        plan: Plan,
        seed: tf.Tensor,
    ) -> tuple[list[tf.Tensor], Sequence[Growth]]:
        """Ends a reallocation. It can run inside a `tf.function`.

        Args:
            ctx: The network that `propose` got.
            gone: The positions of the proposal.
            plan: How many units to prune and to grow.
            seed: Shape `(2,)`, int32. Equal seeds give equal results.

        Returns:
            Positions of the pruned units, and the grown units.
        """
        kept = host_numbers(tf.stack([plan.exempt, plan.spared], axis=1))
        gone = list(map(_corrected, ctx.tensors, gone, kept))
        if self.grow:
            counts = tf.convert_to_tensor(plan.grown, tf.int64)
            after = replace(ctx, gone=gone)
            grown = checked_grown(self.grow(after, counts, seed), len(gone))
            return gone, grown
        return gone, [Growth(tf.zeros([0], tf.int64))] * len(gone)


def check_finite(counts: np.ndarray) -> None:
    """Raises a `NonFiniteWeightError` if the counts of a proposal say so."""
    finite = counts[4].tolist()
    if 0 in finite:
        raise NonFiniteWeightError(finite.index(0))


def num_pruned(counts: np.ndarray, plan: Plan) -> int:
    """Counts the units that a method chose, without the exempt ones."""
    return int(counts[1].sum() - np.asarray(plan.exempt).sum())


def _corrected(
    tensor: SparseTensor, gone: tf.Tensor, kept: tf.Tensor
) -> tf.Tensor:
    """Leaves out the exempt unit and the spared units of a tensor."""
    exempt, spared = tf.unstack(kept, 2)
    gone = gone[exempt:]
    return tf.cond(
        spared > 0,
        lambda: _without_largest(gone, tensor.magnitudes_at(gone), spared),
        lambda: gone,
    )


@compiled
def _without_largest(
    positions: tf.Tensor, magnitudes: tf.Tensor, count: tf.Tensor
) -> tf.Tensor:
    """Drops the positions of the largest weights; ties go to lower ones."""
    order = tf.argsort(magnitudes, direction="DESCENDING", stable=True)
    # Cut once it is int64: a GPU cuts int32, which the order is, on the host.
    return tf.sort(tf.gather(positions, order)[count:])
