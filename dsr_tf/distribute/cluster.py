"""Finds the cluster of this process from `TF_CONFIG` or Slurm."""

import json
import os
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

_EXAMPLE = (
    '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, '
    '"task": {"type": "worker", "index": 0}}'
)


def find_cluster() -> tf.distribute.cluster_resolver.ClusterResolver | None:
    """Returns the cluster of this process, if it has several workers.

    `TF_CONFIG` comes first. Then comes a Slurm step, which `srun` starts with
    one task for each worker.

    Returns:
        A resolver, or None if no cluster or only one worker is named.

    Raises:
        ValueError: If the description of the cluster is wrong.
    """
    text = os.environ.get("TF_CONFIG")
    if not text:
        return _slurm_cluster()
    if _count_workers(text) == 1:
        return None
    return tf.distribute.cluster_resolver.TFConfigClusterResolver()


def _count_workers(text: str) -> int:
    """Counts the tasks of a `TF_CONFIG`, and refuses one that is wrong."""
    try:
        config = json.loads(text)
    except json.JSONDecodeError as error:
        raise _wrong("be JSON", text) from error
    if not isinstance(config, dict) or not _is_cluster(config.get("cluster")):
        raise _wrong(
            "have a `cluster` that lists addresses of workers, and of at most "
            "one chief",
            text,
        )
    cluster, task = config["cluster"], config.get("task")
    addresses = [x for own in cluster.values() for x in own]
    if not all(map(_is_address, addresses)):
        raise _wrong("have addresses of a host and a port", text)
    if len(set(addresses)) < len(addresses):
        raise _wrong("have a different address for each task", text)
    if not isinstance(task, dict) or task.get("type") not in cluster:
        raise _wrong("have a `task` with a `type` of the cluster", text)
    index, tasks = task.get("index"), cluster[task["type"]]
    if type(index) is not int or not 0 <= index < len(tasks):
        raise _wrong(
            f"have a `task` with an `index` from 0 to {len(tasks) - 1}", text
        )
    return sum(len(addresses) for addresses in cluster.values())


def _is_cluster(cluster: Any) -> bool:
    """Tells whether it lists workers, or one chief, or both."""
    if not isinstance(cluster, dict) or not cluster:
        return False
    lists = all(isinstance(x, list) and x for x in cluster.values())
    known = set(cluster) <= {"chief", "worker"}
    return lists and known and len(cluster.get("chief", [])) <= 1


def _is_address(address: Any) -> bool:
    host, _, port = str(address).rpartition(":")
    return bool(host) and port.isdecimal() and 0 < int(port) < 2**16


def _wrong(what: str, text: str) -> ValueError:
    return ValueError(
        f"`TF_CONFIG` must {what}, such as {_EXAMPLE}. "
        f"Received: TF_CONFIG={text}"
    )


def _slurm_cluster() -> tf.distribute.cluster_resolver.ClusterResolver | None:
    """Returns the cluster of a Slurm step of several tasks, else None."""
    environ = os.environ
    num_tasks = int(environ.get("SLURM_STEP_NUM_TASKS", 1))
    if num_tasks == 1:
        return None
    # Two jobs on one machine must not use one port.
    port = 10000 + int(_slurm(environ, "JOB_ID")) % 20000
    # This resolver shares out GPUs, and fails where there is none for each
    # task, although Slurm has bound them already. So it gets a number of GPUs
    # that is accepted, and only its addresses are used.
    slurm = tf.distribute.cluster_resolver.SlurmClusterResolver(
        port_base=port,
        gpus_per_node=num_tasks,
        gpus_per_task=1,
        auto_set_gpu=False,
    )
    cluster = slurm.cluster_spec()
    addresses = cluster.job_tasks("worker")
    # They are in the order of the names, not in that of Slurm's ranks.
    node = _slurm(environ, "SLURMD_NODENAME", prefix="")
    own = f"{node}:{port + int(_slurm(environ, 'LOCALID'))}"
    if own not in addresses:
        raise ValueError(
            "`SLURMD_NODENAME` and `SLURM_LOCALID` must name a task of the "
            f"step, whose tasks are at {addresses}. Received: {own}"
        )
    return tf.distribute.cluster_resolver.SimpleClusterResolver(
        cluster,
        task_type="worker",
        task_id=addresses.index(own),
        num_accelerators={"GPU": len(tf.config.list_physical_devices("GPU"))},
        rpc_layer="grpc",
    )


def _slurm(
    environ: Mapping[str, str], name: str, prefix: str = "SLURM_"
) -> str:
    if prefix + name not in environ:
        raise ValueError(
            f"`{prefix}{name}` must be set in a Slurm step of several tasks. "
            "Start the tasks with `srun`. Received: it is not set"
        )
    return environ[prefix + name]
