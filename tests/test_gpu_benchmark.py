"""Whether the command that checks GPUs tells right from wrong."""

import json
import operator
import os
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import gpu
from benchmarks import gpu_methods
from benchmarks import gpu_replicas
from benchmarks.gpu import Part
from benchmarks.gpu_page import page
from benchmarks.gpu_worker import Worker
from benchmarks.training import paper_config
from dsr_tf.data import load_images
from dsr_tf.layers import sparse_layers
from dsr_tf.models import lenet_300_100
from dsr_tf.runs.build import build_reallocation


@pytest.fixture(scope="module")
def batches():
    images = load_images("digits")
    return images.train_batches(2 * gpu_replicas.IMAGES, seed=0)


@pytest.fixture(scope="module")
def trained(strategy, batches):
    """Returns both networks, and what was found of them."""
    both = gpu_replicas.networks(strategy)
    found = gpu_replicas.compared(*both, strategy, batches, batches)
    return *both, found


def again(trained, strategy):
    """Looks at the masks again, and returns what is found now."""
    one, several, found = trained
    now = gpu_replicas.masks(one, several, strategy)
    return gpu_replicas.verdict(**{**found, **now, "is_right": None})


def test_replicas_that_train_as_one_device_does_are_right(trained):
    one, _, found = trained
    assert len(sparse_layers(one)) == 3
    assert found["masks_moved"] > 100
    assert found["masks_differing"] == found["copies_differing"] == 0
    assert found["is_right"]


def test_a_replica_that_sees_other_images_is_wrong(strategy, batches):
    half = gpu_replicas.IMAGES

    def of_first(images, labels):
        return tuple(
            tf.tile(x[:half], [2] + [1] * (len(x.shape) - 1))
            for x in (images, labels)
        )

    both = gpu_replicas.networks(strategy)
    others = batches.map(of_first)
    found = gpu_replicas.compared(*both, strategy, batches, others)
    assert found["copies_differing"] == 0
    assert not found["is_right"]


@pytest.mark.parametrize("replicas", [[0], [1], [0, 1]], ids=str)
@pytest.mark.parametrize("name", ["kernel", "kernel_mask"])
def test_a_number_that_differs_is_wrong(trained, strategy, name, replicas):
    # A kernel that is the same on all replicas is compared before it moves.
    if name == "kernel" and len(replicas) == 2:
        replicas = [1]
    variable = getattr(sparse_layers(trained[1])[1], name).value
    copies = strategy.experimental_local_results(variable)
    for index in replicas:
        flip(copies[index])
    assert not again(trained, strategy)["is_right"]
    for index in replicas:
        flip(copies[index])
    assert again(trained, strategy)["is_right"]


def flip(variable):
    """Changes one number, and, called again, changes it back."""
    values = variable.numpy()
    first = values[0, 0]
    values[0, 0] = not first if values.dtype == bool else -1.0 - first
    variable.assign(values)


def test_replicas_that_do_not_move_are_not_right(trained):
    *_, found = trained
    still = {**found, "kernels_moved": 0.0, "kernels_apart": 0.0}
    assert not gpu_replicas.verdict(**still)["is_right"]


@pytest.fixture
def training():
    """Returns a training of fixed masks that did right."""
    model = lenet_300_100((8, 8, 1), width=0.1, sparsity=0.9)
    budget = sum(layer.num_active for layer in sparse_layers(model))
    return SimpleNamespace(model=model, callback=None, budget=budget)


STATIC = paper_config("mnist_lenet_static_90")


def test_a_training_that_keeps_all_is_right(training):
    assert gpu_methods.verdict(STATIC, training)["is_right"]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda kernel, mask: np.where(mask, kernel, 1e-9), "is_masked"),
        (lambda kernel, mask: np.where(mask, np.nan, kernel), "is_finite"),
    ],
    ids=["mask", "numbers"],
)
def test_a_training_that_loses_something_is_wrong(training, change, name):
    layer = sparse_layers(training.model)[0]
    mask = layer.kernel_mask.numpy()
    # What is assigned to the kernel itself, it masks.
    layer.kernel.value.assign(change(layer.kernel.numpy(), mask))
    found = gpu_methods.verdict(STATIC, training)
    assert not found[name]
    assert not found["is_right"]


def test_a_training_that_loses_a_weight_is_wrong(training):
    training.budget += 1
    assert not gpu_methods.verdict(STATIC, training)["is_right"]


def test_a_method_that_moves_nothing_is_wrong(training):
    config = paper_config("mnist_lenet_dsr_90")
    found = gpu_methods.verdict(config, training)
    assert found["reallocations"] == 0
    assert not found["is_right"]


def test_a_worker_goes_on_after_errors_and_deaths():
    with Worker() as worker:
        assert worker.call(divmod, 7, 2) == (3, 1)
        assert (
            "ZeroDivisionError" in worker.call(operator.truediv, 1, 0)["error"]
        )
        died = worker.call(os.abort)
        assert "Its process died: -6" in died["error"]
        assert "Fatal Python error: Aborted" in died["log"]
        assert worker.call(divmod, 7, 2) == (3, 1)


def test_what_fails_is_told_and_loses_nothing(tmp_path):
    found = {"is_right": False, "differing": 1}
    planned = [
        [
            Part("replicas", os.abort),
            Part("determinism", dict, (found,), {"method": "set", "xla": True}),
        ],
        [Part("machine", operator.truediv, (1, 0))],
    ]
    records = gpu.run(planned, tmp_path)
    assert [x["verdict"] for x in records] == ["FAILED", "WRONG", "FAILED"]
    saved = json.loads((tmp_path / "gpu.json").read_text())
    assert saved == {"parts": records}
    text = (tmp_path / "gpu.md").read_text()
    assert "* determinism, set, XLA: WRONG" in text
    assert "| set | yes | WRONG |" in text
    assert "ZeroDivisionError" in text


def test_a_part_that_ends_the_command_is_named(tmp_path, monkeypatch):
    def interrupted(part, worker):
        raise KeyboardInterrupt

    monkeypatch.setattr(gpu, "_measured", interrupted)
    with pytest.raises(KeyboardInterrupt):
        gpu.run([[Part("replicas", dict)]], tmp_path)
    assert "* replicas: running" in (tmp_path / "gpu.md").read_text()


def test_one_card_is_no_check_of_replicas():
    record = {"kind": "replicas", "name": "replicas", "verdict": "done"}
    assert "NOT CHECKED" in page([{**record, "replicas": 1}])


def test_memory_is_what_one_training_adds_on_a_card(monkeypatch):
    held = {"current": 100, "peak": 900}

    def hold(num_bytes):
        held["current"] += num_bytes
        held["peak"] = max(held["peak"], held["current"])

    def begin(*_, **__):
        hold(30)
        return lambda: (hold(20), hold(-20))

    config = gpu_methods.tf.config
    monkeypatch.setattr(config, "list_physical_devices", lambda kind: [kind])
    monkeypatch.setattr(gpu_methods, "Training", begin)
    own = config.experimental
    monkeypatch.setattr(
        own, "reset_memory_stats", lambda _: held.update(peak=held["current"])
    )
    monkeypatch.setattr(own, "get_memory_info", lambda _: held)
    assert gpu_methods._begun(STATIC, xla=False)[1] == 50


def test_page_names_cards_and_their_memory():
    times = {"median": 1.0, "min": 0.9, "max": 1.1}
    versions = dict.fromkeys(("dsr_tf", "tensorflow", "keras", "cuda"), "1.2")
    machine = {**versions, "cudnn": None, "gpus": [{"device_name": "A card"}]}
    method = {"method": "set", "network": "wrn", "precision": "float16"}
    method |= {"xla": True, "reallocations": 8, "to_dense": times}
    method |= {"peak_bytes": 2**30, "peak_bytes_of_dense": 2**29}
    text = page(
        [
            {"kind": "machine", "name": "", "verdict": "done", **machine},
            {"kind": "method", "name": "", "verdict": "RIGHT", **method},
        ]
    )
    assert "| A card | 1.2 | 1.2 | 1.2 | 1.2 | None |" in text
    assert "There is no GPU" not in text
    assert (
        "| set | wrn | float16 | yes | RIGHT | 8 | 1.00 (0.90 to 1.10) "
        "| 2.00, 1,024 MiB |"
    ) in text


@pytest.mark.parametrize("quick", [False, True], ids=["whole", "quick"])
@pytest.mark.parametrize("method", gpu_methods.METHODS)
def test_every_method_has_flags_that_make_it(method, quick):
    given = gpu_methods.network(method, quick)
    config = gpu_methods._config(given, gpu_methods.METHODS[method])
    made = build_reallocation(config)
    assert (made is not None) == config.record.moves_weights


def test_all_methods_are_among_the_parts():
    parts = [x for together in gpu.parts(1, False) for x in together]
    for precision, xla in gpu.KINDS:
        of = {"precision": precision, "xla": xla}
        found = [
            x.about["method"] for x in parts if of.items() <= x.about.items()
        ]
        assert found == list(gpu_methods.METHODS)
