import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import dsr_tf
from dsr_tf.exporting import saved_model
from dsr_tf.exporting.signature import input_names
from dsr_tf.exporting.signature import output_names
from dsr_tf.layers import HashedDense
from dsr_tf.layers import SparseConv2D
from dsr_tf.layers import SparseDense

RNG = np.random.default_rng(0)
FORMATS = pytest.mark.parametrize(
    "format", ["saved_model", "saved_model_dense"]
)


def served(model, folder, format="saved_model", **arguments):
    path = folder / format
    dsr_tf.export(model, path, format, verbose=False, **arguments)
    return tf.saved_model.load(path)


def outputs_of(model, folder, x, format="saved_model", **arguments):
    # An endpoint by itself does not keep its variables.
    loaded = served(model, folder, format, **arguments)
    return loaded.serve(x).numpy()


def small():
    return keras.Sequential([keras.Input((4,)), SparseDense(2, 0.5)])


STRUCTURES = {
    "list": (lambda a, b: [a, b], lambda p, q: [p, q]),
    "tuple": (lambda a, b: (a, b), lambda p, q: (p, q)),
    "dictionary": (
        lambda a, b: {"zz": a, "aa": b},
        lambda p, q: {"p": p, "q": q},
    ),
    "nested": (
        lambda a, b: {"zz": a, "rest": [b]},
        lambda p, q: {"p": p, "rest": [{"q": q}]},
    ),
    "nested list": (lambda a, b: [a, [b]], lambda p, q: [p, {"q": q}]),
}
NAMES = {
    "list": ("output_0", "output_1"),
    "tuple": ("output_0", "output_1"),
    "dictionary": ("p", "q"),
    "nested": ("p", "rest_0_q"),
    "nested list": ("output_0", "output_1_q"),
}


@FORMATS
@pytest.mark.parametrize("name", STRUCTURES)
def test_structures_are_kept(tmp_path, name, format):
    pack_inputs, pack_outputs = STRUCTURES[name]
    a, b = keras.Input((3,), name="zz"), keras.Input((4,), name="aa")
    hidden = SparseDense(5, 0.5)(layers.Concatenate()([a, b]))
    outputs = pack_outputs(hidden, SparseDense(2, 0.5)(hidden))
    model = keras.Model(pack_inputs(a, b), outputs)
    loaded = served(model, tmp_path, format)
    a, b = (tf.constant(RNG.normal(size=(6, n)), tf.float32) for n in (3, 4))
    found, expected = loaded.serve(pack_inputs(a, b)), model(pack_inputs(a, b))
    tf.nest.assert_same_structure(found, expected, check_types=False)
    flat = keras.tree.flatten(expected)
    for x, y in zip(keras.tree.flatten(found), flat, strict=True):
        assert (x.numpy() == y.numpy()).all()
    named = loaded.signatures["serving_default"](zz=a, aa=b)
    p, q = (named[x] for x in NAMES[name])
    first = pack_outputs(p, q)
    for x, y in zip(keras.tree.flatten(first), flat, strict=True):
        assert (x.numpy() == y.numpy()).all()


class Summed(keras.Model):
    """Sums what a dense layer makes of each of its inputs."""

    def __init__(self):
        super().__init__()
        self.inner = SparseDense(3, 0.5)

    def call(self, inputs):
        return sum(i * self.inner(x) for i, x in enumerate(flat(inputs), 1))


def flat(inputs):
    return [inputs[k] for k in ("a", "b")] if "a" in inputs else inputs["c"]


@pytest.mark.parametrize(
    "names, structure",
    [
        (["a", "b"], lambda x, y: {"a": x, "b": y}),
        (["c_0", "c_1"], lambda x, y: {"c": [x, y]}),
    ],
)
def test_inputs_of_models_in_code_have_their_keys(tmp_path, names, structure):
    x, y = tf.ones((2, 4)), tf.fill((2, 4), 3.0)
    model = Summed()
    expected = model(structure(x, y))
    loaded = served(model, tmp_path)
    named = loaded.signatures["serve"](**dict(zip(names, (x, y), strict=True)))
    assert np.allclose(named["output_0"], expected)
    assert np.allclose(loaded.serve(structure(x, y)), expected)


def test_names_are_fit_for_signatures():
    names = ("a-b", "a.b", "1st", "ok")
    inputs = [keras.Input((2,), name=name) for name in names]
    model = keras.Model(inputs, layers.Concatenate()(inputs))
    assert input_names(model) == ["a_b", "a_b_1", "arg_1st", "ok"]
    assert output_names(0) == ["output_0"]
    assert output_names([0, {"x": 0}]) == ["output_0", "output_1_x"]
    assert output_names({"a": {"b": 0}, "a_b": 0}) == ["a_b", "a_b_1"]


def with_table(name):
    """Returns a model with a table, and inputs for it."""
    numbers, words = (
        np.array([[5, 7], [9, 1]]),
        np.array([["b", "a"], ["c", "b"]]),
    )
    rows = [layers.Embedding(9, 3), layers.Flatten()]
    layer, x, more = {
        "integers": (layers.IntegerLookup(), numbers, rows),
        "strings": (layers.StringLookup(), words, rows),
        "given": (layers.StringLookup(vocabulary=["a", "b"]), words, rows),
        "text": (
            layers.TextVectorization(output_mode="tf_idf"),
            np.array(["a b", "b c"]),
            [],
        ),
    }[name]
    if name != "given":
        layer.adapt(x)
    dtype = "int64" if name == "integers" else "string"
    inputs = keras.Input(x.shape[1:], dtype=dtype)
    model = keras.Sequential([inputs, layer, *more, SparseDense(3, 0.5)])
    return model, tf.constant(x)


@FORMATS
@pytest.mark.parametrize("name", ["integers", "strings", "given", "text"])
def test_tables_are_exported(tmp_path, name, format):
    model, x = with_table(name)
    found = outputs_of(model, tmp_path, x, format)
    assert (found == np.asarray(model(x))).all()
    assert np.ptp(found, axis=0).any()


@FORMATS
def test_functions_as_layers_are_exported(tmp_path, format):
    factor = 3.0
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Lambda(lambda x: x * factor),
            SparseDense(3, 0.5),
        ]
    )
    x = RNG.normal(size=(2, 4)).astype("float32")
    found = outputs_of(model, tmp_path, x, format)
    assert (found == np.asarray(model(x))).all()


@FORMATS
def test_a_saved_model_is_compared_with_the_sparse_model(
    tmp_path, monkeypatch, format
):
    def changed(model, *arguments):
        plain = dsr_tf.densify(model)
        plain.set_weights([2 * weight for weight in plain.get_weights()])
        return plain

    monkeypatch.setattr(saved_model, "without_hashes", changed)
    model = small()
    model.layers[0].bias.assign([1, 2])
    with pytest.raises(
        RuntimeError, match="SavedModel that gives outputs that"
    ):
        dsr_tf.export(model, tmp_path / "m", format)
    assert not list(tmp_path.iterdir())


@FORMATS
def test_models_of_open_size_are_exported(tmp_path, format):
    model = keras.Sequential(
        [
            keras.Input((None, None, 1)),
            SparseConv2D(4, 9, 0.8),
            layers.GlobalMaxPooling2D(),
        ]
    )
    x = RNG.normal(size=(2, 10, 30, 1)).astype("float32")
    found = outputs_of(model, tmp_path, x, format)
    assert found == pytest.approx(np.asarray(model(x)), abs=1e-5)


def test_where_inputs_cannot_be_drawn_they_can_be_given(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((None, 1)),
            layers.Reshape((17, 1)),
            layers.Flatten(),
            SparseDense(2, 0.5),
        ]
    )
    with pytest.raises(ValueError, match="`representative` must be given, w"):
        served(model, tmp_path)
    x = RNG.normal(size=(2, 17, 1)).astype("float32")
    found = outputs_of(model, tmp_path, x, representative=x)
    assert (found == np.asarray(model(x))).all()


def noise(x):
    return x + tf.random.normal(tf.shape(x))


def test_random_outputs_are_not_compared(tmp_path, caplog):
    model = keras.Sequential(
        [keras.Input((4,)), SparseDense(3, 0.5), layers.Lambda(noise)]
    )
    served(model, tmp_path)
    assert "random: the exported file is not compared" in caplog.text


def test_outputs_that_are_no_numbers_are_compared(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((4,)),
            SparseDense(3, 0.5),
            layers.Lambda(lambda x: keras.ops.log(x)),
        ]
    )
    model.layers[0].bias.assign([-100, 100, 0])
    x = np.zeros((2, 4), "float32")
    found = outputs_of(model, tmp_path, x, representative=x)
    assert np.isnan(found[:, 0]).all() and np.isneginf(found[:, 2]).all()


def test_variables_that_keras_does_not_know_are_refused(tmp_path):
    class Own(layers.Layer):
        def call(self, x):
            return x * held[0]

    held = [tf.Variable(2.0)]
    inputs = keras.Input((4,))
    model = keras.Model(inputs, SparseDense(3, 0.5)(Own()(inputs)))
    with pytest.raises(ValueError, match="variables that Keras knows of alone"):
        dsr_tf.export(model, tmp_path / "m")
    assert not list(tmp_path.iterdir())


def test_sparse_kernels_beside_hashed_ones_are_packed(tmp_path):
    inputs = keras.Input((64,))
    x = SparseDense(256, 0.98)(inputs)
    model = keras.Model(inputs, HashedDense(4, 0.5)(x))
    dsr_tf.export(model, tmp_path / "m", verbose=False)
    size = sum(x.stat().st_size for x in (tmp_path / "m").rglob("*.data-*"))
    assert size < 64 * 256
