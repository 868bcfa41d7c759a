"""L1 and L2 penalties of a kernel, summed so that XLA can do it fast."""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

_PENALTIES = (
    keras.regularizers.L1,
    keras.regularizers.L2,
    keras.regularizers.L1L2,
)


def is_simple(regularizer: Any) -> bool:
    """Tells whether a regularizer is one of L1, L2, L1L2, as Keras has them."""
    return type(regularizer) in _PENALTIES


def penalty(regularizer: Any, kernel: Any) -> Any:
    """Computes the penalty of a simple regularizer, up to rounding.

    On a CPU, XLA adds up a tensor one number after another, which takes a
    sixth of a step of LeNet-300-100. Along the last axis it adds up several at
    a time, if the sum of these sums is kept from being joined with them.

    Args:
        regularizer: One for which `is_simple` returns True.
        kernel: Rank 2 or more.
    """
    # Numbers, where attributes may be tensors.
    factors = regularizer.get_config()
    l1, l2 = factors.get("l1"), factors.get("l2")
    if not l1 and not l2:
        return ops.zeros((), kernel.dtype)

    # A gradient of its own, as that of a sum is a tensor of equal numbers.
    @ops.custom_gradient
    def value(kernel: Any) -> tuple[Any, Any]:
        total = ops.zeros((), kernel.dtype)
        if l1:
            total += l1 * _sum(ops.absolute(kernel))
        if l2:
            total += l2 * _sum(ops.square(kernel))
        return total, lambda upstream: _gradient(kernel, upstream, l1, l2)

    # A custom gradient refuses variables.
    return value(tf.convert_to_tensor(kernel))


def _gradient(kernel: Any, upstream: Any, l1: Any, l2: Any) -> Any:
    if not l2:
        return _signed(kernel, l1 * upstream)
    decay = 2 * (l2 * upstream) * kernel
    return decay + _signed(kernel, l1 * upstream) if l1 else decay


def _signed(kernel: Any, size: Any) -> Any:
    return size * ops.sign(kernel)


def _sum(values: Any) -> Any:
    """Adds up values that are not negative."""
    columns = ops.sum(values, axis=tuple(range(len(values.shape) - 1)))
    return ops.sum(ops.maximum(columns, 0.0))


class MaskedPenalty:
    """The penalty of a masked kernel.

    Args:
        given: The regularizer of its layer.
    """

    def __init__(self, given: Any) -> None:
        self.given = given

    def __call__(self, kernel: Any) -> Any:
        # L1 and L2 have gradient 0 at 0: no need to mask it.
        if is_simple(self.given):
            return penalty(self.given, kernel.value)
        # As a tensor, which has no `value` that goes past the mask.
        return self.given(tf.convert_to_tensor(kernel))
