"""Which worker of a strategy this process is."""

import tensorflow as tf


def has_workers(strategy: tf.distribute.Strategy) -> bool:
    """Tells whether a strategy is one of several workers."""
    kind = tf.distribute.MultiWorkerMirroredStrategy
    return isinstance(strategy, kind)


def worker_index(strategy: tf.distribute.Strategy) -> int:
    """Returns the index of this worker: 0 is the chief.

    Without a chief it is the index of the task; with one, 1 more.
    """
    if not has_workers(strategy):
        return 0
    resolver = strategy.cluster_resolver
    if resolver.task_type == "chief":
        return 0
    return (resolver.task_id or 0) + len(
        resolver.cluster_spec().as_dict().get("chief", [])
    )
