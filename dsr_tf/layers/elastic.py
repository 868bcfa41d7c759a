"""Variables whose first axis may change its length."""

from contextlib import nullcontext
from typing import Any

import keras
import tensorflow as tf


class ElasticVariable(keras.Variable):
    """A variable that can be assigned values with more rows, or fewer.

    Functions that were traced with it, checkpoints and replicas take the new
    length over; XLA compiles again what it had compiled for another length.
    """

    # Private: how Keras makes the variable of TensorFlow that it holds.
    # Nothing public lets that have a shape that is not known.
    def _initialize(self, value: Any) -> None:
        super()._initialize(value)
        make_elastic(self)

    @property
    def shape(self) -> tf.TensorShape:
        """The shape that it has now."""
        # Optimizers make slots of it while they are traced.
        with tf.init_scope():
            return tf.TensorShape(_first(self._value).read_value().shape)

    def assign(self, value: Any) -> Any:
        """Assigns values with any number of rows.

        Args:
            value: Array whose other axes are those of the variable.

        Raises:
            ValueError: If they differ.
        """
        value = keras.ops.convert_to_tensor(value, self.dtype)
        if not self._value.shape.is_compatible_with(value.shape):
            raise ValueError(
                f"`value` must have the shape {tuple(self._value.shape)} of "
                f"'{self.path}'. Received: value.shape={tuple(value.shape)}"
            )
        self._value.assign(value)
        return value


def make_elastic(variable: keras.Variable) -> bool:
    """Lets the first axis of a variable change, in place.

    Args:
        variable: A variable with one axis or more.

    Returns:
        Whether it could not before. Functions that were traced with it until
        then must be traced anew.
    """
    # Private: nothing public exchanges what a Keras variable holds.
    old: Any = variable._value
    if old.shape[0] is None:
        return False
    if not isinstance(variable, ElasticVariable):
        variable.__class__ = ElasticVariable
    strategy = getattr(old, "distribute_strategy", None)
    with tf.init_scope(), strategy.scope() if strategy else nullcontext():
        variable._value = tf.Variable(
            tf.identity(old),
            shape=tf.TensorShape([None, *old.shape[1:]]),
            trainable=old.trainable,
            name=variable.name,
            dtype=old.dtype,
            aggregation=old.aggregation,
            synchronization=old.synchronization,
        )
    return True


def _first(variable: Any) -> Any:
    """Returns the variable of the first replica."""
    values = getattr(variable, "values", None)
    return values[0] if isinstance(values, tuple | list) else variable
