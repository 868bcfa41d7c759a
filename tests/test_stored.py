"""How kernels are stored: chosen, said, and undone for files."""

import json
import logging
from pathlib import Path

import keras
import numpy as np
import pytest

import dsr_tf
from dsr_tf.layers import step_cost as costs
from dsr_tf.layers.sparse_classes import BLOCK_OF
from dsr_tf.layers.step_cost import step_cost
from dsr_tf.units import Granularity
from dsr_tf.units import Units


def network(*widths):
    hidden = [keras.layers.Dense(n, activation="relu") for n in widths[1:]]
    return keras.Sequential([keras.Input(widths[:1]), *hidden])


def stored(model):
    return [x.storage for x in dsr_tf.layers.sparse_layers(model)]


def test_blocks_are_stored_where_they_pay():
    model = network(1024, 1024, 64)
    arguments = {"sparsity": 0.9, "granularity": (32, 32)}
    chosen = dsr_tf.sparsify(model, **arguments, storage="auto")
    assert stored(chosen) == ["blocks", "masks"]
    assert stored(dsr_tf.sparsify(model, **arguments)) == ["masks", "masks"]
    half = arguments | {"sparsity": 0.5}
    chosen = dsr_tf.sparsify(model, **half, storage="auto")
    assert stored(chosen) == ["masks", "masks"]


def test_what_keeps_a_mask_is_named(caplog):
    inputs = keras.Input((8, 8, 4))
    x = keras.layers.Conv2D(8, 3, name="wide")(inputs)
    x = keras.layers.Conv2D(8, 1, name="point")(x)
    x = keras.layers.Dense(
        8, kernel_regularizer="orthogonal_regularizer", name="orthogonal"
    )(x)
    model = keras.Model(inputs, keras.layers.Dense(8, name="dense")(x))
    with caplog.at_level(logging.WARNING):
        sparse = dsr_tf.sparsify(
            model, 0.5, include="*", granularity=(4, 4), storage="blocks"
        )
    kinds = [sparse.get_layer(x).storage for x in ("point", "dense")]
    assert kinds == ["blocks", "blocks"]
    assert (
        "2 of 4 kernels of model 'functional" in caplog.text
        and "neither time nor memory: wide, orthogonal. Blocks" in caplog.text
    )


@pytest.mark.parametrize("storage", ["blocks", "auto"])
def test_only_blocks_are_stored(storage):
    with pytest.raises(ValueError, match="`granularity` must be that of block"):
        dsr_tf.sparsify(network(8, 8), 0.5, storage=storage)
    with pytest.raises(ValueError, match="`granularity` must be that of block"):
        dsr_tf.models.lenet_300_100(storage=storage)


def test_networks_store_blocks():
    model = dsr_tf.models.lenet_300_100(
        sparsity=0.8, granularity=(10, 10), storage="blocks"
    )
    same = dsr_tf.models.lenet_300_100(sparsity=0.8, granularity=(10, 10))
    assert stored(model) == ["blocks"] * 3
    images = np.random.default_rng(0).normal(size=(4, 28, 28, 1))
    expected = same.predict(images, verbose=0)
    found = model.predict(images, verbose=0)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_costs_are_those_measured():
    rows = json.loads(
        Path(costs.__file__).with_name("step_costs.json").read_text()
    )["costs"]
    for row in rows:
        block = (row["block"], row["block"])
        units = Units((row["size"], row["size"]), Granularity.of(block))
        found = step_cost(units, row["density"])
        assert found == pytest.approx(row["cost"])


def test_costs_are_interpolated_and_end_at_the_edges():
    def cost(size, block, density):
        units = Units((size, size), Granularity.of((block, block)))
        return step_cost(units, density)

    between = cost(1024, 32, 0.07)
    assert min(ends := [cost(1024, 32, x) for x in (0.05, 0.1)]) < between
    assert between < max(ends)
    assert cost(4096, 64, 0.001) == cost(2048, 64, 0.02)
    assert cost(64, 2, 1.0) == cost(128, 4, 0.5)


def test_summary_says_what_a_step_costs():
    model = network(1024, 1024, 512)
    sparse = dsr_tf.sparsify(model, 0.9, granularity=(32, 32), storage="blocks")
    texts = []
    found = dsr_tf.summary(sparse, print_fn=texts.append)
    first, second = found.layers
    assert (first.storage, first.granularity) == ("blocks", "32x32")
    assert 0 < first.step_cost < second.step_cost < 1
    weighted = (2 * first.step_cost + second.step_cost) / 3
    assert found.step_cost == pytest.approx(weighted)
    assert "sparse, 32x32, stored" in texts[0]
    assert f"costs about {weighted:.2f} of dense layers" in texts[0]
    assert found.model.active_parameters == sparse.count_params() - sum(
        x.kernel_positions.shape[0] for x in sparse.layers
    )
    assert found.model.dense_parameters == model.count_params()
    masked = dsr_tf.sparsify(model, 0.9, granularity=(32, 32))
    assert dsr_tf.summary(masked, print_fn=None).step_cost is None


@pytest.mark.parametrize("format", ["npz", "csr", "saved_model"])
def test_a_file_is_that_of_masks_and_the_model_is_as_before(tmp_path, format):
    sparse = dsr_tf.sparsify(
        network(16, 16, 8), 0.5, granularity=(4, 4), storage="blocks"
    )
    sparse.compile("adam", "mse")
    x = np.random.default_rng(0).normal(size=(8, 16)).astype("float32")
    sparse.fit(x, x[:, :8], verbose=0)
    before = sparse.predict(x, verbose=0)
    weights = [id(w) for w in sparse.weights]
    dsr_tf.export(sparse, tmp_path / "file", format=format, verbose=False)
    assert [id(w) for w in sparse.weights] == weights
    np.testing.assert_array_equal(sparse.predict(x, verbose=0), before)
    sparse.fit(x, x[:, :8], verbose=0)
    if format == "npz":
        with np.load(tmp_path / "file") as arrays:
            names = [name for name in arrays if name.endswith("/values")]
            assert sum(arrays[name].size for name in names) == sum(
                layer.num_active for layer in sparse.layers
            )


def test_a_class_of_ones_own_is_not_exported(tmp_path):
    class Own(BLOCK_OF[keras.layers.Dense]):
        pass

    layer = Own(8, 0.5, granularity=(4, 4))
    first = BLOCK_OF[keras.layers.Dense](8, 0.5, granularity=(4, 4))
    model = keras.Sequential([keras.Input((8,)), first, layer])
    with pytest.raises(ValueError, match="of a class of this library.*Own"):
        dsr_tf.export(model, tmp_path / "file", format="npz")
    assert type(layer) is Own and layer.storage == "blocks"
    assert first.storage == "blocks"
    with pytest.raises(ValueError, match="of a class of this library.*Own"):
        dsr_tf.densify(model, in_place=True)
    assert first.storage == "blocks"


def attention():
    inputs = keras.Input((4, 16))
    x = keras.layers.MultiHeadAttention(2, 8, name="attention")(inputs, inputs)
    x = keras.layers.Dense(16, name="dense")(x)
    model = keras.Model(inputs, x)
    return dsr_tf.sparsify(model, 0.5, granularity=(4, 4), storage="blocks")


def moved_across_layers():
    """Returns attention whose layers no longer have as many blocks."""
    model = attention()
    layers = dsr_tf.layers.sparse_layers(model)
    some, others = layers[0].kernel_mask, layers[-1].kernel_mask
    masks = [np.zeros(x.shape, bool) for x in (some, others)]
    masks[0].reshape(16, 16)[:4, :4] = True
    masks[1][:] = True
    layers[0].set_mask(masks[0])
    layers[-1].set_mask(masks[1])
    return model


def test_loaded_attention_computes_to_the_bit_what_it_did(tmp_path):
    model = moved_across_layers()
    model.compile("adam", "mse")
    x = np.random.default_rng(0).normal(size=(8, 4, 16)).astype("float32")
    model.fit(x, x, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    expected = model.predict(x, verbose=0)
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), expected)
    for one, other in zip(
        loaded.optimizer.variables, model.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
