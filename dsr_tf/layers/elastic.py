"""Variables whose first axis may change its length."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import keras
import tensorflow as tf


class ElasticShape(tf.TensorShape):
    """The shape of a variable that can be assigned more rows, or fewer.

    Keras assigns weights where shapes are equal: this one equals all that can
    be assigned.
    """

    def __eq__(self, other: Any) -> bool:
        """Returns whether two shapes are equal but for their first axes."""
        try:
            other = tf.TensorShape(other)
        except TypeError:
            return NotImplemented
        return (
            self.rank == other.rank
            and self.as_list()[1:] == (other.as_list()[1:])
        )

    def __ne__(self, other: Any) -> bool:
        """Returns whether they are not."""
        equal = self.__eq__(other)
        return equal if equal is NotImplemented else not equal

    def __hash__(self) -> int:
        """Returns the same number for all that are equal."""
        return hash(tuple(self.as_list()[1:]))


class ElasticVariable(keras.Variable):
    """A variable that can be assigned values with more rows, or fewer.

    Functions that were traced with it, checkpoints and replicas take the new
    length over; XLA compiles again what it had compiled for another length.
    It is made of an initializer and a shape, not of a value.
    """

    # Private: how Keras makes the variable of TensorFlow that it holds.
    # Nothing public lets that have a shape that is not known.
    def _initialize(self, value: Any) -> None:
        with tf.init_scope():
            first = value() if callable(value) else value
        super()._initialize(first)
        make_elastic(self, first)

    @property
    def shape(self) -> tf.TensorShape:
        """The shape that it has now."""
        # Optimizers make slots of it while they are traced.
        with tf.init_scope():
            found = _first(self._value).read_value().shape
        # It has no value yet if it was made where a function is traced.
        has_value = self._value.shape.is_compatible_with(found)
        return ElasticShape(found if has_value else super().shape)

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
        value = self._lengthened(value)
        self._value.assign(value)
        return value

    def _lengthened(self, value: tf.Tensor) -> tf.Tensor:
        """Gives equal numbers the length that there is when a graph runs.

        Keras sets accumulated gradients to zeros of the shape that they had
        when it was traced.
        """
        if tf.executing_eagerly() or value.shape[0] is None:
            return value
        known = tf.get_static_value(value)
        if known is None or not known.size or (known != known.flat[0]).any():
            return value
        return tf.fill(tf.shape(self._value), value[(0,) * value.shape.rank])


def make_elastic(variable: keras.Variable, start: Any = 0.0) -> bool:
    """Lets the first axis of a variable change, in place.

    Args:
        variable: A variable with one axis or more.
        start: What it begins with, if it was made in a function that is being
            traced, and has no value yet.

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
    variable._value = outside_of_graphs(lambda: _elastic(variable, old, start))
    return True


def _elastic(variable: keras.Variable, old: Any, start: Any) -> tf.Variable:
    """Returns a variable of the value of another, with a free first axis."""
    strategy = getattr(old, "distribute_strategy", None)
    with strategy.scope() if strategy else nullcontext():
        value = tf.identity(old)
        if not old.shape.is_compatible_with(value.shape):
            value = tf.broadcast_to(tf.cast(start, old.dtype), old.shape)
        return tf.Variable(
            value,
            shape=tf.TensorShape([None, *old.shape[1:]]),
            trainable=old.trainable,
            name=variable.name,
            dtype=old.dtype,
            aggregation=old.aggregation,
            synchronization=old.synchronization,
        )


# Else a function of one's own that TensorFlow converts warns of the thread.
@tf.autograph.experimental.do_not_convert
def outside_of_graphs(function: Callable[[], Any]) -> Any:
    """Calls a function that makes variables, at once, and returns its result.

    Variables that are made while a function of TensorFlow is traced for the
    first time have no value until that has ended, in `tf.init_scope` too.
    """
    if tf.executing_eagerly():
        return function()
    # What is traced is known to each thread alone.
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(function).result()


def _first(variable: Any) -> Any:
    """Returns the variable of the first replica."""
    values = getattr(variable, "values", None)
    return values[0] if isinstance(values, tuple | list) else variable
