import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers

import dsr_tf
from dsr_tf.layers import GroupLasso
from dsr_tf.layers import HashedConv2D
from dsr_tf.layers import HashedDense
from dsr_tf.layers import SparseConv2D
from dsr_tf.layers import SparseDense
from dsr_tf.layers import sparse_layers

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 6, 6, 2)).astype("float32")


def sparse():
    inputs = keras.Input((6, 6, 2))
    x = SparseConv2D(
        4, 3, 0.5, granularity="kernel", kernel_regularizer=GroupLasso(0.1, 0.2)
    )(inputs)
    x = layers.BatchNormalization()(x)
    x = HashedConv2D(4, 2, 0.5)(x)
    x = layers.Flatten()(x)
    inner = keras.Sequential(
        [keras.Input((36,)), SparseDense(5, 0.9, name="inner")], name="nested"
    )
    x = HashedDense(3, 0.5, use_bias=False, name="hashed")(inner(x))
    return keras.Model(inputs, x)


def test_densified_model_is_plain_keras_with_equal_outputs(tmp_path):
    model = sparse()
    plain = dsr_tf.densify(model)
    assert (np.asarray(model(X)) == np.asarray(plain(X))).all()
    path = tmp_path / "plain.keras"
    plain.save(path)
    np.save(tmp_path / "x.npy", X)
    # Where the library cannot be imported.
    code = """
import sys
sys.modules["dsr_tf"] = None
import keras, numpy as np
model = keras.models.load_model("plain.keras")
np.save("y.npy", model(np.load("x.npy")))
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    assert (np.load(tmp_path / "y.npy") == np.asarray(model(X))).all()


def test_penalty_of_slices_leaves_what_keras_has():
    plain = dsr_tf.densify(sparse())
    regularizer = plain.layers[1].kernel_regularizer
    assert type(regularizer) is keras.regularizers.L1L2
    assert regularizer.l1 == pytest.approx(0.2) and regularizer.l2 == 0


def test_there_and_back_again():
    model = keras.Sequential(
        [keras.Input((8,)), layers.Dense(6, name="a"), layers.Dense(2)]
    )
    there = dsr_tf.sparsify(model, 0.5, keep="magnitude")
    back = dsr_tf.densify(there)
    assert [type(x) for x in back.layers] == [layers.Dense] * 2
    for one, other in zip(there.layers, back.layers, strict=True):
        assert (one.kernel.numpy() == other.kernel.numpy()).all()


def dense_and_sparse():
    model = keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(6, name="a"),
            layers.BatchNormalization(name="n"),
            layers.Dense(2, name="b"),
        ],
        name="net",
    )
    model.set_weights([RNG.random(w.shape) for w in model.get_weights()])
    return model, dsr_tf.sparsify(model, 0.5, seed=1)


@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5"])
def test_dense_weights_are_loaded_under_the_masks(tmp_path, name):
    dense, model = dense_and_sparse()
    other = keras.models.clone_model(dense)
    other.set_weights([RNG.random(w.shape) for w in dense.get_weights()])
    path = tmp_path / name
    other.save(path) if name == "m.keras" else other.save_weights(path)
    masks = [x.kernel_mask.numpy() for x in sparse_layers(model)]
    dsr_tf.load_dense_weights(model, path)
    for layer, mask in zip(sparse_layers(model), masks, strict=True):
        assert (layer.kernel_mask.numpy() == mask).all()
        kernel = other.get_layer(layer.name).kernel.numpy()
        assert (layer.kernel.numpy() == kernel * mask).all()


@pytest.mark.parametrize(
    "name, message",
    [
        ("m.h5", "must end in .weights.h5 or .keras"),
        ("none.keras", "must be a file that exists"),
        ("other.keras", "must have the weights of 'net'"),
    ],
)
def test_files_that_cannot_serve_are_refused(tmp_path, name, message):
    _, model = dense_and_sparse()
    before = model.get_weights()
    keras.Sequential([keras.Input((8,)), layers.Dense(7)]).save(
        tmp_path / "other.keras"
    )
    with pytest.raises(ValueError, match=message):
        dsr_tf.load_dense_weights(model, tmp_path / name)
    pairs = zip(before, model.get_weights(), strict=True)
    assert all((a == b).all() for a, b in pairs)


def adapted(kind, data, **arguments):
    layer = kind(**arguments)
    layer.adapt(data)
    return layer


def preprocessing(name):
    """Returns a dense model with a layer that was adapted, and inputs."""
    numbers = RNG.normal(5, 3, (50, 4)).astype("float32")
    integers = np.array([[5, 7, 9, 5], [7, 5, 1, 1]])
    words = np.array(["b c", "a b"])
    bins = [layers.Rescaling(1.0)]
    rows = [layers.Embedding(9, 3), layers.Flatten()]
    kind = {
        "normalization": (numbers, layers.Normalization, {}, []),
        "bins": (numbers, layers.Discretization, {"num_bins": 4}, bins),
        "integers": (integers, layers.IntegerLookup, {}, rows),
        "frequencies": (
            words,
            layers.TextVectorization,
            {"output_mode": "tf_idf"},
            [],
        ),
    }
    x, layer, arguments, more = kind[name]
    dtype = "string" if x.dtype.kind == "U" else x.dtype.name
    return keras.Sequential(
        [
            keras.Input(x.shape[1:], dtype=dtype),
            adapted(layer, x, **arguments),
            *more,
            layers.Dense(3, name="last"),
        ]
    ), keras.ops.convert_to_tensor(x)


@pytest.mark.parametrize(
    "name", ["normalization", "bins", "integers", "frequencies"]
)
def test_what_adapt_taught_is_copied(name):
    model, x = preprocessing(name)
    copy = dsr_tf.sparsify(model, 0.0)
    assert [layer.name for layer in sparse_layers(copy)] == ["last"]
    for other in (copy, dsr_tf.densify(copy)):
        assert (np.asarray(other(x)) == np.asarray(model(x))).all()


def test_loaded_weights_of_a_normalization_are_used(tmp_path):
    model, x = preprocessing("normalization")
    model.save_weights(tmp_path / "m.weights.h5")
    other, _ = preprocessing("normalization")
    other.layers[0].adapt(np.ones((3, 4), "float32"))
    copy = dsr_tf.sparsify(other, 0.0)
    dsr_tf.load_dense_weights(copy, tmp_path / "m.weights.h5")
    assert (np.asarray(copy(x)) == np.asarray(model(x))).all()


def test_functions_as_layers_are_shared():
    factor = 3.0
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Lambda(lambda x: x * factor),
            SparseDense(3, 0.5),
        ]
    )
    x = RNG.normal(size=(2, 4)).astype("float32")
    assert (np.asarray(dsr_tf.densify(model)(x)) == np.asarray(model(x))).all()


def test_models_that_are_not_built_are_refused():
    class Own(keras.Model):
        pass

    with pytest.raises(ValueError, match="`model` must be built"):
        dsr_tf.densify(Own())


class InCode(keras.Model):
    """Cannot be copied: nothing says with which argument it was made."""

    def __init__(self, units):
        super().__init__()
        self.inner = [layers.Dense(units), layers.LSTM(3)]

    def call(self, inputs):
        for layer in self.inner:
            inputs = layer(inputs)
        return inputs


def test_models_in_code_load_dense_weights_in_place(tmp_path):
    x = RNG.normal(size=(4, 5, 2)).astype("float32")
    dense, model = InCode(3), InCode(3)
    dense(x), model(x)
    dense.save_weights(tmp_path / "dense.weights.h5")
    with pytest.raises(ValueError, match="`in_place=True`"):
        dsr_tf.sparsify(model, 0.5)
    dsr_tf.sparsify(model, 0.5, in_place=True)
    masks = [part.kernel_mask.numpy() for part in sparse_layers(model)]
    dsr_tf.load_dense_weights(model, tmp_path / "dense.weights.h5")
    for part, mask in zip(sparse_layers(model), masks, strict=True):
        np.testing.assert_array_equal(part.kernel_mask, mask)
        assert not part.kernel.numpy()[~mask].any()
    other, kernels = InCode(4), [w.numpy() for w in model.weights]
    other(x)
    other.save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(ValueError, match="a model with the layers of"):
        dsr_tf.load_dense_weights(model, tmp_path / "other.weights.h5")
    np.testing.assert_equal(kernels, [w.numpy() for w in model.weights])
    values = model(x)
    assert dsr_tf.densify(model, in_place=True) is model
    assert not sparse_layers(model) and type(model) is InCode
    np.testing.assert_array_equal(values, model(x))
