"""The mask of a kernel, and what may be assigned to it."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dsr_tf.units import Units

# Weights of a kernel up to which its mask is kept as numbers, too: what that
# saves in a step is much for small kernels alone, and so is little memory.
_SMALL = 2**20


class KernelMask(keras.Variable):
    """A mask, bool. Its kernel, and the slots of that, follow it.

    Args:
        mask: First value, of the shape of the kernel.
        units: The units that it moves.
        name: Its name.

    Attributes:
        numbers: The same mask as ones and zeros, for the gradients of a small
            kernel; None where nobody asked for it.
    """

    def __init__(
        self, mask: np.ndarray, units: Units, name: str = "kernel_mask"
    ) -> None:
        self.units = units
        # Set by the kernel.
        self.kernel: Any = None
        self.numbers: tf.Variable | None = None
        self._restores = False
        super().__init__(
            lambda shape, dtype: tf.convert_to_tensor(mask, dtype),
            shape=mask.shape,
            # Not uint8: TensorFlow cannot send that from worker to worker.
            dtype="bool",
            trainable=False,
            autocast=False,
            aggregation="only_first_replica",
            name=name,
        )

    def assign(self, value: Any) -> Any:
        """Replaces the mask.

        Weights that become inactive are set to 0. Slots begin anew at all
        positions that are, or were, inactive.

        Args:
            value: Array of the kernel's shape, of zeros and ones; equal
                throughout each unit.

        Raises:
            ValueError: If the shape differs, there are other values, all are
                zeros, or a unit is masked in part.
        """
        if self.kernel is None or self._restores:
            return self._assign(value)
        if not is_symbolic(value):
            value = checked_mask(value, self.units)
        before, kernel = tf.identity(self.value), self.kernel.last_assigned()
        mask = self._assign(value)
        self.kernel.follow(kernel, before)
        return mask

    def assign_alone(self, value: Any) -> None:
        """Replaces the mask, where the caller sees to kernel and slots."""
        self._assign(value)

    def _assign(self, value: Any) -> Any:
        done = super().assign(value)
        self.renew_numbers()
        return done

    def keep_numbers(self) -> None:
        """Keeps the mask as float32 too, if the kernel is small."""
        if self.numbers is None and self.value.shape.num_elements() <= _SMALL:
            numbers = tf.cast(self.value, tf.float32)
            self.numbers = tf.Variable(numbers, trainable=False)
        self.renew_numbers()

    def renew_numbers(self) -> None:
        """Takes over a mask that was assigned past this object."""
        if self.numbers is not None:
            self.numbers.assign(tf.cast(self.value, self.numbers.dtype))

    # Private, but all checkpoints of TensorFlow restore variables by it.
    def _restore_from_tensors(self, restored_tensors: Any) -> Any:
        if self.kernel is None:
            return super()._restore_from_tensors(restored_tensors)
        kernel = self.kernel.last_assigned()
        # Of mirrored variables Keras assigns what is restored.
        self._restores = True
        try:
            done = super()._restore_from_tensors(restored_tensors)
        finally:
            self._restores = False
        self.kernel.follow(kernel)
        return done


def checked_mask(mask: Any, units: Units) -> np.ndarray:
    """Returns a mask as bool, if it is one.

    Args:
        mask: Array of the kernel's shape, of zeros and ones; equal throughout
            each unit.
        units: The units of the kernel.

    Raises:
        ValueError: If it is not.
    """
    mask = keras.ops.convert_to_numpy(mask)
    if mask.shape != units.shape:
        raise ValueError(
            f"`mask` must have the kernel's shape {units.shape}. "
            f"Received: mask.shape={mask.shape}"
        )
    if mask.dtype != bool and not np.isin(mask, (0, 1)).all():
        raise ValueError(
            "`mask` must hold only zeros and ones. "
            f"Received: {np.unique(mask)[:5]}"
        )
    if not mask.any():
        raise ValueError(
            "`mask` must keep at least one weight, or slice or block, as every "
            "sparse kernel does. Received: a mask of zeros"
        )
    if units.size > 1:
        units.of_mask(mask)
    return mask.astype(bool)


def is_symbolic(value: Any) -> bool:
    """Tells whether a value is known only when a graph runs."""
    return tf.inside_function() or (
        tf.is_tensor(value) and tf.is_symbolic_tensor(value)
    )
