"""Values that differ between replicas, in checkpoints."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dsr_tf.training.replica_values import ReplicaValues
from dsr_tf.training.replica_values import read_local
from dsr_tf.training.replica_values import write_local
from tests.processes import finish
from tests.processes import run_workers
from tests.processes import start

STOPS = {"within": [1, 2], "last_batch": [1, 4], "test": [1, 4], "end": [1, 0]}


def test_one_replica_keeps_nothing():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    state = ReplicaValues(tf.distribute.get_strategy())
    state.gather({"model": model.variables})
    other = ReplicaValues(tf.distribute.get_strategy())
    other.deserialize(state.serialize())
    before = model.get_weights()
    other.assign({"model": model.variables})
    for one, two in zip(before, model.get_weights(), strict=True):
        assert (one == two).all()


def test_values_of_this_process_are_read_and_written():
    strategy = tf.distribute.get_strategy()
    variable = keras.Variable([1.0, 2.0])
    values = read_local(strategy, [variable])
    assert [x.tolist() for x in values[0]] == [[1.0, 2.0]]
    write_local(strategy, [variable], [[np.array([3.0, 4.0])]])
    assert variable.numpy().tolist() == [3.0, 4.0]


@pytest.fixture(scope="module")
def mirrored(starter, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mirrored")
    finish(start(starter, "resume.py", "mirrored", folder))
    return [dict(np.load(folder / "worker_0.npz"))]


@pytest.fixture(scope="module")
def workers(starter, tmp_path_factory):
    folder = tmp_path_factory.mktemp("workers")
    run_workers(starter, "resume.py", "multi_worker", folder)
    return [dict(np.load(folder / f"worker_{i}.npz")) for i in range(2)]


@pytest.mark.slow
@pytest.mark.parametrize("kind", STOPS)
@pytest.mark.parametrize("name", ["mirrored", "workers"])
def test_a_resumed_run_ends_as_the_unbroken_one(request, name, kind):
    for own in request.getfixturevalue(name):
        assert own[f"stopped/{kind}"].tolist() == STOPS[kind]
        whole = [x for x in own if x.startswith("whole/")]
        assert len(whole) > 40
        for key in whole:
            other = own[key.replace("whole", kind)]
            np.testing.assert_array_equal(own[key], other, key)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mirrored", "workers"])
def test_averages_differ_between_replicas(request, name):
    """Else the tests above would compare nothing."""
    found = request.getfixturevalue(name)
    for part in ("moving_mean", "moving_variance"):
        (key,) = (x for x in found[0] if "whole/" in x and x.endswith(part))
        first, second = np.concatenate([own[key] for own in found])
        assert (first != second).any()


@pytest.mark.slow
def test_metrics_of_all_workers_are_the_same(workers):
    first, second = workers
    keys = [x for x in first if x.endswith(("/loss", "/val_loss"))]
    assert len(keys) == 2 * 3 * 5
    for key in keys:
        assert first[key] == second[key], key


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mirrored", "workers"])
def test_a_checkpoint_without_them_is_gone_on_from(request, name):
    for own in request.getfixturevalue(name):
        assert own["old_goes_on"].tolist() == [1, 2]
