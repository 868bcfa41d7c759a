import json

import pytest
import tensorflow as tf

from dsr_tf.cli import failures
from dsr_tf.distribute import choose_strategy
from dsr_tf.distribute import is_chief
from dsr_tf.distribute import multi_worker_strategy
from dsr_tf.distribute import share_batches
from dsr_tf.distribute import startup
from dsr_tf.distribute.cluster import find_cluster

SLURM = {
    "SLURM_JOB_ID": "20007",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURMD_NODENAME": "n2",
    "SLURM_STEP_NUM_TASKS": "3",
    "SLURM_STEP_NODELIST": "n[2,10]",
    "SLURM_STEP_TASKS_PER_NODE": "1,2",
}


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch):
    for name in ["TF_CONFIG", *SLURM]:
        monkeypatch.delenv(name, raising=False)


def tf_config(index=0, kind="worker", **cluster):
    task = {"type": kind, "index": index}
    return json.dumps({"cluster": cluster, "task": task})


@pytest.mark.parametrize(
    "text",
    [
        tf_config(worker=["a:1", "b:1"], index=1),
        tf_config(worker=["a:1"], chief=["b:1"], kind="chief"),
    ],
)
def test_several_workers_are_a_cluster(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    resolver = find_cluster()
    task = json.loads(text)["task"]
    assert (resolver.task_type, resolver.task_id) == tuple(task.values())
    assert resolver.cluster_spec().as_dict() == json.loads(text)["cluster"]


@pytest.mark.parametrize(
    "task",
    [
        {"type": "worker", "index": "1"},
        {"type": "worker", "index": 1.0},
        {"type": "worker", "index": " 01 "},
    ],
)
@pytest.mark.parametrize(
    "cluster",
    [
        {"worker": ["a:1", "b:1"]},
        {"worker": {"1": "b:1", "0": "a:1"}},
        {"chief": {"0": "c:1"}, "worker": ["a:1", "b:1"]},
    ],
)
def test_what_tensorflow_takes_is_taken(monkeypatch, task, cluster):
    text = {"cluster": cluster, "task": task, "environment": "cloud"}
    monkeypatch.setenv("TF_CONFIG", json.dumps(text))
    resolver = find_cluster()
    assert (resolver.task_type, resolver.task_id) == ("worker", 1)
    assert resolver.cluster_spec().task_address("worker", 1) == "b:1"
    # What the workers meet by is the same.
    met = []
    monkeypatch.setattr(startup, "meet", lambda *given: met.append(given))
    startup.meet_workers(resolver, 1.0, print)
    ((addresses, index, *_),) = met
    assert addresses == [*["c:1"][: len(cluster) - 1], "a:1", "b:1"]
    assert addresses[index] == "b:1"


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        " ",
        "{}",
        '{"cluster": {}}',
        '{"task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1"]}}',
        tf_config(worker=["a:1"]),
        tf_config(worker={"0": "a:1"}, index="0"),
    ],
)
def test_one_worker_is_no_cluster(monkeypatch, text):
    if text is not None:
        monkeypatch.setenv("TF_CONFIG", text)
    assert find_cluster() is None
    assert choose_strategy("auto") is tf.distribute.get_strategy()
    with pytest.raises(ValueError, match="must name two workers or more"):
        choose_strategy("multi_worker")


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "must be JSON"),
        ("[]", "must have a `cluster`"),
        ("null", "must have a `cluster`"),
        ('{"cluster": ["a:1", "b:1"]}', "must have a `cluster`"),
        (tf_config(worker=[]), "must have a `cluster`"),
        (tf_config(worker="a:1"), "must have a `cluster`"),
        (tf_config(worker={"1": "a:1", "2": "b:1"}), "without a gap"),
        (tf_config(worker={"0": "a:1", "00": "b:1"}), "without a gap"),
        (tf_config(worker=["a:1"], ps=["b:1"]), "take part: 'ps' cannot"),
        (tf_config(worker=["a:1"], master=["b:1"]), "'master' cannot"),
        (tf_config(worker=["a:1"], kind="evaluator"), "'evaluator' cannot"),
        (tf_config(chief=["a:1", "b:1"]), "or one of a chief"),
        ('{"cluster": {"worker": ["a:1", "b:1"]}}', "must have a `task`"),
        (tf_config(worker=["a:1", "b:1"], kind="chief"), "a `type` of the"),
        (tf_config(worker=["a", "b:1"]), "addresses of a host and a port"),
        (
            tf_config(worker=["a:99999", "b:1"]),
            "addresses of a host and a port",
        ),
        (tf_config(worker=["a:1", "a:1"]), "a different address for each"),
        (tf_config(worker=["a:1", "b:1"], index=2), "`index` from 0 to 1"),
        (tf_config(worker=["a:1", "b:1"], index=-1), "`index` from 0 to 1"),
        (tf_config(worker=["a:1", "b:1"], index="x"), "`index` from 0 to 1"),
        (tf_config(worker=["a:1", "b:1"], index=0.5), "`index` from 0 to 1"),
        (tf_config(worker=["a:1", "b:1"], index=None), "`index` from 0 to 1"),
        (tf_config(worker=["a:" + "9" * 5000, "b:1"]), "a host and a port"),
        (tf_config(worker=[1, "b:1"]), "addresses of a host and a port"),
    ],
)
def test_wrong_tf_config_is_refused(monkeypatch, text, message):
    monkeypatch.setenv("TF_CONFIG", text)
    for make in (choose_strategy, multi_worker_strategy):
        with pytest.raises(ValueError, match=message):
            make()


@pytest.mark.parametrize(
    "node, local, index", [("n2", "0", 2), ("n10", "0", 0), ("n10", "1", 1)]
)
def test_slurm_tasks_find_their_own_address(monkeypatch, node, local, index):
    # The resolver sorts by name, so n10 comes before n2.
    own = {"SLURMD_NODENAME": node, "SLURM_LOCALID": local}
    for name, value in (SLURM | own).items():
        monkeypatch.setenv(name, value)
    resolver = find_cluster()
    workers = ["n10:10007", "n10:10008", "n2:10007"]
    assert resolver.cluster_spec().as_dict() == {"worker": workers}
    assert (resolver.task_type, resolver.task_id) == ("worker", index)


@pytest.mark.parametrize(
    "nodes, counts, expected",
    [
        ("r[1-2]n[1-2]", "1(x4)", ["r1n1", "r1n2", "r2n1", "r2n2"]),
        ("n[08-10]-ib,m", "1(x4)", ["m", "n08-ib", "n09-ib", "n10-ib"]),
        ("a,n[1,3]", "1(x2),1", ["a", "n1", "n3"]),
        ("gpu-1-2,gpu-1-3", "1,1", ["gpu-1-2", "gpu-1-3"]),
    ],
)
def test_lists_of_nodes_are_read_as_slurm_writes_them(
    monkeypatch, nodes, counts, expected
):
    own = {
        "SLURMD_NODENAME": expected[-1],
        "SLURM_STEP_NUM_TASKS": str(len(expected)),
        "SLURM_STEP_NODELIST": nodes,
        "SLURM_STEP_TASKS_PER_NODE": counts,
    }
    for name, value in (SLURM | own).items():
        monkeypatch.setenv(name, value)
    # An empty description is none, as in TensorFlow.
    monkeypatch.setenv("TF_CONFIG", "{}")
    resolver = find_cluster()
    assert resolver.cluster_spec().as_dict() == {
        "worker": [f"{node}:10007" for node in expected]
    }
    assert resolver.task_id == len(expected) - 1


@pytest.mark.parametrize(
    "name, value",
    [
        ("SLURM_STEP_NUM_TASKS", "two"),
        ("SLURM_STEP_NUM_TASKS", "0"),
        ("SLURM_STEP_NUM_TASKS", "4"),
        ("SLURM_JOB_ID", "12_3"),
        ("SLURM_JOB_ID", ""),
        ("SLURM_LOCALID", "-1"),
        ("SLURM_STEP_NODELIST", "n[1-"),
        ("SLURM_STEP_NODELIST", "n[1-b]"),
        ("SLURM_STEP_NODELIST", "n1,,n2"),
        ("SLURM_STEP_NODELIST", "n[2-1]"),
        ("SLURM_STEP_NODELIST", "n2,n2"),
        ("SLURM_STEP_NODELIST", ""),
        ("SLURM_STEP_TASKS_PER_NODE", "1"),
        ("SLURM_STEP_TASKS_PER_NODE", "1(y2)"),
    ],
)
def test_wrong_slurm_step_is_refused(monkeypatch, name, value):
    for each, right in (SLURM | {name: value}).items():
        monkeypatch.setenv(each, right)
    with pytest.raises(ValueError, match=f"`{name}`.*Received: ") as raised:
        find_cluster()
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("count", ["", "1"])
def test_slurm_step_of_one_task_is_no_cluster(monkeypatch, count):
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", count)
    assert find_cluster() is None


@pytest.mark.parametrize("name", ["SLURM_JOB_ID", "SLURMD_NODENAME"])
def test_slurm_step_that_says_too_little_is_refused(monkeypatch, name):
    for each, value in SLURM.items():
        monkeypatch.setenv(each, value)
    monkeypatch.delenv(name)
    with pytest.raises(ValueError, match=f"`{name}` must be set"):
        find_cluster()


def test_slurm_task_of_another_step_is_refused(monkeypatch):
    for name, value in (SLURM | {"SLURMD_NODENAME": "n3"}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match="Received: n3:10007"):
        find_cluster()


def test_no_strategy_is_one_device():
    strategy = choose_strategy("none")
    assert strategy.num_replicas_in_sync == 1
    assert is_chief(strategy)


def test_unknown_strategy_is_refused():
    with pytest.raises(ValueError, match="`name` must be one of"):
        choose_strategy("tpu")


def test_workers_must_meet_before_anything_else(monkeypatch):
    tf.constant(0)
    text = tf_config(worker=["localhost:1", "localhost:2"])
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(RuntimeError, match="before TensorFlow is used"):
        multi_worker_strategy()


def test_one_device_gets_batches_as_they_are():
    batches = tf.data.Dataset.range(8).batch(4)
    strategy = choose_strategy("none")
    assert share_batches(strategy, lambda *shard: batches) is batches


OPERATION = "__wrapped__CollectiveReduceV2_device_"


@pytest.mark.parametrize(
    "message, who",
    [
        (
            f"{OPERATION}/job:worker/replica:0/task:1/device:CPU:0 Collective "
            "ops is aborted: remote target /job:worker/replica:0/task:0",
            "worker 0",
        ),
        ("remote target /job:chief/replica:0/task:0 while", "chief 0"),
        ("Collective ops is aborted", "another worker"),
    ],
)
def test_errors_of_tensorflow_name_the_worker_that_is_missing(message, who):
    assert failures._missing(message) == who
