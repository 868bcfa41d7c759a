"""Splits batches between workers and their replicas."""

from collections.abc import Callable

import tensorflow as tf

from dsr_tf.checks import checked_function
from dsr_tf.distribute.strategy import checked_strategy


def share_batches(
    strategy: tf.distribute.Strategy,
    make_batches: Callable[[int, int], tf.data.Dataset],
) -> tf.data.Dataset | tf.distribute.DistributedDataset:
    """Splits endless batches between all replicas, as `fit` takes them.

    Each worker makes only its own part of every batch. All parts together are
    the batch that a single process would train on. (If `fit` got a plain
    `tf.data.Dataset`, every worker would make whole batches, or read a part of
    the files, which changes the batches.)

    Args:
        strategy: Strategy that the model was made under.
        make_batches: Takes the number of workers and the index of this worker.
            Returns the worker's part of each batch, of one size, without end,
            like `ImageSet.train_batches`.

    Returns:
        Batches for `fit`, which also needs `steps_per_epoch`.

    Raises:
        ValueError: If an argument is of another kind, or the worker's batches
            have no fixed size, or their size is not a multiple of its number
            of replicas.

    Example:
    >>> batches = share_batches(
    ...     strategy,
    ...     lambda num_shards, index: digits.train_batches(
    ...         100, seed=0, num_shards=num_shards, shard_index=index
    ...     ),
    ... )
    """
    checked_strategy(strategy)
    checked_function("make_batches", make_batches)

    def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        num_workers = context.num_input_pipelines
        batches = make_batches(num_workers, context.input_pipeline_id)
        num_replicas = strategy.num_replicas_in_sync // num_workers
        size = _batch_size(batches)
        if size is None or size % num_replicas:
            raise ValueError(
                "The batches of a worker must have one known size, a multiple "
                f"of its number of replicas, {num_replicas}. "
                f"Received: a batch size of {size}"
            )
        # Otherwise the workers ask each other before every step whether there
        # is one.
        endless = tf.data.experimental.assert_cardinality(
            tf.data.INFINITE_CARDINALITY
        )
        return batches.rebatch(size // num_replicas).apply(endless)

    if strategy.num_replicas_in_sync == 1:
        return make_batches(1, 0)
    return strategy.distribute_datasets_from_function(of_worker)


def _batch_size(batches: tf.data.Dataset) -> int | None:
    return tf.nest.flatten(batches.element_spec)[0].shape[0]
