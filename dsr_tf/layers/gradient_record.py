"""The gradient of a kernel at all of its positions, active or not."""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from dsr_tf.layers.compiled_by_xla import is_compiled_by_xla
from dsr_tf.layers.elastic import outside_of_graphs
from dsr_tf.layers.loops import around_loops
from dsr_tf.layers.loops import is_in_loop

_NEVER = 2**62


class GradientRecord:
    """Keeps the gradient of a kernel at all of its positions, in float32.

    A kernel that has a record gives it its gradients before they are masked.
    From an optimizer step on that the host sets, they are kept; in steps before
    that nothing is computed. What comes within one step is added up, from all
    uses of the kernel, all batches of the step and all replicas: that is what
    the optimizer would get of a dense kernel, but for clipping and for
    penalties that are 0 at 0.

    Args:
        shape: Shape of the kernel.
        strategy: Strategy that the kernel was made under.

    Attributes:
        is_off: Whether what is traced now is to keep no gradient.
        reader: A weak reference to the object that reads what is kept.
    """

    def __init__(
        self, shape: tuple[int, ...], strategy: tf.distribute.Strategy
    ) -> None:
        self.shape = tuple(shape)
        self._strategy = strategy
        self._optimizer: keras.optimizers.Optimizer | None = None
        self.is_off = False
        self.reader: Any = None
        # XLA has no variables of a changing shape.
        self._has_fixed_shape = False
        self._since = self._variable(_NEVER, tf.int64)
        self._decay = self._variable(0.0, tf.float32)
        # Of the last gradient that was kept: the step, and what losses were
        # multiplied by. Another one means that a step was not finite, and is
        # done again.
        self._step = self._variable(-1, tf.int64)
        self._scale = self._variable(1.0, tf.float32)
        self._sum = self._variable(
            [0.0],
            tf.float32,
            tf.VariableAggregation.SUM,
            tf.TensorShape(None),
        )

    def _variable(
        self,
        value: Any,
        dtype: tf.DType,
        aggregation: Any = tf.VariableAggregation.ONLY_FIRST_REPLICA,
        shape: tf.TensorShape | None = None,
    ) -> tf.Variable:
        def make() -> tf.Variable:
            with self._strategy.scope():
                return tf.Variable(
                    tf.constant(value, dtype),
                    shape=shape,
                    trainable=False,
                    aggregation=aggregation,
                    # Each replica keeps its own.
                    synchronization=tf.VariableSynchronization.ON_READ,
                )

        return outside_of_graphs(make)

    def serve(self, optimizer: keras.optimizers.Optimizer) -> bool:
        """Says which optimizer counts the steps, before one is traced.

        Returns:
            Whether it was another one until then, or none.
        """
        known, self._optimizer = self._optimizer, optimizer
        return known is not optimizer

    def keep_from(self, step: int | None, decay: float = 0.0) -> None:
        """Says from which step on gradients are kept.

        Args:
            step: Steps that the optimizer has taken before it; None to keep
                none.
            decay: What is kept is multiplied by it in each later step, and
                that step's gradient by `1 - decay`. With 0, the gradient of the
                last step remains.
        """
        self._since.assign(_NEVER if step is None else step)
        self._decay.assign(decay)
        # A checkpoint may have brought another one.
        if self._has_fixed_shape:
            self._give_shape()

    def _give_shape(self) -> None:
        """Gives what is kept the shape of the kernel, if it has another."""
        # What a checkpoint brought of earlier steps has it.
        if self.step < 0:
            self._sum.assign(tf.zeros(self.shape))

    def probes(self, read: Callable[[], Any]) -> list[tf.Tensor]:
        """Returns what carries gradients out of a loop or a branch.

        TensorFlow differentiates these in functions of their own, which may use
        no variable that the loop does not use: nothing can be kept there.

        Args:
            read: Reads the variable whose gradient is kept, around the loop: in
                mixed precision, what was read in it is a tensor of the loop.

        Returns:
            Zeros of the kernel's shape, float32, whose gradient is kept; where
            a kernel is read outside of loops and branches, nothing.
        """
        if self.is_off or not is_in_loop():
            return []

        @tf.custom_gradient
        def probe(kernel: tf.Tensor) -> tuple[tf.Tensor, Any]:
            def grad(upstream: tf.Tensor) -> tf.Tensor:
                self.keep(lambda: upstream)
                return tf.zeros_like(kernel)

            return tf.zeros(self.shape), grad

        with around_loops():
            return [probe(tf.convert_to_tensor(read()))]

    def gradients_of(
        self, probes: Sequence[tf.Tensor], gradient: Callable[[], tf.Tensor]
    ) -> list[tf.Tensor]:
        """Hands a gradient to the probes; keeps it at once if there are none.

        Args:
            probes: What `probes` returned.
            gradient: Returns the gradient of all positions.

        Returns:
            The gradients of the probes.
        """
        if not probes:
            self.keep(gradient)
        return [tf.cast(gradient(), tf.float32) for _ in probes]

    def keep(self, gradient: Callable[[], tf.Tensor]) -> None:
        """Keeps a gradient, if it is time to.

        Args:
            gradient: Returns it; called only then.
        """
        if self.is_off:
            return
        if is_compiled_by_xla() and not self._has_fixed_shape:
            self._has_fixed_shape = True
            outside_of_graphs(self._give_shape)
        optimizer: Any = self._optimizer
        step = tf.cast(tf.convert_to_tensor(optimizer.iterations), tf.int64)

        def add() -> tf.Tensor:
            scale = tf.cast(optimizer.scale_loss(tf.ones([])), tf.float32)
            inner = getattr(optimizer, "inner_optimizer", optimizer)
            batches = inner.gradient_accumulation_steps or 1
            new = tf.cast(gradient(), tf.float32) / (scale * batches)
            new = tf.where(tf.math.is_finite(new), new, 0.0)
            self._add(new, step, scale)
            return step

        tf.cond(step >= tf.identity(self._since), add, lambda: step)

    def _add(self, new: tf.Tensor, step: tf.Tensor, scale: tf.Tensor) -> None:
        last, decay = tf.identity(self._step), tf.identity(self._decay)
        is_next = (step != last) | (scale != tf.identity(self._scale))
        since = tf.maximum(tf.identity(self._since), 0)
        begins = (last < since) | (is_next & (decay == 0))
        new *= 1 - decay

        def added() -> tf.Tensor:
            old = tf.ensure_shape(tf.identity(self._sum), self.shape)
            return new + old * tf.where(is_next, decay, 1.0)

        self._sum.assign(tf.cond(begins, lambda: new, added))
        self._step.assign(step)
        self._scale.assign(scale)

    @property
    def variables(self) -> list[tf.Variable]:
        """What it keeps."""
        return [self._step, self._scale, self._sum]

    @property
    def step(self) -> int:
        """Steps before the last one whose gradient was kept; -1 for none."""
        return int(self._step.read_value())

    def read(self) -> tf.Tensor:
        """Returns what was kept, summed over replicas; zeros if nothing was."""
        if self.step < 0:
            return tf.zeros(self.shape)
        return self._sum.read_value()

    def release(self) -> None:
        """Forgets what was kept, and frees its memory."""
        self._step.assign(-1)
        if not self._has_fixed_shape:
            self._sum.assign(tf.zeros([1]))
