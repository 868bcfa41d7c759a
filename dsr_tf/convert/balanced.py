"""A budget that is split by what one batch says of a network."""

from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dsr_tf.checks import checked_function


@dataclass(frozen=True, eq=False)
class Balanced:
    """Splits a budget by the connection sensitivities of one batch.

    The score of a weight `w` is `|w * dL/dw|`. Of all kernels together the
    units of the highest scores are counted, each by the mean of its weights;
    each kernel gets so many. Masks stay random, or of the largest weights:
    which weights of a kernel such scores choose was found not to matter, and
    how many does (Frankle et al., 2021).

    Args:
        x: Inputs of a batch, as the model takes them. 100 examples are enough.
        y: Their targets.
        loss: The function `loss(y, outputs)`, or the name of a loss of Keras.
            Penalties on weights are no part of it.

    Raises:
        ValueError: If `loss` is neither.

    Example:
    >>> first = dsr_tf.Balanced(x[:100], y[:100], "mse")
    >>> sparse = dsr_tf.sparsify(model, 0.99, distribution=first)

    Reference:
        [Lee et al., 2019](https://arxiv.org/abs/1810.02340), the scores;
        [Frankle et al., 2021](https://arxiv.org/abs/2009.08576), section 5.
    """

    x: Any
    y: Any
    loss: str | Callable[[Any, Any], Any]

    def __post_init__(self) -> None:
        _loss(self.loss)

    def __call__(
        self, model: keras.Model, kernels: Sequence[keras.Variable]
    ) -> list[np.ndarray]:
        """Returns the score of each weight of some kernels of a model.

        The model trains on the batch, but does not change: what it would
        assign, such as moving averages, is dropped.

        Raises:
            ValueError: If the model does not take the batch.
        """
        try:
            return self._scores(model, kernels)
        # Broad, as layers and losses of the user may fail in any way.
        except Exception as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ValueError(
                "`x` and `y` of a `Balanced` must be a batch of inputs that "
                f"model '{model.name}' takes, and the targets that `loss` "
                f"takes with its outputs. Received: x {_shapes(self.x)}, y "
                f"{_shapes(self.y)} ({reason})"
            ) from error

    def _scores(
        self, model: keras.Model, kernels: Sequence[keras.Variable]
    ) -> list[np.ndarray]:
        values = [tf.convert_to_tensor(kernel.value) for kernel in kernels]
        known = list(zip(kernels, values, strict=True))
        with tf.GradientTape() as tape:
            tape.watch(values)
            with keras.StatelessScope(state_mapping=known):
                losses = _loss(self.loss)(self.y, model(self.x, training=True))
                loss = tf.reduce_mean(losses)
        gradients = tape.gradient(
            loss, values, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        return [
            np.abs((value * tf.convert_to_tensor(gradient)).numpy())
            for value, gradient in zip(values, gradients, strict=True)
        ]


def _shapes(data: Any) -> str:
    """Returns the shapes of a structure of arrays, as text."""
    shapes = [
        f"of shape {tuple(x.shape)}" if hasattr(x, "shape") else f"{x!r:.40}"
        for x in keras.tree.flatten(data)
    ]
    return " and ".join(shapes) or "without arrays"


def _loss(loss: Any) -> Any:
    if not isinstance(loss, str):
        return checked_function("loss", loss)
    try:
        return keras.losses.get(loss)
    except ValueError:
        raise ValueError(
            "`loss` must be a function, or the name of a loss of Keras. "
            f"Received: loss={loss!r}"
        ) from None
