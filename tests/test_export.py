import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from keras import layers

import dsr_tf
from dsr_tf.exporting.gaps import pack
from dsr_tf.exporting.gaps import unpack
from dsr_tf.layers import HashedDense
from dsr_tf.layers import SparseConv2D
from dsr_tf.layers import SparseDense
from dsr_tf.layers import sparse_layers

RNG = np.random.default_rng(0)


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=3),
    st.floats(0, 1),
    st.integers(0, 2**32),
)
def test_packing_is_exact(shape, density, seed):
    rng = np.random.default_rng(seed)
    array = rng.normal(size=shape) * (rng.random(shape) < density)
    array = array.astype("float32")
    assert (unpack(pack(array)) == array).all()


@pytest.mark.parametrize("gap", [0, 1, 254, 255, 256, 509, 510, 511, 70_000])
def test_gaps_of_any_length_are_packed(gap):
    array = np.zeros(gap + 3, np.float32)
    array[[gap, gap + 2]] = 1.5, -2.5
    assert (unpack(pack(array)) == array).all()


@pytest.mark.parametrize("sparsity", [0.8, 0.9, 0.95, 0.99])
def test_packed_kernels_are_near_the_bound(sparsity):
    size = 500 * 400
    layer = SparseDense(400, sparsity, seed=0)
    layer.build((None, 500))
    share = layer.num_active / size
    entropy = -share * np.log2(share) - (1 - share) * np.log2(1 - share)
    bound = (32 * layer.num_active + entropy * size) / 8
    assert bound < pack(layer.kernel.numpy()).num_bytes < 1.02 * bound


def network():
    inputs = keras.Input((8, 8, 3), name="pixels")
    x = layers.Rescaling(1 / 255)(inputs)
    x = layers.Conv2D(4, 3, name="first")(x)
    x = SparseConv2D(6, 3, 0.8, granularity="kernel", name="conv")(x)
    x = layers.BatchNormalization()(x)
    x = layers.Flatten()(x)
    nested = keras.Sequential(
        [keras.Input((96,)), SparseDense(20, 0.9, name="inner")], name="nested"
    )
    x = HashedDense(12, 0.5, name="hashed")(nested(x))
    outputs = SparseDense(3, 0.5, use_bias=False, name="logits")(x)
    model = keras.Model(inputs, [outputs, x])
    rng = np.random.default_rng(1)
    for layer in sparse_layers(model):
        kernel = rng.normal(size=layer.kernel.shape)
        layer.kernel.assign(kernel * layer.kernel_mask.numpy())
    return model


IMAGES = RNG.integers(0, 255, (5, 8, 8, 3)).astype("float32")
# What serving uses to load, and stock TensorFlow, without the library.
LOAD = """
import sys
sys.modules["dsr_tf"] = None
import numpy as np, tensorflow as tf
x = np.load("x.npy")
loaded = tf.saved_model.load("model")
assert sorted(loaded.signatures) == ["serve", "serving_default"]
named = loaded.signatures["serving_default"](pixels=tf.constant(x))
one, two = loaded.serve(x)
assert np.array_equal(named["output_0"], one)
np.savez("new.npz", one, two)
with tf.compat.v1.Session(graph=tf.Graph()) as session:
    graph = tf.compat.v1.saved_model.load(session, ["serve"], "model")
    signature = graph.signature_def["serving_default"]
    fetches = [signature.outputs[f"output_{i}"].name for i in (0, 1)]
    feed = {signature.inputs["pixels"].name: x[:2]}
    np.savez("old.npz", *session.run(fetches, feed))
"""


@pytest.mark.slow
@pytest.mark.parametrize("format", ["saved_model", "saved_model_dense"])
def test_saved_model_loads_where_the_library_is_not(tmp_path, format):
    model = network()
    dsr_tf.export(model, tmp_path / "model", format)
    np.save(tmp_path / "x.npy", IMAGES)
    result = subprocess.run(
        [sys.executable, "-c", LOAD],
        cwd=tmp_path,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    plain = tf.saved_model.load(tmp_path / "model")
    expected = plain.serve(IMAGES)
    densified = dsr_tf.densify(model)(IMAGES)
    for i, (ours, theirs) in enumerate(zip(expected, densified, strict=True)):
        new = np.load(tmp_path / "new.npz")[f"arr_{i}"]
        old = np.load(tmp_path / "old.npz")[f"arr_{i}"]
        assert (new == ours.numpy()).all()
        assert old == pytest.approx(new[:2], abs=1e-5)
        assert new == pytest.approx(np.asarray(theirs), abs=1e-5)


@pytest.mark.slow
def test_packed_and_dense_give_equal_bits(tmp_path):
    model = network()
    outputs = []
    for format in ("saved_model", "saved_model_dense"):
        dsr_tf.export(model, tmp_path / format, format, verbose=False)
        loaded = tf.saved_model.load(tmp_path / format)
        outputs.append([x.numpy() for x in loaded.serve(IMAGES)])
    pairs = zip(*outputs, strict=True)
    assert all((a == b).all() for a, b in pairs)


def test_two_packed_models_are_loaded_side_by_side(tmp_path):
    loaded = []
    for seed in (0, 1):
        keras.utils.set_random_seed(seed)
        model = keras.Sequential(
            [keras.Input((4,)), SparseDense(2, 0.5, seed=0, name="same")]
        )
        dsr_tf.export(model, tmp_path / str(seed), verbose=False)
        loaded.append((model, tf.saved_model.load(tmp_path / str(seed))))
    x = np.ones((1, 4), np.float32)
    for model, served in loaded:
        assert (served.serve(x).numpy() == np.asarray(model(x))).all()


def test_mixed_precision_is_kept(tmp_path):
    model = keras.Sequential(
        [keras.Input((6,)), SparseDense(4, 0.5, dtype="mixed_bfloat16")]
    )
    dsr_tf.export(model, tmp_path / "model", verbose=False)
    served = tf.saved_model.load(tmp_path / "model")
    x = np.ones((2, 6), np.float32)
    assert served.serve(x).dtype == tf.bfloat16
    assert (served.serve(x).numpy() == np.asarray(model(x))).all()


def restored(path, name, kind):
    with np.load(path, allow_pickle=False) as file:
        part = {k: file[f"{name}/kernel/{k}"] for k in kind}
    if "values" in kind:
        kernel = np.zeros(part["shape"].prod(), np.float32)
        kernel[part["indices"]] = part["values"]
        return kernel.reshape(part["shape"])
    columns = part["shape"][:-1].prod()
    rows = np.zeros((len(part["indptr"]) - 1, columns), np.float32)
    for i, row in enumerate(rows):
        span = slice(part["indptr"][i], part["indptr"][i + 1])
        row[part["indices"][span]] = part["data"][span]
    return rows.T.reshape(part["shape"])


@pytest.mark.parametrize(
    "format, kind",
    [
        ("npz", ("values", "indices", "shape")),
        ("csr", ("data", "indices", "indptr", "shape")),
    ],
)
def test_arrays_give_the_kernels_back(tmp_path, format, kind):
    model = network()
    path = tmp_path / "arrays"
    dsr_tf.export(model, path, format)
    for layer in sparse_layers(model):
        name = layer.kernel.path.removesuffix("/kernel")
        kernel = restored(path, name, kind)
        assert (kernel == layer.kernel.numpy()).all()
    with np.load(path, allow_pickle=False) as file:
        assert (file["first/kernel"] == model.get_layer("first").kernel).all()
        assert not [name for name in file if "mask" in name]


def test_size_is_printed(tmp_path, capsys):
    model = keras.Sequential(
        [keras.Input((1000,)), SparseDense(400, 0.99, use_bias=False)]
    )
    dsr_tf.export(model, tmp_path / "m", "npz")
    size = (tmp_path / "m").stat().st_size
    line = capsys.readouterr().out
    assert f"m: {size:,} bytes, " in line
    assert "% of the 1,600,000 bytes of the dense weights" in line


def small():
    return keras.Sequential([keras.Input((4,)), SparseDense(2, 0.5)])


def test_what_is_there_is_replaced_only_if_that_is_wanted(tmp_path):
    path = tmp_path / "model"
    dsr_tf.export(small(), path, verbose=False)
    before = sorted(path.rglob("*"))
    with pytest.raises(ValueError, match="unless `overwrite=True`"):
        dsr_tf.export(small(), path)
    assert sorted(path.rglob("*")) == before
    dsr_tf.export(small(), path, "npz", overwrite=True, verbose=False)
    assert path.is_file()
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("format", ["saved_model", "npz"])
@pytest.mark.parametrize("leads", [True, False])
def test_a_link_is_replaced_itself(tmp_path, format, leads):
    earlier, path = tmp_path / "earlier", tmp_path / "link"
    if leads:
        dsr_tf.export(small(), earlier, format, verbose=False)
    content = {p: p.read_bytes() for p in earlier.rglob("*") if p.is_file()}
    path.symlink_to(earlier)
    with pytest.raises(ValueError, match="unless `overwrite=True`"):
        dsr_tf.export(small(), path, format)
    for _ in range(2):
        dsr_tf.export(small(), path, format, overwrite=True, verbose=False)
        assert path.exists() and not path.is_symlink()
    assert content == {p: p.read_bytes() for p in content}
    left = {p.name for p in tmp_path.iterdir()}
    assert left == ({"earlier", "link"} if leads else {"link"})


@pytest.mark.parametrize("format", ["saved_model", "npz"])
def test_full_disk_leaves_what_was_there(tmp_path, monkeypatch, format):
    path = tmp_path / "model"
    dsr_tf.export(small(), path, format, verbose=False)
    content = {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tensorflow.saved_model.save", full)
    monkeypatch.setattr("numpy.savez_compressed", full)
    with pytest.raises(OSError, match="No space left"):
        dsr_tf.export(small(), path, format, overwrite=True)
    assert content == {p: p.read_bytes() for p in content}
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize(
    "model, arguments, message",
    [
        ("small", {"format": "onnx"}, "`format` must be one of"),
        ("small", {"path": "none/model"}, "in a folder that exists"),
        ("plain", {}, "must have a sparse or hashed layer"),
        ("unbuilt", {}, "must be built"),
        ("own", {}, "must be built"),
    ],
)
def test_bad_arguments_are_refused(tmp_path, model, arguments, message):
    class Own(keras.Model):
        pass

    models = {
        "small": small(),
        "plain": keras.Sequential([keras.Input((4,)), layers.Dense(2)]),
        "unbuilt": keras.Sequential([SparseDense(2, 0.5)]),
        "own": Own(),
    }
    path = tmp_path / arguments.pop("path", "model")
    with pytest.raises(ValueError, match=message):
        dsr_tf.export(models[model], path, **arguments)
    assert not list(Path(tmp_path).iterdir())


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"quantize": "int4"}, "`quantize` must be one of"),
        ({"encoding": "both"}, "`encoding` must be one of"),
        ({"inputs": "int4"}, "`inputs` must be one of"),
        ({"quantize": "float16"}, "`quantize` must be None, unless the format"),
        ({"encoding": "dense"}, "`encoding` must be 'auto', unless the format"),
        ({"inputs": "int8"}, "`inputs` must be None, unless the format"),
        ({"representative": 3}, "`representative` must be what `predict`"),
        (
            {"representative": 3, "format": "npz"},
            "`representative` must be None, unless the format",
        ),
        (
            {"inputs": "int8", "format": "tflite"},
            "`inputs` must be None, unless `quantize='int8'`",
        ),
        (
            {
                "inputs": "int8",
                "format": "tflite",
                "quantize": "int8",
                "encoding": "sparse",
            },
            "`inputs` must be None, unless .* is not 'sparse'",
        ),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        dsr_tf.export(small(), tmp_path / "m", **arguments)


def test_a_failed_export_leaves_no_scope_open(tmp_path):
    inputs = keras.Input((3,))
    layer = SparseDense(2, 0.5, name="a[b]")
    model = keras.Model(inputs, layer(inputs))
    with pytest.raises(ValueError, match="valid scope name"):
        dsr_tf.export(model, tmp_path / "m")
    assert keras.Variable(1.0, name="v").path == "v"


@pytest.mark.parametrize("suffix", ["tflite", "npz"])
def test_a_folder_has_not_the_name_of_a_file(tmp_path, suffix):
    model = keras.Sequential([keras.Input((4,)), SparseDense(2, 0.5)])
    message = f"`format` must be '{suffix}'.*format='saved_model'"
    with pytest.raises(ValueError, match=message):
        dsr_tf.export(model, tmp_path / f"small.{suffix}")
    assert not list(tmp_path.iterdir())
