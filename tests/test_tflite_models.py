import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import dsr_tf
from dsr_tf.layers import SparseConv2D
from dsr_tf.layers import SparseDense
from tests.tflite_files import run

RNG = np.random.default_rng(0)


def two_inputs(nested):
    # In alphabetical order they are the other way round.
    small = keras.Input((4,), name="zz")
    large = keras.Input((4,), name="a-a")
    hidden = SparseDense(8, 0.5)(layers.Concatenate()([small, large]))
    outputs = [SparseDense(3, 0.5)(hidden), hidden]
    if not nested:
        return keras.Model([small, large], outputs)
    inputs = {"zz": small, "rest": [large]}
    return keras.Model(inputs, {"y": outputs[0], "more": [{"h": outputs[1]}]})


SMALL = RNG.normal(size=(50, 4)).astype("float32")
LARGE = 100 * SMALL[::-1].copy()


@pytest.mark.slow
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("quantize", [None, "int8"])
def test_several_inputs_and_outputs(tmp_path, nested, quantize):
    model = two_inputs(nested)
    given = [SMALL, LARGE]
    names = ["output_0", "output_1"]
    if nested:
        given = {"rest": [LARGE], "zz": SMALL}
        names = ["y", "more_0_h"]
    dsr_tf.export(
        model, tmp_path / "m", "tflite", quantize=quantize, representative=given
    )
    found = run(tmp_path / "m", LARGE, SMALL)
    expected = model(given)
    if nested:
        expected = [expected["y"], expected["more"][0]["h"]]
    assert sorted(found) == sorted(names)
    for name, value in zip(names, expected, strict=True):
        value = np.asarray(value)
        # With the ranges of the two inputs exchanged it is far more.
        share = 0.03 if quantize else 1e-5
        assert np.abs(found[name] - value).max() < share * np.abs(value).max()


@pytest.mark.slow
def test_a_model_of_fixed_batches_is_exported_as_integers(tmp_path):
    model = keras.Sequential(
        [keras.Input(batch_shape=(5, 4)), SparseDense(8, 0.5)]
    )
    dsr_tf.export(
        model,
        tmp_path / "m",
        "tflite",
        quantize="int8",
        representative=SMALL,
    )
    found = run(tmp_path / "m", SMALL[:5])["output_0"]
    expected = np.asarray(model(SMALL[:5]))
    assert np.abs(found - expected).max() < 0.03 * np.abs(expected).max()


def half(dtype):
    """Returns a network of some dtype, with a nested one and a function."""
    factor = 2.0
    inner = keras.Sequential(
        [
            keras.Input((6, 6, 4)),
            SparseConv2D(4, 3, 0.5, dtype=dtype),
            layers.Lambda(lambda x: x * factor, dtype=dtype),
        ]
    )
    return keras.Sequential(
        [
            keras.Input((6, 6, 2), dtype=dtype.removeprefix("mixed_")),
            SparseConv2D(4, 3, 0.5, padding="same", dtype=dtype),
            inner,
            layers.BatchNormalization(dtype=dtype),
            layers.Flatten(dtype=dtype),
            SparseDense(4, 0.5, dtype=dtype),
        ]
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "dtype",
    ["mixed_float16", "mixed_bfloat16", "float16", "bfloat16", "float64"],
)
def test_other_floats_go_through_single_precision(tmp_path, dtype):
    model = half(dtype)
    dsr_tf.export(model, tmp_path / "m", "tflite")
    x = RNG.normal(size=(2, 6, 6, 2)).astype("float32")
    found = run(tmp_path / "m", x)["output_0"]
    expected = np.asarray(tf.cast(model(x), tf.float32))
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() < 0.05 * np.abs(expected).max()
    assert model.layers[0].dtype_policy.name == dtype


def test_what_tflite_cannot_convert_is_refused(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((4,), dtype="int64"),
            layers.IntegerLookup(vocabulary=[3, 4]),
            layers.Embedding(4, 3),
            layers.Flatten(),
            SparseDense(3, 0.5),
        ]
    )
    with pytest.raises(
        ValueError, match="that TFLite has. .*LookupTableFindV2"
    ):
        dsr_tf.export(model, tmp_path / "m", "tflite")
    assert not list(tmp_path.iterdir())


def test_why_tflite_cannot_convert_is_one_short_line(tmp_path):
    model = keras.Sequential(
        [keras.Input((7, 3)), layers.LSTM(4), SparseDense(6, 0.5)]
    )
    with pytest.raises(ValueError, match="requires element_shape") as e:
        dsr_tf.export(model, tmp_path / "m", "tflite")
    assert len(str(e.value).splitlines()) == 1 and len(str(e.value)) < 300


@pytest.mark.slow
@pytest.mark.parametrize("layer", [layers.LSTM, layers.GRU])
def test_integers_need_recurrent_layers_without_loops(tmp_path, layer):
    def export(**arguments):
        inputs = keras.Input((7, 3), batch_size=1)
        recurrent = layer(4, **arguments)
        model = keras.Sequential([inputs, recurrent, SparseDense(6, 0.5)])
        dsr_tf.export(
            model,
            tmp_path / "file",
            "tflite",
            quantize="int8",
            representative=np.ones((2, 7, 3), "float32"),
        )

    # TFLite would end the process.
    with pytest.raises(ValueError, match="`unroll=True` have no loop"):
        export()
    export(unroll=True)
    assert (tmp_path / "file").is_file()


def test_recurrent_layers_are_told_what_tflite_needs(tmp_path):
    def model(**arguments):
        inputs = keras.Input((3, 4), **arguments)
        outputs = layers.Dense(2)(layers.LSTM(4)(inputs))
        return dsr_tf.sparsify(keras.Model(inputs, outputs), 0.5)

    with pytest.raises(ValueError, match="batch_size=1"):
        dsr_tf.export(model(), tmp_path / "open", "tflite")
    dsr_tf.export(model(batch_size=1), tmp_path / "one", "tflite")
    assert (tmp_path / "one").is_file()
