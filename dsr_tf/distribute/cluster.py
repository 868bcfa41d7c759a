"""Finds the cluster of this process from `TF_CONFIG` or Slurm."""

import json
import os
from typing import Any

import tensorflow as tf

from dsr_tf.distribute.slurm import slurm_cluster

_EXAMPLE = (
    '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, '
    '"task": {"type": "worker", "index": 0}}'
)


def find_cluster() -> tf.distribute.cluster_resolver.ClusterResolver | None:
    """Returns the cluster of this process, if it has several workers.

    `TF_CONFIG` comes first, unless it names no task. Then comes a Slurm step,
    which `srun` starts with one task for each worker.

    Returns:
        A resolver, or None if no cluster or only one worker is named.

    Raises:
        ValueError: If the description of the cluster is wrong.
    """
    text = os.environ.get("TF_CONFIG", "").strip()
    count = _count_workers(text) if text else 0
    if not count:
        return slurm_cluster()
    if count == 1:
        return None
    return tf.distribute.cluster_resolver.TFConfigClusterResolver()


def _count_workers(text: str) -> int:
    """Counts the tasks of a `TF_CONFIG`, and refuses one that is wrong."""
    config = _parsed(text)
    if not config.get("cluster", {}):
        return 0
    cluster = _tasks(config["cluster"], text)
    addresses = [x for own in cluster.values() for x in own]
    if not all(map(_is_address, addresses)):
        raise _wrong("have addresses of a host and a port", text)
    if len(set(addresses)) < len(addresses):
        raise _wrong("have a different address for each task", text)
    # Alone, it need not be told which of the tasks it is.
    if len(addresses) > 1 or config.get("task"):
        _check_task(config.get("task"), cluster, text)
    return len(addresses)


def _parsed(text: str) -> dict[str, Any]:
    try:
        config = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise _wrong("be JSON", text) from error
    cluster = config.get("cluster", {}) if isinstance(config, dict) else None
    if not isinstance(cluster, dict):
        raise _wrong("have a `cluster` that lists addresses by type", text)
    return config


def _tasks(cluster: dict[str, Any], text: str) -> dict[str, list[Any]]:
    """Returns the addresses of each type of task, in the order of their index.

    As in TensorFlow, they are a list, or are named by their index.
    """
    for kind in cluster:
        _check_kind(kind, text)
    found = {kind: _in_order(tasks) for kind, tasks in cluster.items()}
    if not all(found.values()) or len(found.get("chief") or [0]) > 1:
        raise _wrong(
            "have a `cluster` that lists addresses of workers, or one of a "
            "chief, or both, each type without a gap",
            text,
        )
    return {kind: tasks or [] for kind, tasks in found.items()}


def _in_order(tasks: Any) -> list[Any] | None:
    if not isinstance(tasks, dict):
        return tasks if isinstance(tasks, list) else None
    numbered = {_index(key): address for key, address in tasks.items()}
    order = list(range(len(tasks)))
    if set(numbered) != set(order):
        return None
    return [numbered[i] for i in order]


def _check_task(task: Any, cluster: dict[str, list[Any]], text: str) -> None:
    kind = task.get("type") if isinstance(task, dict) else None
    if kind is not None:
        _check_kind(kind, text)
    if kind not in cluster:
        raise _wrong("have a `task` with a `type` of the cluster", text)
    index, last = _index(task.get("index")), len(cluster[kind]) - 1
    if index is None or not 0 <= index <= last:
        raise _wrong(f"have a `task` with an `index` from 0 to {last}", text)


def _check_kind(kind: Any, text: str) -> None:
    if kind not in ("chief", "worker"):
        raise _wrong(
            "have tasks of the types chief and worker only, as no others can "
            f"take part: {kind!r} cannot",
            text,
        )


def _index(value: Any) -> int | None:
    """Returns an index as TensorFlow reads it; None if it is no integer."""
    try:
        index = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    # A fraction, TensorFlow would round down.
    is_whole = isinstance(value, str) or index == value
    return index if is_whole else None


def _is_address(address: Any) -> bool:
    if not isinstance(address, str):
        return False
    host, _, port = address.rpartition(":")
    is_number = port.isdecimal() and len(port) <= 5
    return bool(host) and is_number and 0 < int(port) < 2**16


def _wrong(what: str, text: str) -> ValueError:
    return ValueError(
        f"`TF_CONFIG` must {what}, such as {_EXAMPLE}. "
        f"Received: TF_CONFIG={text}"
    )
