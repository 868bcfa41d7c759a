"""The kernel of a sparse layer: 0 wherever its mask is, whatever comes."""

from collections.abc import Sequence
from typing import Any
from weakref import WeakSet
from weakref import ref

import keras
import tensorflow as tf

from dsr_tf.layers.appliers import applying_optimizer
from dsr_tf.layers.appliers import average_of
from dsr_tf.layers.appliers import innermost
from dsr_tf.layers.appliers import keeps_zeros
from dsr_tf.layers.kernel_mask import KernelMask
from dsr_tf.layers.kernel_mask import is_symbolic
from dsr_tf.layers.masked_reading import masked
from dsr_tf.layers.masked_reading import masked_kernel
from dsr_tf.layers.masked_reading import readers
from dsr_tf.layers.penalty import MaskedPenalty
from dsr_tf.layers.slots import Slot
from dsr_tf.layers.trained_variable import TrainedVariable

# How far, relative to a weight, a constraint may move what obeys it already.
# Keras adds 1e-7 to the norms that it divides by.
_MARGINS = {
    "bfloat16": 2.0**-4,
    "float16": 2.0**-7,
    "float32": 2.0**-16,
    "float64": 2.0**-16,
}


class MaskedVariable(TrainedVariable):
    """A kernel that is 0 wherever its mask is, whatever is assigned to it.

    Its gradient is 0 there too, whatever operation it is given to.

    A kernel and its mask may be assigned in any order: what was assigned to
    the kernel outside its mask is remembered until the mask is assigned, or
    the kernel is trained.

    Args:
        mask: The mask that it obeys, of its shape.
        constraint: What it obeys besides, or None.
        **kwargs: Arguments of `keras.Variable`.
    """

    def __init__(
        self,
        mask: KernelMask,
        constraint: keras.constraints.Constraint | None = None,
        **kwargs: Any,
    ) -> None:
        self._begin(mask, constraint)
        super().__init__(**kwargs)
        mask.kernel = self

    def _begin(self, mask: KernelMask, constraint: Any) -> None:
        self.mask = mask
        self._own = constraint
        self._assigned: tf.Tensor | None = None
        self._restores = False
        self._optimizers: WeakSet[keras.optimizers.Optimizer] = WeakSet()
        self._trusted: Any = None

    @classmethod
    def take_over(cls, variable: keras.Variable, mask: KernelMask) -> None:
        """Makes a plain variable a masked one, in place.

        Its layer, its optimizers and its checkpoints hold what they held.

        Args:
            variable: The variable.
            mask: The mask that it is to obey, of its shape.
        """
        constraint, regularizer = variable.constraint, variable.regularizer
        variable.__class__ = cls
        variable._begin(mask, constraint)
        mask.kernel = variable
        variable.set_regularizer(regularizer)
        variable.assign(variable)

    def give_back(self) -> None:
        """Becomes a plain variable, in place; zeros stay."""
        own, regularizer = self._own, self._regularizer
        regularizer = getattr(regularizer, "given", regularizer)
        self.__class__ = keras.Variable
        # What `_begin` sets; the mask is as large as the kernel.
        for name in ("mask", "_own", "_assigned", "_restores", "_optimizers"):
            del self.__dict__[name]
        del self.__dict__["_trusted"]
        self.constraint, self.regularizer = own, regularizer

    def set_regularizer(self, regularizer: Any) -> None:
        """Sets the penalty, of what the mask leaves."""
        masked = regularizer and MaskedPenalty(regularizer)
        self.regularizer = masked

    @property
    def constraint(self) -> Any:
        """What optimizers are to apply after they have changed the kernel.

        None where that is not needed, because the optimizer is trusted.
        """
        optimizer = applying_optimizer()
        if optimizer is not None:
            self.meet(optimizer)
            # What was assigned before this step is of no use after it.
            self._assigned = None
            trusted = self._trusted and self._trusted() is optimizer
            if trusted and self._own is None:
                return None
        return MaskConstraint(self, optimizer)

    @constraint.setter
    def constraint(self, value: Any) -> None:
        self._own = keras.constraints.get(value)

    # All operations of TensorFlow and Keras read variables by it.
    def __tf_tensor__(self, dtype: Any = None, name: Any = None) -> tf.Tensor:
        others = readers()
        if others is not None and id(self) in others:
            # Private: how Keras casts what it reads of a variable.
            value = self._maybe_autocast(others[id(self)]())
            return tf.convert_to_tensor(value, dtype=dtype, name=name)
        kernel = super().__tf_tensor__(dtype, name)
        if others is not None:
            return kernel
        numbers = self.mask.numbers if self.is_trusting else None
        if numbers is None or numbers.dtype != kernel.dtype:
            mask = self.mask.value
        else:
            mask = tf.convert_to_tensor(numbers)
        record = self.record
        probes = record.probes(lambda: self.value) if record else []
        return masked_kernel(kernel, mask, record, probes)

    def assign(self, value: Any) -> Any:
        """Assigns values, under the constraint and the mask.

        Args:
            value: Array of the kernel's shape.

        Raises:
            ValueError: If the shape differs.
        """
        if self._restores:
            return super().assign(value)
        # An optimizer assigns the kernel to itself.
        is_own = value is self
        value = self.value if is_own else value
        tensor = keras.ops.convert_to_tensor(value, self.dtype)
        if tuple(tensor.shape) != tuple(self.shape):
            return super().assign(tensor)  # Which says what is wrong.
        kept = self._obedient(tensor) if is_own else self._settled(tensor)
        result = super().assign(kept)
        if not is_symbolic(kept):
            lost = not is_own and self._has_outside(tensor)
            self._assigned = tensor if lost else None
        return result

    def assign_masked(self, value: Any) -> None:
        """Assigns values that are 0 wherever the mask is."""
        if self._own is not None:
            value = self._settled(value)
        super().assign(value)

    def last_assigned(self) -> tf.Tensor:
        """Returns what was assigned last, without the mask, if it is known.

        That is the kernel itself, where it has changed since then.
        """
        given, self._assigned = self._assigned, None
        now = tf.identity(self.value)
        if given is None or tf.inside_function():
            return now
        kept = self._settled(given)
        equal = (now == kept) | ((now != now) & (kept != kept))  # NaN too.
        return given if tf.reduce_all(equal) else now

    def follow(
        self, kernel: tf.Tensor, before: tf.Tensor | None = None
    ) -> None:
        """Obeys a new mask.

        Slots begin anew where it is False; elsewhere they are clean, or hold
        what the same weight had. Averages begin with weights that come back.

        Args:
            kernel: Weights to take over, where the new mask is True.
            before: The mask before; None where a checkpoint is restored, which
                may have restored the averages already.
        """
        super().assign(self._settled(kernel))
        mask = self.mask.value
        stayed = mask if before is None else before & mask
        for slot in self.slots():
            average = slot.initial_value is None
            self._begin_anew(slot, ~(stayed if average else mask))

    def trust(self, optimizer: keras.optimizers.Optimizer | None) -> None:
        """Says that an optimizer gets masked gradients alone, on clean slots.

        What it leaves is then not masked again, if it keeps zeros.

        Args:
            optimizer: The optimizer, or None to trust none any more.
        """
        self._trusted = None
        if optimizer is None:
            return
        optimizer = innermost(optimizer)
        if keeps_zeros(optimizer, self.value.dtype.name):
            self._trusted = ref(optimizer)

    @property
    def is_trusting(self) -> bool:  # type: ignore[override]
        """Whether it trusts an optimizer."""
        return self._trusted is not None

    def clean(self, slots: Sequence[Slot]) -> None:
        """Sets kernel and slots back at inactive positions."""
        self.assign(self)
        for slot in slots:
            self._begin_anew(slot, ~self.mask.value)

    def bring_along(self, slots: Sequence[Slot], before: Any) -> None:
        """Sets slots back after weights were moved without them.

        Args:
            slots: Slots of the kernel.
            before: The mask that there was.
        """
        self.clean(slots)

    def has_outside(self) -> bool:
        """Tells whether it holds weights outside its mask."""
        return self._has_outside(tf.convert_to_tensor(self.value))

    def _has_outside(self, values: tf.Tensor) -> bool:
        return bool(tf.reduce_any((values != 0) & ~self.mask.value))

    def _obedient(self, value: tf.Tensor) -> tf.Tensor:
        value = masked(value, self.mask.value)
        if self._own is None:
            return value
        return masked(self._own(value), self.mask.value)

    def _settled(self, value: tf.Tensor) -> tf.Tensor:
        """Returns what obeys, and the value itself if it does so already.

        To apply a constraint twice can round otherwise: weights would not be
        loaded as they were saved.
        """
        value = masked(value, self.mask.value)
        if self._own is None:
            return value
        other = masked(self._own(value), self.mask.value)
        margin = _MARGINS[value.dtype.name] * tf.abs(value)
        obeys = tf.reduce_all(tf.abs(other - value) <= margin)
        return tf.where(obeys, value, other)

    def _begin_anew(self, slot: Slot, where: tf.Tensor) -> None:
        start = self.value if slot.initial_value is None else slot.initial_value
        old = slot.variable.value
        slot.variable.assign(tf.where(where, tf.cast(start, old.dtype), old))

    # Private, but all checkpoints of TensorFlow restore variables by it.
    def _restore_from_tensors(self, restored_tensors: Any) -> Any:
        # Of mirrored variables Keras assigns what is restored.
        self._restores = True
        try:
            done = super()._restore_from_tensors(restored_tensors)
        finally:
            self._restores = False
        self.assign(tf.identity(self.value))
        return done


def _read_first(name: str) -> Any:
    def operator(self: MaskedVariable, *others: Any) -> Any:
        return getattr(tf.convert_to_tensor(self), name)(*others)

    return operator


# Those of Keras read past the mask.
for _name in (
    *("__neg__", "__abs__", "__getitem__"),
    *("__add__", "__sub__", "__mul__", "__truediv__", "__matmul__", "__pow__"),
    *("__radd__", "__rsub__", "__rmul__", "__rtruediv__", "__rmatmul__"),
    *("__rpow__", "__mod__", "__rmod__", "__floordiv__", "__rfloordiv__"),
):
    setattr(MaskedVariable, _name, _read_first(_name))


class MaskConstraint(keras.constraints.Constraint):
    """Makes an optimizer assign a kernel to itself, which masks it.

    Keras applies constraints last, after momentum, weight decay and the
    overwriting with moving averages.

    Args:
        kernel: The kernel.
        optimizer: The optimizer, whose moving average is masked too, or None.
    """

    def __init__(
        self,
        kernel: MaskedVariable,
        optimizer: keras.optimizers.Optimizer | None = None,
    ) -> None:
        self.kernel = kernel
        self.optimizer = optimizer

    def __call__(self, w: Any) -> Any:
        if self.optimizer is not None:
            average = average_of(self.optimizer, self.kernel)
            if average is not None:
                # It was taken before the kernel is masked.
                average.assign(masked(average.value, self.kernel.mask.value))
        return w if w is self.kernel else self.kernel._obedient(w)
