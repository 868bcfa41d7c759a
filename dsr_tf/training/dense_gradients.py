"""Growth scores from the gradients of all positions, active or not."""

import weakref
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import tensorflow as tf

from dsr_tf.layers import SparseKernel
from dsr_tf.layers.gradient_record import GradientRecord
from dsr_tf.methods.scores import Scores
from dsr_tf.training.steps import batches_a_step
from dsr_tf.training.targets import strategy_of


@dataclass(frozen=True)
class Held:
    """A variable of TensorFlow, held as Keras' variables hold theirs.

    Args:
        value: The variable.
    """

    value: tf.Variable


class Kept(tf.Module):
    """Variables that a checkpoint may know before they are made.

    Attributes:
        values: The variables.
    """

    def __init__(self) -> None:
        super().__init__()
        self.values: list[tf.Variable] = []

    def follow(self, variables: Sequence[tf.Variable]) -> None:
        """Holds these variables, and those that it holds already."""
        known = {id(variable) for variable in self.values}
        # To the list as it is: a checkpoint that was restored knows it.
        self.values.extend(x for x in variables if id(x) not in known)


class DenseGradients:
    """Lets the kernels of some layers keep the gradients of all positions.

    Args:
        layers: Sparse layers.
        optimizer: The optimizer that trains them.
        scores: How gradients are kept.

    Attributes:
        kept: What is kept, as checkpoints hold it.
    """

    def __init__(
        self,
        layers: Sequence[SparseKernel],
        optimizer: keras.optimizers.Optimizer,
        scores: Scores,
    ) -> None:
        self.scores = scores
        self.kept = Kept()
        self._layers = layers
        self._optimizer = optimizer
        self._records: list[GradientRecord] = []
        self._start: int | None = None

    @property
    def spans_batches(self) -> bool:
        """Whether what is kept may be needed after the batch is trained."""
        return self.scores.num_steps > 1 or batches_a_step(self._optimizer) > 1

    @property
    def start(self) -> int | None:
        """Optimizer steps after which gradients are kept; None for never."""
        return self._start

    def attach(self) -> bool:
        """Gives kernels their records, once layers are built.

        Returns:
            Whether training steps that were traced before must be traced anew.
        """
        strategy = strategy_of(self._layers)
        is_new = False
        records = []
        for layer in self._layers:
            kernel = layer.trained_kernel
            if kernel.record is None:
                kernel.record = GradientRecord(layer.kernel_shape, strategy)
            is_new |= kernel.record.serve(self._optimizer)
            kernel.record.reader = weakref.ref(self)
            records.append(kernel.record)
        self._records = records
        self.kept.follow([v for record in records for v in record.variables])
        return is_new

    def prepare(self, due: int | None, step: int) -> None:
        """Says when the next reallocation is due.

        Args:
            due: Optimizer steps after which it is due; None for never.
            step: Optimizer steps so far.
        """
        start = None if due is None else due - self.scores.num_steps
        self._start = start
        for record in filter(self._is_reader, self._records):
            record.keep_from(start, self.scores.decay)
            # What was kept is the beginning of what the next one needs, or of
            # no use any more.
            if start is None or start > step:
                record.release()

    def _is_reader(self, record: GradientRecord) -> bool:
        """Tells whether no other object has begun to read a record since."""
        return record.reader() is self

    def is_time(self, step: int | None) -> bool:
        """Tells whether gradients are to be kept.

        Args:
            step: The most steps that the optimizer will have taken after the
                ones in question; None where that is not known.
        """
        if self._start is None:
            return False
        return step is None or step > self._start

    def read(self, step: int) -> list[tf.Tensor]:
        """Returns what was kept: a float32 tensor of each kernel's shape.

        Args:
            step: Optimizer steps so far.

        Raises:
            ValueError: If nothing was kept of the last step, or another
                object reads what is kept.
        """
        others = [x for x in self._records if not self._is_reader(x)]
        if others:
            raise ValueError(
                "A sparse layer must have one `Reallocator` at a time whose "
                "method reads gradients of all positions. Call `begin()` of "
                "the one that is to go on. Received: another one, made or "
                f"begun later, for {len(others)} of {len(self._records)} layers"
            )
        if all(record.step != step - 1 for record in self._records):
            raise ValueError(
                "The last optimizer step must have been traced after the "
                "`Reallocator` was made, as this method needs the gradients "
                "of all positions; and a reallocation must have been due after "
                "it. Trace the training step again, for example by "
                "`tf.function(step)`. Received: no such gradient at optimizer "
                f"step {step}"
            )
        return [record.read() for record in self._records]
