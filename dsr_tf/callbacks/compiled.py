"""A reallocation from variables to variables, compiled."""

from collections.abc import Mapping
from collections.abc import Sequence

import tensorflow as tf

from dsr_tf.callbacks.kernels import apply_reallocation
from dsr_tf.callbacks.kernels import flat_tensors
from dsr_tf.callbacks.slots import Slot
from dsr_tf.layers import MaskedKernel
from dsr_tf.methods import Method
from dsr_tf.methods.plan import Plan


class CompiledReallocation:
    """Runs a method on the variables of some layers and their optimizer.

    Its two functions are traced once. Between them the counts of all tensors
    go to the host in one transfer, and the plan comes back in another.

    Args:
        method: What to prune, how to allocate and where to grow.
        layers: Sparse layers, built.
        slots: Optimizer slots of each layer's kernel.
    """

    def __init__(
        self,
        method: Method,
        layers: Sequence[MaskedKernel],
        slots: Sequence[Sequence[Slot]],
    ) -> None:
        self.method = method
        self.layers = layers
        self.slots = slots
        self._begin = tf.function(self._propose, autograph=False)
        self._end = tf.function(
            self._carry_out,
            input_signature=[
                [tf.TensorSpec([None], tf.int64)] * len(layers),
                tf.TensorSpec([4, len(layers)], tf.int64),
                tf.TensorSpec([2], tf.int32),
            ],
            autograph=False,
        )

    def __call__(
        self, state: Mapping[str, float], seed: tf.Tensor, unspent: int
    ) -> Plan:
        """Reallocates, and returns how many units went and came.

        Args:
            state: What the method remembers.
            seed: Shape `(2,)`, int32; equal seeds, equal results.
            unspent: What the last plan left unspent.

        Raises:
            NonFiniteWeightError: If a weight is NaN or infinite; nothing has
                changed then.
        """
        numbers = {
            name: tf.constant(number, tf.float64)
            for name, number in state.items()
        }
        gone, counts = self._begin(numbers)
        sizes = [layer.unit_size for layer in self.layers]
        plan = self.method.plan(counts.numpy(), sizes, unspent)
        self._end(gone, tf.constant(plan.moves), seed)
        return plan

    @property
    def num_traces(self) -> int:
        """How often its functions were traced: twice, one each."""
        functions = (self._begin, self._end)
        return sum(f.experimental_get_tracing_count() for f in functions)

    def _propose(
        self, state: dict[str, tf.Tensor]
    ) -> tuple[list[tf.Tensor], tf.Tensor]:
        return self.method.propose(flat_tensors(self.layers), state)

    def _carry_out(
        self, gone: list[tf.Tensor], moves: tf.Tensor, seed: tf.Tensor
    ) -> None:
        tensors = flat_tensors(self.layers)
        gone, growth = self.method.carry_out(tensors, gone, moves, seed)
        apply_reallocation(self.layers, self.slots, gone, growth)
