"""Numbers that all workers agree on."""

import functools
from collections.abc import Sequence
from typing import Any

import tensorflow as tf


def largest(
    strategy: tf.distribute.Strategy, numbers: Sequence[int]
) -> list[int]:
    """Returns the largest of each number over all workers.

    No worker returns before all have called it.

    Args:
        strategy: Strategy of several workers, or of one worker, which gets its
            own numbers back.
        numbers: Integers of at most 64 bits, the same count on every worker.
    """
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return list(numbers)
    rows = _gatherer(strategy)(tf.constant(numbers, tf.int64))
    return tf.reduce_max(rows, axis=0).numpy().tolist()


@functools.cache
def _gatherer(strategy: tf.distribute.Strategy) -> Any:
    """Returns the function, traced once, that gathers the replicas' rows."""

    def of_replica(own: tf.Tensor) -> tf.Tensor:
        context = tf.distribute.get_replica_context()
        return context.all_gather(own[None], axis=0)

    @tf.function
    def gather(numbers: tf.Tensor) -> tf.Tensor:
        rows = strategy.run(of_replica, args=(numbers,))
        return strategy.experimental_local_results(rows)[0]

    return gather
