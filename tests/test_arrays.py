import keras
import numpy as np
import pytest
from keras import layers

import dsr_tf
from dsr_tf.layers import SparseDense


def written(model, folder, format):
    dsr_tf.export(model, folder / "arrays", format, verbose=False)
    with np.load(folder / "arrays", allow_pickle=False) as file:
        return dict(file)


def branch(name):
    inner = keras.Sequential(
        [keras.Input((4,)), layers.Dense(4, name="plain")], name="deep"
    )
    return keras.Sequential(
        [keras.Input((4,)), SparseDense(4, 0.5, name="same"), inner], name=name
    )


@pytest.mark.parametrize("format", ["npz", "csr"])
def test_layers_of_equal_names_are_all_written(tmp_path, format):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    outputs = [branch("left")(inputs), branch("right")(inputs)]
    model = keras.Model(inputs, layers.Add()(outputs), name="outer")
    arrays = written(model, tmp_path, format)
    part = {"npz": "values", "csr": "data"}[format]
    for name in ("left", "right"):
        sparse = model.get_layer(name).get_layer("same")
        assert f"{name}/same/kernel/{part}" in arrays, list(arrays)
        active = arrays[f"{name}/same/kernel/{part}"]
        assert sorted(active) == sorted(
            sparse.kernel.numpy()[sparse.kernel_mask.numpy() != 0]
        )
        plain = model.get_layer(name).get_layer("deep").get_layer("plain")
        kernel = arrays[f"{name}/deep/plain/kernel"]
        assert (kernel == plain.kernel.numpy()).all()
    # Of each branch: a kernel in parts, a plain one and two biases.
    assert len(arrays) == 2 * ({"npz": 3, "csr": 4}[format] + 3)


def test_other_names_stay_as_they_were(tmp_path):
    model = keras.Sequential(
        [keras.Input((4,)), SparseDense(3, 0.5, name="a"), layers.Dense(2)]
    )
    arrays = written(model, tmp_path, "npz")
    plain = [x.path for x in model.layers[1].weights]
    bias = model.layers[0].bias.path
    kernel = model.layers[0].kernel.path
    parts = [f"{kernel}/{x}" for x in ("values", "indices", "shape")]
    assert set(arrays) == {bias, *parts, *plain}


@pytest.mark.parametrize("format", ["npz", "csr"])
@pytest.mark.parametrize(
    "dtype, written_as",
    [
        ("float32", "float32"),
        ("float16", "float16"),
        ("mixed_bfloat16", "float32"),
        ("bfloat16", "float32"),
    ],
)
def test_arrays_have_types_that_numpy_reads(
    tmp_path, format, dtype, written_as
):
    model = keras.Sequential(
        [keras.Input((4,)), SparseDense(3, 0.5, dtype=dtype)]
    )
    arrays = written(model, tmp_path, format)
    layer = model.layers[0]
    part = {"npz": "values", "csr": "data"}[format]
    values = arrays[f"{layer.kernel.path}/{part}"]
    assert values.dtype == written_as
    assert arrays[layer.bias.path].dtype == written_as
    kernel = np.asarray(layer.kernel).astype("float32")
    active = kernel[np.asarray(layer.kernel_mask) != 0]
    assert sorted(values.astype("float32")) == sorted(active)
