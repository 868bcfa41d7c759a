"""Numbers, texts and ends that all workers agree on."""

import functools
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import contextmanager
from contextlib import suppress
from typing import Any

import numpy as np
import tensorflow as tf

from dsr_tf.distribute.errors import OtherWorkerError
from dsr_tf.distribute.workers import has_workers
from dsr_tf.distribute.workers import worker_index

# No message of an error.
_STOPPED = "\0stopped"


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
    if not has_workers(strategy):
        return list(numbers)
    return gather(strategy, numbers).max(axis=0).tolist()


def texts(strategy: tf.distribute.Strategy, text: str) -> list[str]:
    """Returns the texts of all workers.

    No worker returns before all have called it.

    Args:
        strategy: Strategy of several workers, or of one worker, which gets its
            own text back.
        text: Of any length.

    Returns:
        One text a worker: that of the chief first, then those of the workers
        by their task index, as in `worker_index`.
    """
    if not has_workers(strategy):
        return [text]
    # A text may hold half of a pair, as names of files do.
    own = text.encode("utf-8", "surrogatepass")
    (size,) = largest(strategy, [len(own)])
    padded = own.ljust(-(-size // 8) * 8, b"\0")
    numbers = np.frombuffer(padded, np.int64).tolist()
    rows = gather(
        strategy, [worker_index(strategy), len(own), *numbers]
    ).tolist()
    # A worker with several replicas sends its row several times.
    found = {
        index: np.array(row, np.int64).tobytes()[:length]
        for index, length, *row in rows
    }
    return [found[i].decode("utf-8", "surrogatepass") for i in sorted(found)]


@contextmanager
def agree_on(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Ends all workers if one of them fails within.

    What is done within must not itself wait for other workers. No worker
    leaves before all have done their part.

    Args:
        strategy: Strategy of several workers; with one worker nothing changes.

    Raises:
        OtherWorkerError: If this worker did its part, and another one failed.
            The other one raises its own error.
    """
    own: BaseException | None = None
    try:
        yield
    # Broad: the others must hear of every end, signals included.
    except BaseException as error:
        own = error
    said = texts(strategy, "" if own is None else _end(own))
    if any(said):
        settle(strategy)
    if own is not None:
        raise own
    for index, text in enumerate(said):
        if text == _STOPPED:
            raise OtherWorkerError.stopped(index)
        if text:
            raise OtherWorkerError(f"worker {index} ended: {text}")


def settle(strategy: tf.distribute.Strategy) -> None:
    """Waits until all workers have what they were last sent.

    To be called before a worker ends: the others may still be reading from it
    what it has got already, and would fail.
    """
    if has_workers(strategy):
        # One that fails here has it, as have those that ended.
        with suppress(tf.errors.OpError):
            gather(strategy, [0])


def _end(error: BaseException) -> str:
    """Returns how a worker ends, as the others are told."""
    if isinstance(error, Exception):
        return str(error) or type(error).__name__
    return _STOPPED


def gather(
    strategy: tf.distribute.Strategy, numbers: Sequence[int]
) -> np.ndarray:
    """Returns a row of numbers for each replica of all workers, int64.

    Args:
        strategy: Strategy of several workers, all of which must call this.
        numbers: Of this worker, the same count on every worker.
    """
    return _gatherer(strategy)(tf.constant(numbers, tf.int64)).numpy()


@functools.cache
def _gatherer(strategy: tf.distribute.Strategy) -> Any:
    """Returns the function, traced once a length, that gathers the rows."""

    def of_replica(own: tf.Tensor) -> tf.Tensor:
        context = tf.distribute.get_replica_context()
        return context.all_gather(own[None], axis=0)

    @tf.function
    def gather_rows(numbers: tf.Tensor) -> tf.Tensor:
        rows = strategy.run(of_replica, args=(numbers,))
        return strategy.experimental_local_results(rows)[0]

    return gather_rows
