"""Chooses the TensorFlow strategy that a run trains under."""

import signal
import threading
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from absl import logging

from dsr_tf.checks import checked_choice
from dsr_tf.checks import checked_function
from dsr_tf.checks import checked_kind
from dsr_tf.checks import checked_number
from dsr_tf.distribute.agree import settle
from dsr_tf.distribute.cluster import find_cluster
from dsr_tf.distribute.held_signals import held_signals
from dsr_tf.distribute.startup import check_unused
from dsr_tf.distribute.startup import limited_start
from dsr_tf.distribute.startup import meet_workers
from dsr_tf.distribute.workers import worker_index

STRATEGIES = ("auto", "none", "mirrored", "multi_worker")


class _ReducesForKeras:
    """Adds to a strategy a `reduce` that Keras 3's trainer can use."""

    # The trainer reduces whole batches, which are structures, and scalars
    # along axis 0; TensorFlow refuses both (keras#20585). Remove this class
    # once the test that trains without it fails.
    def reduce(self, reduce_op: Any, value: Any, axis: Any = None) -> Any:
        if reduce_op == "MEAN" and tf.nest.is_nested(value):
            # A batch: the trainer needs only its shapes. The parts of replicas
            # may differ in size, and then have no mean.
            return tf.nest.map_structure(self._first, value)
        scalar = axis is not None and self._first(value).shape.rank == 0
        # A mixin: mypy does not see the strategy that it is put before.
        reduce = super().reduce  # type: ignore[misc]
        return reduce(reduce_op, value, None if scalar else axis)

    def _first(self, value: Any) -> Any:
        return self.experimental_local_results(value)[0]  # type: ignore[attr-defined]


class _Mirrored(_ReducesForKeras, tf.distribute.MirroredStrategy):
    pass


class _MultiWorker(_ReducesForKeras, tf.distribute.MultiWorkerMirroredStrategy):
    pass


def choose_strategy(
    name: str = "auto", report: Callable[[str], None] | None = None
) -> tf.distribute.Strategy:
    """Returns the strategy to make and train a model under.

    Call it before any other use of TensorFlow.

    Args:
        name: `"none"` for one device; `"mirrored"` for all GPUs of this
            machine, or, without a GPU, all its logical CPUs; `"multi_worker"`
            for several processes, which `TF_CONFIG` or Slurm names; `"auto"`
            for several workers if they are named, else for all GPUs if there
            are two or more, else for one device.
        report: As in `multi_worker_strategy`.

    Returns:
        A strategy. For one device it is TensorFlow's default strategy, whose
        scope changes nothing.

    Raises:
        ValueError: If there is no such strategy, or `TF_CONFIG` or Slurm is
            set wrongly.
        WorkersMissingError: If workers do not start within ten minutes.
    """
    checked_choice("name", name, STRATEGIES)
    checked_function("report", report, optional=True)
    if name == "none":
        return tf.distribute.get_strategy()
    if name == "multi_worker" or (name == "auto" and find_cluster()):
        return multi_worker_strategy(report=report)
    gpus = tf.config.list_logical_devices("GPU")
    if name == "auto" and len(gpus) < 2:
        return tf.distribute.get_strategy()
    devices = gpus or tf.config.list_logical_devices("CPU")
    return _Mirrored([device.name for device in devices])


def multi_worker_strategy(
    cluster_resolver: Any = None,
    communication_options: Any = None,
    timeout_seconds: float = 600.0,
    report: Callable[[str], None] | None = None,
) -> tf.distribute.MultiWorkerMirroredStrategy:
    """Returns a strategy of several workers under which Keras 3's `fit` works.

    It is a `tf.distribute.MultiWorkerMirroredStrategy`, under which `evaluate`
    and `predict` work too. It uses all GPUs that each worker sees, or its CPU
    if there are none. It waits until all workers have started; a signal ends
    the wait. If one dies, the others fail with `tf.errors.UnavailableError`
    within seconds.

    Args:
        cluster_resolver: A `tf.distribute.cluster_resolver.ClusterResolver`; by
            default the cluster of `TF_CONFIG` or of the Slurm step.
        communication_options: A
            `tf.distribute.experimental.CommunicationOptions`, or None.
        timeout_seconds: How long to wait for the other workers, above 0.
        report: Is called with a line that names the workers that this one
            waits for, within ten seconds and again each minute. None logs it as
            a warning.

    Raises:
        ValueError: If an argument is of another kind or out of its range, or
            there is no resolver, and neither `TF_CONFIG` nor Slurm names
            several workers, or the workers were given different clusters or
            numbers of GPUs.
        RuntimeError: If TensorFlow was used before.
        WorkersMissingError: If workers do not start within the limit.
        OSError: If another process uses the port of this worker.
    """
    checked_kind(
        "cluster_resolver",
        cluster_resolver,
        tf.distribute.cluster_resolver.ClusterResolver,
        "a ClusterResolver",
        optional=True,
    )
    checked_kind(
        "communication_options",
        communication_options,
        # What this makes is of another class than it is itself.
        type(tf.distribute.experimental.CommunicationOptions()),
        "CommunicationOptions",
        optional=True,
    )
    checked_number("timeout_seconds", timeout_seconds, positive=True)
    checked_function("report", report, optional=True)
    resolver = cluster_resolver or find_cluster()
    if resolver is None:
        raise ValueError(
            "`TF_CONFIG`, or the tasks of a Slurm step, must name two workers "
            "or more. For one worker, start `main.py` with --strategy=none. "
            "Received: one worker"
        )
    check_unused()
    with held_signals():
        meet_workers(resolver, timeout_seconds, report or logging.warning)
        with limited_start():
            strategy = _MultiWorker(resolver, communication_options)
        _restore_sigterm()
        # No worker may end before all have come so far.
        settle(strategy)
    return strategy


def checked_strategy(value: Any) -> tf.distribute.Strategy:
    """Returns a strategy of TensorFlow.

    Raises:
        ValueError: If `value` is none.
    """
    what = "a strategy of TensorFlow"
    return checked_kind("strategy", value, tf.distribute.Strategy, what)


def _restore_sigterm() -> None:
    """Restores Python's handler of SIGTERM.

    TensorFlow's service for workers replaces it by one that ignores the signal.
    """
    handler = signal.getsignal(signal.SIGTERM)
    main = threading.current_thread() is threading.main_thread()
    if main and handler is not None:
        signal.signal(signal.SIGTERM, handler)


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Tells whether this process is the chief, which alone writes files.

    Raises:
        ValueError: If `strategy` is not one of TensorFlow's.
    """
    checked_strategy(strategy)
    return worker_index(strategy) == 0
