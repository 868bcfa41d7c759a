"""The start of TensorFlow's servers for several workers."""

import faulthandler
import functools
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

# What TensorFlow passes on to its service for workers cannot be chosen by any
# public name.
from tensorflow.python.eager import context

from dsr_tf.distribute.errors import WorkersMissingError
from dsr_tf.distribute.rendezvous import meet

# In TensorFlow's order: the first task is the chief.
_JOBS = ("chief", "worker")
# Seconds in which TensorFlow starts where all workers are there.
_START = 120.0


def check_unused() -> None:
    """Raises an error if TensorFlow has started to compute.

    Raises:
        RuntimeError: If it has: then it is too late for several workers.
    """
    threading = tf.config.threading
    before = threading.get_inter_op_parallelism_threads()
    try:
        # A change is refused from then on.
        threading.set_inter_op_parallelism_threads(before + 1)
        threading.set_inter_op_parallelism_threads(before)
    except RuntimeError as error:
        raise RuntimeError(
            "The strategy of several workers must be made before TensorFlow "
            "is used for anything else."
        ) from error


def meet_workers(
    resolver: Any, timeout_seconds: float, report: Callable[[str], None]
) -> None:
    """Waits until all workers of a cluster have started; see `meet`.

    A cluster with tasks of other kinds is left to TensorFlow.
    """
    cluster = resolver.cluster_spec()
    jobs = [job for job in _JOBS if job in cluster.jobs]
    own = (resolver.task_type, resolver.task_id or 0)
    tasks = [(job, i) for job in jobs for i in range(cluster.num_tasks(job))]
    if set(cluster.jobs) - set(_JOBS) or own not in tasks or len(tasks) == 1:
        return
    addresses = [cluster.task_address(job, i) for job, i in tasks]
    facts = {
        "the cluster": ", ".join(addresses),
        "the number of GPUs": str(len(tf.config.get_visible_devices("GPU"))),
    }
    meet(addresses, tasks.index(own), facts, timeout_seconds, report)


@contextmanager
def limited_start() -> Iterator[None]:
    """Limits the time for which TensorFlow waits within.

    All workers are there by then, so that this is for one that ends at this
    moment. The wait holds Python's lock: no signal is heard, and nothing but
    another thread of C can end the process if it is the chief that has ended.

    Raises:
        WorkersMissingError: If the time is over.
    """
    service = context.context()
    configure = service.configure_coordination_service
    service.configure_coordination_service = functools.partial(
        configure, cluster_register_timeout_in_ms=round(_START * 1000)
    )
    faulthandler.dump_traceback_later(_START + 60, exit=True)
    try:
        yield
    except tf.errors.DeadlineExceededError as error:
        raise WorkersMissingError(
            "All workers must go on once all have started. Received: one of "
            f"them ended, or did not answer within {_START:g} seconds"
        ) from error
    finally:
        faulthandler.cancel_dump_traceback_later()
        service.configure_coordination_service = configure
