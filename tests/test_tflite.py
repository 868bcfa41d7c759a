import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers

import dsr_tf
from dsr_tf.exporting import tflite
from dsr_tf.exporting.interpreter import interpreter
from dsr_tf.exporting.signature import input_names
from dsr_tf.exporting.trial import outputs_of
from dsr_tf.layers import SparseConv2D
from dsr_tf.layers import SparseDense
from tests.tflite_files import run

RNG = np.random.default_rng(0)


def convolutional():
    rng = np.random.default_rng(0)
    model = keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            SparseConv2D(32, 3, 0.9, activation="relu"),
            SparseConv2D(32, 3, 0.9, activation="relu"),
            layers.GlobalAveragePooling2D(),
            SparseDense(10, 0.5),
        ]
    )
    data = [rng.normal(size=(4, 12, 12, 3)).astype("f4") for _ in range(3)]
    return model, data


# Loads TFLite files where the library is not.
RUN = """
import sys
sys.modules["dsr_tf"] = None
import numpy as np, tensorflow as tf
for path in sys.argv[1:]:
    model = tf.lite.Interpreter(path)
    run = model.get_signature_runner("serving_default")
    (name,) = run.get_input_details()
    np.save(path + ".npy", run(**{name: np.load("x.npy")})["output_0"])
"""
TOLERANCES = {None: 1e-5, "float16": 1e-3, "int8": 0.1}


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    """Returns a folder with files, and outputs that a model should have."""
    folder = tmp_path_factory.mktemp("files")
    model, data = convolutional()
    for quantize in TOLERANCES:
        dsr_tf.export(
            model,
            folder / str(quantize),
            "tflite",
            quantize=quantize,
            representative=data if quantize == "int8" else None,
        )
    np.save(folder / "x.npy", data[0])
    command = [sys.executable, "-c", RUN, *map(str, TOLERANCES)]
    subprocess.run(command, check=True, cwd=folder)
    return folder, np.asarray(model(data[0]))


@pytest.mark.slow
@pytest.mark.parametrize("quantize", TOLERANCES)
def test_tflite_file_is_small_and_computes_the_same(computed, quantize):
    folder, expected = computed
    found = np.load(folder / f"{quantize}.npy")
    largest = float(np.abs(expected).max())
    tolerance = TOLERANCES[quantize] * largest
    assert found == pytest.approx(expected, abs=tolerance)
    # 10,400 weights, 41,600 bytes; 1,214 of them are active.
    assert (folder / str(quantize)).stat().st_size < 24_000


def test_integers_need_representative_inputs(tmp_path):
    model, _ = convolutional()
    with pytest.raises(ValueError, match="`representative` must be given"):
        dsr_tf.export(model, tmp_path / "m", "tflite", quantize="int8")
    assert not list(tmp_path.iterdir())


def other_weights(model):
    """Stands for `without_hashes`, with a fault that changes the network."""
    plain = dsr_tf.densify(model)
    plain.set_weights([2 * weight for weight in plain.get_weights()])
    return plain


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["auto", "dense"])
def test_a_file_is_compared_with_the_sparse_model(
    tmp_path, monkeypatch, encoding
):
    model, _ = convolutional()
    monkeypatch.setattr(tflite, "without_hashes", other_weights)
    with pytest.raises(RuntimeError, match="file that gives outputs that diff"):
        dsr_tf.export(model, tmp_path / "m", "tflite", encoding=encoding)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_model_of_open_size_is_exported(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((None, None, 1)),
            SparseConv2D(16, 5, 0.8),
            layers.GlobalAveragePooling2D(),
        ]
    )
    dsr_tf.export(model, tmp_path / "m", "tflite")
    for length in (5, 12):
        x = RNG.normal(size=(2, length, length, 1)).astype("float32")
        found = run(tmp_path / "m", x)["output_0"]
        assert found == pytest.approx(np.asarray(model(x)), abs=1e-5)


@pytest.mark.slow
def test_a_file_that_crashes_tflite_is_not_written(tmp_path, monkeypatch):
    model, data = convolutional()

    def broken(self, sparse):
        # The root table of the file, far beyond its end.
        return (2**31 - 4).to_bytes(4, "little") + b"TFL3" + bytes(100)

    monkeypatch.setattr(tflite.Conversion, "__call__", broken)
    # TensorFlow's interpreter crashes; LiteRT verifies what it reads.
    how = "ends TFLite with SIG|does not run .*Flatbuffer"
    with pytest.raises(RuntimeError, match=f"written. .* ({how})"):
        dsr_tf.export(model, tmp_path / "m", "tflite", encoding="dense")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_where_the_sparse_file_is_wrong_the_dense_one_is_written(
    tmp_path, capsys, monkeypatch
):
    model, data = convolutional()
    dsr_tf.export(model, tmp_path / "sparse", "tflite", encoding="sparse")
    assert capsys.readouterr().out.endswith("; encoded sparse\n")
    dsr_tf.export(model, tmp_path / "dense", "tflite", encoding="dense")
    assert capsys.readouterr().out.endswith("; encoded dense\n")
    problem = tflite.Trial.problem

    def sparse_is_wrong(self, path):
        small = path.stat().st_size < 30_000
        return "gives nan" if small else problem(self, path)

    monkeypatch.setattr(tflite.Trial, "problem", sparse_is_wrong)
    dsr_tf.export(model, tmp_path / "auto", "tflite")
    line = capsys.readouterr().out
    assert line.endswith("; encoded dense: sparse-encoded, it gives nan\n")
    content = [(tmp_path / x).read_bytes() for x in ("auto", "dense", "sparse")]
    assert content[0] == content[1] != content[2]


@pytest.mark.slow
def test_halves_of_a_very_sparse_network_are_right(tmp_path):
    # As of TensorFlow 2.21 TFLite crashes on the sparse-encoded file of this
    # one, or computes NaN.
    model = keras.Sequential(
        [
            keras.Input((100,)),
            SparseDense(300, 0.99, activation="relu"),
            SparseDense(10, 0.98),
        ]
    )
    dsr_tf.export(model, tmp_path / "m", "tflite", quantize="float16")
    x = RNG.normal(size=(4, 100)).astype("float32")
    found = run(tmp_path / "m", x)["output_0"]
    assert found == pytest.approx(np.asarray(model(x)), abs=1e-3)


@pytest.mark.slow
def test_microcontrollers_get_bytes(tmp_path, capsys):
    model, data = convolutional()
    dsr_tf.export(
        model,
        tmp_path / "m",
        "tflite",
        quantize="int8",
        representative=data,
        inputs="int8",
    )
    assert "; encoded dense: micro" in capsys.readouterr().out
    loaded = interpreter(tmp_path / "m")
    (given,) = loaded.get_input_details()
    (found,) = loaded.get_output_details()
    assert given["dtype"] == found["dtype"] == np.int8
    # Private: nothing public lists the operations of a file.
    names = {x["op_name"] for x in loaded._get_ops_details()}
    assert not names & {"DENSIFY", "QUANTIZE", "DEQUANTIZE"}
    outputs = outputs_of(tmp_path / "m", {input_names(model)[0]: data[0]})
    expected = np.asarray(model(data[0]))
    (output,) = outputs.values()
    largest = float(np.abs(expected).max())
    assert output == pytest.approx(expected, abs=0.1 * largest)
