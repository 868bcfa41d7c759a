"""A kernel that knows the optimizers which train it."""

import warnings
from weakref import WeakSet

import keras

from dsr_tf.layers.appliers import innermost
from dsr_tf.layers.gradient_record import GradientRecord
from dsr_tf.layers.slots import Slot
from dsr_tf.layers.slots import slots_of


class TrainedVariable(keras.Variable):
    """What kernels of all storages have in common.

    Attributes:
        is_trusting: Whether what an optimizer leaves is taken as it is, where
            it would be masked otherwise.
        record: What keeps the gradient of all positions; None for nothing. It
            must be set before a training step is traced.
    """

    is_trusting = False
    record: GradientRecord | None = None
    _optimizers: WeakSet[keras.optimizers.Optimizer]

    def meet(self, optimizer: keras.optimizers.Optimizer) -> None:
        """Learns of an optimizer that trains the kernel."""
        self._optimizers.add(innermost(optimizer))

    def slots(self) -> list[Slot]:
        """Returns its slots in all optimizers that are known to train it."""
        found: list[Slot] = []
        for optimizer in self._optimizers:
            try:
                found += slots_of(optimizer).get(id(self), [])
            except ValueError as error:
                warnings.warn(
                    f"The slots of `{self.path}` keep what they hold at "
                    f"inactive positions: {error}",
                    stacklevel=2,
                )
        return found
