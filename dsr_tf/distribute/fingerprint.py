"""Fingerprints of variables, compared over all replicas and workers."""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

_BITS = {1: tf.uint8, 2: tf.int16, 4: tf.int32, 8: tf.int64}


class ReplicasDifferError(RuntimeError):
    """Replicas of one model hold different values."""


def fingerprint(tensor: tf.Tensor) -> tf.Tensor:
    """Returns a number that depends on every bit of a tensor.

    The tensor is seen as a matrix with its last axis as columns, and the bits
    of its entries as integers `x[i, j]`. With fixed random odd numbers `a` and
    `b`, the result is the sum of `a[i] * b[j] * x[i, j]` modulo `2**64`. A
    change of one entry always changes it. Other changes leave it unchanged with
    a probability of about `2**-64`. The order of the sum does not matter.

    Args:
        tensor: A tensor of numbers, of known shape but for the first axis.

    Returns:
        Scalar, int64.
    """
    num_columns = (tensor.shape[-1] if tensor.shape.rank else 1) or 1
    rows = tf.reshape(bits(tensor), [-1, num_columns])
    sums = tf.reduce_sum(rows * _odd_numbers(num_columns, seed=0), axis=1)
    if rows.shape[0] is None:
        return _of_any_length(sums)
    return tf.reduce_sum(sums * _odd_numbers(rows.shape[0], seed=1))


def _of_any_length(numbers: tf.Tensor) -> tf.Tensor:
    """Returns a number that depends on some numbers, and on how many."""
    # One more, so that zeros at the end count.
    numbers = tf.concat([numbers, [1]], axis=0)
    first, second = _odd_numbers(2, seed=1)
    mixed = first * tf.range(1, tf.size(numbers, tf.int64) + 1)
    mixed = second * tf.bitwise.bitwise_xor(
        mixed, tf.bitwise.right_shift(mixed, tf.constant(29, tf.int64))
    )
    odd = tf.bitwise.bitwise_or(mixed, tf.constant(1, tf.int64))
    return tf.reduce_sum(numbers * odd)


def bits(tensor: tf.Tensor) -> tf.Tensor:
    """Returns the bits of each entry of a tensor of numbers, as int64.

    Args:
        tensor: A tensor for whose type `has_bits` is true.
    """
    if tensor.dtype != tf.bool:
        tensor = tf.bitcast(tensor, _BITS[tensor.dtype.size])
    return tf.cast(tensor, tf.int64)


def has_bits(dtype: tf.DType) -> bool:
    """Tells whether `bits` can read tensors of a type."""
    return dtype == tf.bool or (
        dtype.size in _BITS and (dtype.is_floating or dtype.is_integer)
    )


def _odd_numbers(count: int, seed: int) -> np.ndarray:
    info = np.iinfo(np.int64)
    drawn = np.random.default_rng(seed).integers(info.min, info.max, count)
    return drawn | 1


def gatherer(
    strategy: tf.distribute.Strategy, variables: Sequence[Any]
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function that gathers the fingerprints of all replicas.

    Every replica computes them for its own copies, on its own device. All
    workers must call the function together.

    Args:
        strategy: Strategy that the variables were made under.
        variables: Keras variables.

    Returns:
        A function that takes numbers of this worker, int64, shape `(n,)`, and
        returns a row for each replica of all workers: fingerprints in the order
        of the variables, then the numbers of its worker.
    """

    def of_replica(numbers: tf.Tensor) -> tf.Tensor:
        own = [fingerprint(tf.convert_to_tensor(v.value)) for v in variables]
        row = tf.concat([tf.stack(own), numbers], axis=0)
        context = tf.distribute.get_replica_context()
        return context.all_gather(row[None], axis=0)

    @tf.function
    def gather(numbers: tf.Tensor) -> tf.Tensor:
        rows = strategy.run(of_replica, args=(numbers,))
        return strategy.experimental_local_results(rows)[0]

    return gather
