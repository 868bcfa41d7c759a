"""Models as people write them go through all that the library does."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import dsr_tf
from dsr_tf.layers import sparse_layers
from dsr_tf.layers.masked_variable import MaskedVariable
from dsr_tf.layers.tree import all_layers
from tests.zoo import ZOO
from tests.zoo import Case

pytestmark = pytest.mark.slow
SPARSITY = 0.8
# Models that are trained as usual.
GRAPHS = ("encoder", "unet", "lstm_of_ids", "blocks", "half_precision")


@dataclass(frozen=True)
class Trained:
    """A model of the zoo, and the sparse one that was trained.

    Args:
        case: The model and its data; not sparse, unless it cannot be copied.
        sparse: The sparse model, after two steps and two reallocations.
        first: Its masks before.
        y: Its outputs.
    """

    case: Case
    sparse: keras.Model
    first: list[np.ndarray]
    y: Any


def sparsified(case, seed=0):
    return dsr_tf.sparsify(
        case.model, SPARSITY, seed=seed, in_place=case.in_place
    )


def masks(model):
    return [x.kernel_mask.numpy() for x in sparse_layers(model)]


def active(model):
    return sum(x.num_active for x in sparse_layers(model))


def outputs(model, x):
    return keras.tree.map_structure(np.asarray, model(x, training=False))


def equal(one, other):
    pairs = zip(keras.tree.flatten(one), keras.tree.flatten(other), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def close(one, other):
    pairs = zip(keras.tree.flatten(one), keras.tree.flatten(other), strict=True)
    return all(np.allclose(a, b, rtol=1e-2, atol=1e-3) for a, b in pairs)


def train(model, case, **arguments):
    """Takes two steps, each of which moves weights."""
    model.compile(
        keras.optimizers.SGD(1e-4, momentum=0.9), "mse", jit_compile=False,
        **arguments,
    )  # fmt: skip
    moves = dsr_tf.callbacks.DSR(
        max(1, active(model) // 10), period=1, initial_threshold=0.1
    )
    model.fit(
        case.x, case.y, batch_size=2, verbose=0, shuffle=False,
        callbacks=[moves],
    )  # fmt: skip
    assert moves.state.num_reallocations == 2


def trained(build, **arguments):
    keras.utils.set_random_seed(0)
    case = build()
    sparse = sparsified(case)
    first = masks(sparse)
    train(sparse, case, **arguments)
    y = outputs(sparse, case.x)
    assert all(np.isfinite(x).all() for x in keras.tree.flatten(y))
    return Trained(case, sparse, first, y)


@pytest.fixture(scope="module", params=ZOO)
def one(request):
    # Two steps are faster than a graph of them.
    return trained(ZOO[request.param], run_eagerly=request.param not in GRAPHS)


@pytest.fixture(scope="module")
def plain(one):
    """The dense twin; for one that has none, None."""
    return None if one.case.in_place else dsr_tf.densify(one.sparse)


@pytest.fixture(scope="module")
def other(one):
    """A sparse model of equal layers, with other masks."""
    if not one.case.in_place:
        return sparsified(one.case, seed=1)
    return sparsified(ZOO["cannot_be_copied"](), seed=1)


def kinds(model):
    # Not their names: those that code makes without one get a new one.
    return [type(x).__name__ for x in all_layers(model)]


def assert_like(model, one):
    assert equal(masks(model), masks(one.sparse))
    assert equal(outputs(model, one.case.x), one.y)


def scramble(model):
    """Assigns ones to all weights but the masks and what `adapt` learned."""
    for weight in model.trainable_weights:
        weight.assign(keras.ops.ones_like(weight))


def check_budget(one):
    size = sum(x.kernel_units.num_weights for x in sparse_layers(one.sparse))
    assert active(one.sparse) == int((1 - SPARSITY) * size + 0.1)
    assert not equal(one.first, masks(one.sparse))
    for layer in sparse_layers(one.sparse):
        assert not layer.kernel.numpy()[~layer.kernel_mask.numpy()].any()


def check_dense(one, plain, path):
    assert equal(outputs(plain, one.case.x), one.y)
    assert not any(isinstance(x, MaskedVariable) for x in plain.weights)
    assert kinds(plain) == kinds(one.case.model)
    plain.save(path)
    again = keras.models.load_model(path)
    assert kinds(again) == kinds(plain)
    assert equal(outputs(again, one.case.x), one.y)


def check_saved(one, path):
    one.sparse.save(path)
    again = keras.models.load_model(path)
    assert_like(again, one)
    assert kinds(again) == kinds(one.sparse)


def check_arrays(one, path):
    dsr_tf.export(one.sparse, path, "npz", verbose=False)
    arrays = np.load(path)
    held = [n for n in arrays if not n.endswith(("/indices", "/shape"))]
    total = dsr_tf.summary(one.sparse, print_fn=None).model
    assert sum(arrays[x].size for x in held) == total.active_parameters


def test_budget_is_exact_and_masks_have_moved(one):
    check_budget(one)


def test_densified_models_are_plain(one, plain, tmp_path):
    if plain is None:
        with pytest.raises(ValueError, match="in_place=True"):
            dsr_tf.densify(one.sparse)
        return
    check_dense(one, plain, tmp_path / "dense.keras")


def test_saved_models_are_as_they_were(one, plain, tmp_path):
    if plain is not None:
        check_saved(one, tmp_path / "sparse.keras")


def test_weights_go_into_another_model(one, other, tmp_path):
    assert not equal(masks(other), masks(one.sparse))
    one.sparse.save_weights(tmp_path / "sparse.weights.h5")
    other.load_weights(tmp_path / "sparse.weights.h5")
    assert_like(other, one)
    scramble(other)
    # As a list: of a layer in a list TensorFlow's checkpoint of a Keras model
    # holds nothing.
    saved = tf.train.Checkpoint(weights=one.sparse.variables)
    path = saved.save(str(tmp_path / "checkpoint"))
    status = tf.train.Checkpoint(weights=other.variables).restore(path)
    status.assert_existing_objects_matched()
    assert_like(other, one)


def test_dense_weights_are_loaded_under_the_masks(one, plain, other, tmp_path):
    if plain is None:
        return
    path = tmp_path / "dense.weights.h5"
    plain.save_weights(path)
    with pytest.raises(ValueError, match="load_dense_weights"):
        other.load_weights(path)
    for layer, twin in zip(
        sparse_layers(other), sparse_layers(one.sparse), strict=True
    ):
        layer.set_mask(twin.kernel_mask)
    scramble(other)
    dsr_tf.load_dense_weights(other, path)
    assert_like(other, one)


def test_summaries_count_what_is_there(one):
    summary = dsr_tf.summary(one.sparse, print_fn=None)
    assert summary.sparse.active_parameters == active(one.sparse)
    mask_entries = sum(m.size for m in masks(one.sparse))
    assert summary.model.parameters == one.sparse.count_params() - mask_entries


def test_arrays_hold_each_weight_once(one, tmp_path):
    check_arrays(one, tmp_path / "arrays.npz")


def test_saved_models_of_tensorflow_compute_the_same(one, tmp_path):
    dsr_tf.export(one.sparse, tmp_path / "served", verbose=False)
    served = tf.saved_model.load(tmp_path / "served")
    assert close(served.serve(one.case.x), one.y)


@pytest.mark.parametrize("name", ["encoder", "unet", "hub_model"])
def test_lite_files_are_written(name, tmp_path):
    one = trained(ZOO[name])
    # They are compared with the model before they are moved there.
    dsr_tf.export(one.sparse, tmp_path / "m.tflite", "tflite", verbose=False)
    assert (tmp_path / "m.tflite").is_file()
