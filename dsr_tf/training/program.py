"""A reallocation from variables to variables, compiled."""

import math
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace

import numpy as np
import tensorflow as tf

from dsr_tf.layers import SparseKernel
from dsr_tf.layers.slots import Slot
from dsr_tf.methods import Growth
from dsr_tf.methods import Method
from dsr_tf.methods.masked import MaskedContext
from dsr_tf.methods.method import Proposal
from dsr_tf.methods.method import check_finite
from dsr_tf.methods.method import num_pruned
from dsr_tf.methods.plan import Plan
from dsr_tf.training.ever_active import mark_grown
from dsr_tf.training.state import Arrays
from dsr_tf.training.storages import all_tensors
from dsr_tf.training.storages import apply_moves
from dsr_tf.training.storages import count_units
from dsr_tf.training.storages import storages


@dataclass(frozen=True)
class Done:
    """What a reallocation has done.

    Args:
        num_pruned: Units that the method chose.
        weights_grown: Weights that came.
        unspent: Weights of the budget that no whole unit could take.
    """

    num_pruned: int
    weights_grown: int
    unspent: int


class Program:
    """Runs a method on the variables of some layers and their optimizer.

    Where every tensor gets back what it lost that is one function, traced
    once, and a transfer each way. Where weights go from tensor to tensor it is
    two: between them the counts go to the host, and the plan comes back.

    Args:
        method: What to prune, how to allocate and where to grow.
        layers: Sparse layers, built.
        slots: Optimizer slots of each layer's kernel.
        arrays: What the method keeps for every unit, made by `begin`.
        names: Names of the numbers that the method reads.
        is_counted: Whether active units are counted afterwards, so that a
            method that breaks the budget is found.
        marks: Variables that say, of each layer, which units were ever active;
            none if nobody asks.
    """

    def __init__(
        self,
        method: Method,
        layers: Sequence[SparseKernel],
        slots: Sequence[Sequence[Slot]],
        arrays: Arrays,
        names: Sequence[str],
        is_counted: bool = True,
        marks: Sequence[tf.Variable] = (),
    ) -> None:
        self.is_counted = is_counted
        self.marks = marks
        self.method = method
        self.layers = layers
        self.stored = storages(
            layers, slots, [arrays.of(i) for i in range(len(layers))]
        )
        self.names = tuple(names)
        self._sizes = np.array([layer.unit_size for layer in layers])
        self._at_once = tf.function(self._run, autograph=False)
        self._begin = tf.function(self._propose, autograph=False)
        self._end = tf.function(
            self._carry_out,
            input_signature=[
                tf.TensorSpec([len(names) + 1], tf.float64),
                tf.TensorSpec([2], tf.int32),
                [tf.TensorSpec([None], tf.int64)] * len(layers),
                tf.TensorSpec([4, len(layers)], tf.int64),
                self._score_specs(),
            ],
            autograph=False,
        )
        self._packed: tuple[tuple[float, ...], tf.Tensor] | None = None

    def __call__(
        self,
        numbers: Mapping[str, float],
        num_steps: int | None,
        seed: tf.Tensor,
        unspent: int,
        growth_scores: Sequence[tf.Tensor] = (),
    ) -> Done:
        """Reallocates, and returns how many units went and came.

        Args:
            numbers: What the method reads, by the names given.
            num_steps: Optimizer steps of the whole training, or None.
            seed: Shape `(2,)`, int32: the seed and the optimizer step; equal
                seeds, equal results.
            unspent: What the last reallocation left unspent.
            growth_scores: A score for each weight, of the shape of each
                kernel, where the method asks for them.

        Raises:
            NonFiniteWeightError: If a weight is NaN or infinite; no mask has
                changed then.
        """
        packed, scores = self._pack(numbers, num_steps), list(growth_scores)
        if self.method.allocate is None:
            table, left = self._at_once(packed, seed, scores)
            table = table.numpy()
            counts, plan = table[:5], Plan(*table[5:])
            check_finite(counts)
            self._check_counts(counts, plan, left)
        else:
            counts, plan, unspent = self._in_two(packed, seed, unspent, scores)
        grown = np.asarray(plan.grown)
        return Done(
            num_pruned(counts, plan), int((grown * self._sizes).sum()), unspent
        )

    def _score_specs(self) -> list[tf.TensorSpec]:
        if self.method.scores is None:
            return []
        shapes = [layer.kernel_units.shape for layer in self.layers]
        return [tf.TensorSpec(shape, tf.float32) for shape in shapes]

    @property
    def num_traces(self) -> int:
        """How often its functions were traced."""
        functions = (self._at_once, self._begin, self._end)
        return sum(f.experimental_get_tracing_count() for f in functions)

    def _pack(
        self, numbers: Mapping[str, float], num_steps: int | None
    ) -> tf.Tensor:
        """Returns the numbers in one tensor: one transfer to the device."""
        length = math.nan if num_steps is None else float(num_steps)
        values = (*(float(numbers[name]) for name in self.names), length)
        known = self._packed
        # NaN is not equal to itself.
        if known is None or repr(known[0]) != repr(values):
            known = self._packed = (values, tf.constant(values, tf.float64))
        return known[1]

    def _in_two(
        self,
        packed: tf.Tensor,
        seed: tf.Tensor,
        unspent: int,
        scores: list[tf.Tensor],
    ) -> tuple[np.ndarray, Plan, int]:
        gone, counts, proportions = self._begin(packed, seed, scores)
        proposal = Proposal(gone, counts.numpy(), proportions.numpy())
        plan, unspent = self.method.plan_across(self._sizes, proposal, unspent)
        rows = tf.constant(np.stack(plan.rows))
        left = self._end(packed, seed, gone, rows, scores)
        self._check_counts(proposal.counts, plan, left)
        return proposal.counts, plan, unspent

    def _check_counts(
        self, counts: np.ndarray, plan: Plan, left: tf.Tensor
    ) -> None:
        """Refuses a method that has changed the number of active units."""
        if not self.is_counted:
            return
        gone = counts[1] - np.asarray(plan.exempt) - np.asarray(plan.spared)
        expected = counts[0] - gone + np.asarray(plan.grown)
        if (expected != left.numpy()).any():
            raise ValueError(
                "`prune` must return active positions, each once, and `grow` "
                "as many inactive ones as asked for, each once. Received: "
                f"{left.numpy().tolist()} active units of each layer after a "
                f"reallocation that was to leave {expected.tolist()}"
            )

    def _context(
        self,
        packed: tf.Tensor,
        seed: tf.Tensor,
        num_active: Sequence[tf.Tensor | None] = (),
        scores: Sequence[tf.Tensor | None] = (),
    ) -> MaskedContext:
        *numbers, num_steps = tf.unstack(packed, len(self.names) + 1)
        return MaskedContext(
            all_tensors(self.stored, num_active, scores),
            dict(zip(self.names, numbers, strict=True)),
            tf.cast(seed[1], tf.int64),
            num_steps,
            seed,
        )

    def _perturbed(
        self,
        packed: tf.Tensor,
        seed: tf.Tensor,
        scores: Sequence[tf.Tensor] = (),
    ) -> MaskedContext:
        """Returns the network, its weights changed where the method does so."""
        ctx = self._context(packed, seed, scores=scores)
        values = self.method.rule.perturb(ctx, seed)
        if values is None:
            return ctx
        changed = [
            one.assign_values(*row)
            for one, *row in zip(self.stored, ctx.tensors, values, strict=True)
        ]
        return replace(ctx, tensors=changed)

    def _run(
        self, packed: tf.Tensor, seed: tf.Tensor, scores: list[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        ctx = self._perturbed(packed, seed, scores)
        proposal = self.method.propose(ctx)
        plan = self.method.plan_within(proposal.counts)
        moves = self.method.carry_out(ctx, proposal.gone, plan, seed)
        table = tf.concat([proposal.counts, tf.stack(plan.rows)], axis=0)
        return table, self._apply(*moves)

    def _propose(
        self, packed: tf.Tensor, seed: tf.Tensor, scores: list[tf.Tensor]
    ) -> tuple[list[tf.Tensor], tf.Tensor, tf.Tensor]:
        proposal = self.method.propose(self._perturbed(packed, seed, scores))
        return proposal.gone, proposal.counts, proposal.proportions

    def _carry_out(
        self,
        packed: tf.Tensor,
        seed: tf.Tensor,
        gone: list[tf.Tensor],
        rows: tf.Tensor,
        scores: list[tf.Tensor],
    ) -> tf.Tensor:
        plan = Plan(*tf.unstack(rows))
        active = tf.unstack(plan.active, len(self.layers))
        ctx = self._context(packed, seed, active, scores)
        return self._apply(*self.method.carry_out(ctx, gone, plan, seed))

    def _apply(
        self, gone: Sequence[tf.Tensor], growth: Sequence[Growth]
    ) -> tf.Tensor:
        """Returns the active units of each layer, if they are counted."""
        apply_moves(self.stored, gone, growth)
        if self.marks:
            mark_grown(self.marks, growth)
        if not self.is_counted:
            return tf.zeros([0], tf.int64)
        return count_units(self.stored)
