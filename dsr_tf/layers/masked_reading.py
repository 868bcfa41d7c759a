"""What is read of a kernel under a mask, and of its gradient."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import keras
import tensorflow as tf

Readers = Mapping[int, Callable[[], tf.Tensor]]
_READERS: ContextVar[Readers | None] = ContextVar("readers", default=None)


def readers() -> Readers | None:
    """Returns what `reading` was given, within it; else None."""
    return _READERS.get()


@contextmanager
def reading(readers: Readers) -> Iterator[None]:
    """Reads kernels without their masks, for graphs that nobody trains.

    Args:
        readers: Functions that return kernels, by `id(kernel)`; the others are
            read from their variables.
    """
    token = _READERS.set(readers)
    try:
        yield
    finally:
        _READERS.reset(token)


def masked(values: Any, mask: Any) -> tf.Tensor:
    """Returns values where the mask is True, and 0 elsewhere.

    A selection, not a product: 0 at a masked infinity or NaN too.
    """
    values = tf.convert_to_tensor(values)
    return tf.where(mask, values, tf.zeros([], values.dtype))


def _masked_gradient(gradient: tf.Tensor, mask: Any) -> tf.Tensor:
    # As `masked` does it, but no other operation leaves it to TensorFlow to
    # round sums with the gradient of a penalty as it did before. It has no
    # kernel of bfloat16 on a GPU.
    if gradient.dtype == tf.bfloat16:
        return masked(gradient, mask)
    if mask.dtype != gradient.dtype:
        mask = tf.cast(mask, gradient.dtype)
    return tf.math.multiply_no_nan(gradient, mask)


def masked_kernel(
    kernel: Any,
    mask: Any,
    record: Any = None,
    probes: Sequence[tf.Tensor] = (),
) -> tf.Tensor:
    """Passes a kernel on, and its gradient back, where the mask is True.

    Optimizers then see gradient 0 at inactive positions, so weights and slots
    do not change there.

    Args:
        kernel: Any shape, 0 wherever `mask` is False.
        mask: Same shape, bool, or ones and zeros of the kernel's type.
        record: A `GradientRecord`, which gets the gradient before that; or
            None.
        probes: Its probes, where the kernel is read.
    """

    @keras.ops.custom_gradient
    def passed_on(kernel: Any, mask: Any, *probes: Any) -> tuple[Any, Any]:
        def grad(upstream: Any) -> tuple[Any, ...]:
            kept = []
            if record is not None:
                kept = record.gradients_of(probes, lambda: upstream)
            return _masked_gradient(upstream, mask), None, *kept

        # The kernel is 0 there already: to mask it again would cost a copy of
        # it in every step.
        return tf.identity(kernel), grad

    return passed_on(kernel, mask, *probes)
