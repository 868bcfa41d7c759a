"""Finds the cluster of a Slurm step, which `srun` starts."""

import itertools
import os
import re
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

# A name, or a part of one, and what follows it in brackets.
_PART = re.compile(r"([^\[\],\s]*)(?:\[([^\[\]]*)\])?")
_RANGE = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?")
_TASKS = re.compile(r"(\d{1,9})(?:\(x(\d{1,9})\))?")
_NUMBER = re.compile(r"\d{1,18}")


def slurm_cluster() -> tf.distribute.cluster_resolver.ClusterResolver | None:
    """Returns the cluster of a Slurm step of several tasks, else None.

    TensorFlow's own resolver shares out GPUs, and fails where there is none for
    each task, although Slurm has bound them already; and it does not take all
    lists of nodes that Slurm writes.

    Raises:
        ValueError: If Slurm's variables are missing or wrong.
    """
    # Empty in a shell that passes on what it does not have.
    if not os.environ.get("SLURM_STEP_NUM_TASKS"):
        return None
    num_tasks = _number("SLURM_STEP_NUM_TASKS", minimum=1)
    if num_tasks == 1:
        return None
    # Two jobs on one machine must not use one port.
    port = 10000 + _number("SLURM_JOB_ID") % 20000
    addresses = [
        f"{node}:{port + i}"
        for node, count in sorted(_tasks_of_nodes(num_tasks).items())
        for i in range(count)
    ]
    # They are in the order of the names, not in that of Slurm's ranks.
    own = f"{_text('SLURMD_NODENAME')}:{port + _number('SLURM_LOCALID')}"
    if own not in addresses:
        raise ValueError(
            "`SLURMD_NODENAME` and `SLURM_LOCALID` must name a task of the "
            f"step, whose tasks are at {addresses}. Received: {own}"
        )
    return tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": addresses}),
        task_type="worker",
        task_id=addresses.index(own),
        num_accelerators={"GPU": len(tf.config.list_physical_devices("GPU"))},
        rpc_layer="grpc",
    )


def _tasks_of_nodes(num_tasks: int) -> dict[str, int]:
    """Returns how many tasks of the step each node has."""
    nodes_name, counts_name = "SLURM_STEP_NODELIST", "SLURM_STEP_TASKS_PER_NODE"
    nodes = _expanded(nodes_name, _text(nodes_name))
    counts = list(_counts(counts_name, _text(counts_name)))
    is_whole = len(nodes) == len(set(nodes)) == len(counts)
    if not is_whole or sum(counts) != num_tasks:
        raise ValueError(
            f"`{counts_name}` must give a number of tasks for each node of "
            f"`{nodes_name}`, `SLURM_STEP_NUM_TASKS`={num_tasks} in all. "
            f"Received: {counts_name}={_text(counts_name)} and "
            f"{nodes_name}={_text(nodes_name)}"
        )
    return dict(zip(nodes, counts, strict=True))


def _expanded(name: str, text: str) -> list[str]:
    """Returns the names of a list of nodes.

    Brackets may stand anywhere and more than once: `rack[1-2]n[08-10,12]-ib` is
    a name for each pair. Numbers have as many digits as the first of a range.
    """
    nodes = []
    for whole in re.split(r",(?![^\[]*\])", text):
        matches = list(_PART.finditer(whole))
        if not whole or "".join(x[0] for x in matches) != whole:
            raise _wrong(name, "list nodes, such as n[1-3] or a,b", text)
        parts = [[x[1]] for x in matches]
        inner = [list(_numbers(name, text, x[2])) for x in matches]
        pairs = zip(parts, inner, strict=True)
        nodes += ["".join(x) for x in itertools.product(*sum(pairs, ()))]
    return nodes


def _numbers(name: str, text: str, inner: str | None) -> Iterator[str]:
    """Yields the numbers in brackets; an empty text where there are none."""
    if inner is None:
        yield ""
        return
    for part in inner.split(","):
        found = _RANGE.fullmatch(part)
        if not found:
            raise _wrong(name, "list nodes, such as n[1-3] or a,b", text)
        first, last = found[1], found[2] or found[1]
        for number in range(int(first), int(last) + 1):
            yield str(number).zfill(len(first))


def _counts(name: str, text: str) -> Iterator[int]:
    for part in text.split(","):
        found = _TASKS.fullmatch(part)
        if not found:
            raise _wrong(name, "be numbers, such as 3(x2),1", text)
        yield from [int(found[1])] * int(found[2] or 1)


def _text(name: str) -> str:
    found = os.environ.get(name)
    if not found:
        state = "it is not set" if found is None else "it is empty"
        raise ValueError(
            f"`{name}` must be set in a Slurm step of several tasks. "
            f"Start the tasks with `srun`. Received: {state}"
        )
    return found


def _number(name: str, minimum: int = 0) -> int:
    text = _text(name)
    if not _NUMBER.fullmatch(text) or int(text) < minimum:
        raise _wrong(name, f"be an integer of at least {minimum}", text)
    return int(text)


def _wrong(name: str, what: str, value: Any) -> ValueError:
    return ValueError(f"`{name}` must {what}. Received: {name}={value}")
