"""Training on several replicas and workers, in processes of their own."""

import keras
import numpy as np
import pytest

from dsr_tf.layers import sparse_layers
from tests.processes import finish
from tests.processes import run_workers
from tests.processes import start

pytestmark = pytest.mark.slow

LAYERS = ("conv", "hidden", "logits")
# The last two are compared between replicas only.
METHODS = (
    *("dsr", "set", "chts", "deepr", "gradual"),
    *("blocks", "rigl", "snfs", "itop", "granet", "mest", "mest soft"),
    *("by gradient", "drawn", "static", "hashed"),
)


@pytest.fixture(scope="module")
def run(starter, tmp_path_factory):
    """Runs `train.py` in one process, and returns what it wrote."""

    def train(name, num_devices, num_methods):
        folder = tmp_path_factory.mktemp("run")
        given = name, num_devices, num_methods, folder
        finish(start(starter, "train.py", *given))
        return dict(np.load(folder / "worker_0.npz"))

    return train


@pytest.fixture(scope="module")
def single(run):
    return run("none", 1, len(METHODS) - 2)


@pytest.fixture(scope="module")
def mirrored(run):
    return run("mirrored", 2, len(METHODS))


@pytest.fixture(scope="module")
def four(run):
    return run("mirrored", 4, 2)


@pytest.fixture(scope="module")
def folder(starter, tmp_path_factory):
    folder = tmp_path_factory.mktemp("workers")
    run_workers(starter, "train.py", "multi_worker", 1, len(METHODS), folder)
    return folder


@pytest.fixture(scope="module")
def workers(folder):
    return [dict(np.load(folder / f"worker_{i}.npz")) for i in range(2)]


def keys(run, *parts):
    found = [key for key in run if key.startswith("/".join(parts) + "/")]
    assert found
    return found


def test_replicas_see_the_batches_of_one_process(
    single, mirrored, four, workers
):
    # Steps, replicas of the process, images.
    expected = np.sort(single["seen"].reshape(6, 16))
    assert mirrored["seen"].shape == (6, 2, 8)
    assert four["seen"].shape == (6, 4, 4)
    both = np.concatenate([worker["seen"] for worker in workers], axis=1)
    for seen in (mirrored["seen"], four["seen"], both):
        assert (np.sort(seen.reshape(6, 16)) == expected).all()


@pytest.mark.parametrize("method", METHODS)
def test_all_replicas_hold_the_same(mirrored, workers, method):
    for key in keys(mirrored, "value", method):
        first, second = mirrored[key]
        assert (first == second).all(), key
    for key in keys(workers[0], "value", method):
        ((first,), (second,)) = (worker[key] for worker in workers)
        assert (first == second).all(), key


@pytest.mark.parametrize("method", METHODS[:-2])
def test_masks_do_not_depend_on_the_number_of_replicas(
    single, mirrored, workers, method
):
    masks = keys(single, "mask", method)
    assert len(masks) == 4 * len(LAYERS)
    for key in masks:
        for other in (mirrored, *workers):
            assert (single[key] == other[key]).all(), key
    moved = [
        single[f"mask/{method}/1/{name}"] != single[f"mask/{method}/4/{name}"]
        for name in LAYERS
    ]
    assert any(each.any() for each in moved)


@pytest.mark.parametrize("method", METHODS[:2])
def test_masks_are_the_same_on_four_replicas(single, four, method):
    for key in keys(single, "mask", method):
        assert (single[key] == four[key]).all(), key
    for key in keys(four, "value", method):
        assert (four[key] == four[key][0]).all(), key


def test_budget_does_not_depend_on_the_number_of_replicas(
    single, mirrored, four, workers
):
    budget = single["log/dsr/active_weights"]
    for run in (mirrored, four, *workers):
        assert (run["log/dsr/active_weights"] == budget).all()


def test_what_was_ever_active_is_the_same_on_all_workers(workers):
    for method in METHODS[:2]:
        key = f"log/{method}/ever_active"
        assert (workers[0][key] == workers[1][key]).all()
        assert workers[0][key][0] < workers[0][key][-1] <= 1


@pytest.mark.parametrize("name", ["loss", "val_loss", "val_accuracy"])
def test_metrics_are_those_of_one_process(
    single, mirrored, four, workers, name
):
    key = f"log/dsr/{name}"
    assert (workers[0][key] == workers[1][key]).all()
    for run in (mirrored, four, workers[0]):
        np.testing.assert_allclose(run[key], single[key], rtol=1e-4)


def test_evaluate_and_predict_work(mirrored, four, workers):
    for run in (mirrored, four, *workers):
        assert np.isfinite(run["evaluated"]).all()
        np.testing.assert_allclose(run["predicted"], run["expected"], 1e-5)
    assert (workers[0]["evaluated"] == workers[1]["evaluated"]).all()


def test_chief_alone_writes(folder, workers):
    assert [x.name for x in folder.glob("*.keras")] == ["written_by_0.keras"]
    model = keras.models.load_model(folder / "written_by_0.keras")
    for variable in model.trainable_variables:
        # Before these two stands a number of this process's models.
        layer, name = variable.path.split("/")[-2:]
        value = workers[0][f"value/hashed/network/{layer}/{name}"][0]
        assert (variable.numpy() == value).all()
    assert [layer.name for layer in sparse_layers(model)] == ["conv", "logits"]


@pytest.mark.parametrize("name", ["mirrored", "four"])
def test_tampered_replica_stops_the_run(request, name):
    last = {"mirrored": 1, "four": 3}[name]
    message = str(request.getfixturevalue(name)["tampered"])
    assert "kernel_mask` of layer 'hidden'" in message
    assert f"on replicas [{last}], at optimizer step 2" in message


def test_tampered_worker_stops_all(workers):
    messages = [str(worker["tampered"]) for worker in workers]
    assert messages[0] == messages[1]
    assert "kernel_mask` of layer 'hidden'" in messages[0]
    assert "on replicas [1], at optimizer step 2" in messages[0]


def test_keras_still_needs_the_fix(workers):
    for worker in workers:
        assert str(worker["without_fix"]).startswith("ValueError")


def test_sigterm_ends_a_worker(workers):
    assert not any(worker["ignores_sigterm"] for worker in workers)
