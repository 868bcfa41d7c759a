import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import dsr_tf
from benchmarks import arm
from benchmarks import block_files
from dsr_tf.exporting import block_serving
from dsr_tf.exporting.block_layout import BlockLayout
from dsr_tf.exporting.file_graph import graphs_of
from dsr_tf.exporting.gaps import pack
from dsr_tf.layers import BlockConv2D
from dsr_tf.layers import BlockDense
from dsr_tf.layers import HashedDense
from dsr_tf.layers import SparseDense
from dsr_tf.layers import sparse_layers
from dsr_tf.units import Granularity
from dsr_tf.units import Units

RNG = np.random.default_rng(0)
STORAGES = pytest.mark.parametrize("storage", ["masks", "blocks"])
WIDTH = 768


@pytest.fixture
def any_size(monkeypatch):
    """Lets small layers compute with blocks, of any number."""
    monkeypatch.setattr(block_serving, "_LEAST_WEIGHTS", 1)
    monkeypatch.setattr(block_serving, "_SHORTEST", 1)
    monkeypatch.setattr(block_serving, "_MOST_KEPT", 1)


def normal(*shape):
    return RNG.normal(size=shape).astype("float32")


def with_biases(model):
    for weight in model.weights:
        if weight.name == "bias":
            weight.assign(normal(*weight.shape))
    return model


def mlp(storage="blocks", width=WIDTH, block=(32, 32), sparsity=0.9):
    model = keras.Sequential(
        [
            keras.Input((width,)),
            layers.Dense(width, activation="relu", name="first"),
            layers.Dense(width, activation="relu", name="second"),
            layers.Dense(10, name="head"),
        ]
    )
    return with_biases(
        dsr_tf.sparsify(model, sparsity, granularity=block, storage=storage)
    )


def exported(model, folder, **arguments):
    path = folder / "served"
    dsr_tf.export(model, path, compute="blocks", verbose=False, **arguments)
    return path


def kinds(path):
    """Returns the kinds of a SavedModel's operations."""
    # An endpoint by itself does not keep its variables.
    loaded = tf.saved_model.load(path)
    definition = loaded.signatures["serve"].graph.as_graph_def()
    functions = [x.node_def for x in definition.library.function]
    nodes = [*definition.node, *(node for x in functions for node in x)]
    return [node.op for node in nodes]


def size(path):
    return sum(x.stat().st_size for x in path.rglob("*") if x.is_file())


@pytest.mark.parametrize("shape", [(12, 20), (64, 8), (5, 3)])
@pytest.mark.parametrize("block", [(4, 5), (1, 1), (64, 64)])
@pytest.mark.parametrize("num_blocks", [0, 1, 3, None])
@pytest.mark.parametrize("batch", [0, 1, 3])
def test_layouts_multiply_as_kernels_do(shape, block, num_blocks, batch):
    units = Units(shape, Granularity.of(block))
    entries = np.zeros(units.count, bool)
    chosen = RNG.permutation(units.count)[:num_blocks]
    entries[chosen] = True
    mask = units.spread(entries)
    kernel = np.where(mask, normal(*shape), 0)
    layout = BlockLayout.of(kernel, mask, units)
    assert np.count_nonzero(layout.weights) == np.count_nonzero(kernel)
    x = normal(batch, shape[0])
    found = layout.product(x, tf.constant(layout.weights))
    assert found.shape == (batch, shape[1])
    np.testing.assert_allclose(found, x @ kernel, atol=1e-5)


def test_groups_are_of_one_column_each():
    # A grid of 2x3 with the blocks  a . b  of 40 rows: one to a group.
    #                                . . c
    units = Units((80, 6), Granularity.of((40, 2)))
    mask = units.spread(np.array([1, 0, 1, 0, 0, 1]))
    layout = BlockLayout.of(mask.astype("float32"), mask, units)
    assert layout.targets.tolist() == [0, 2, 2]
    assert layout.sources.tolist() == [[0], [0], [1]]
    # Without b and c, the last column has a group of zeros.
    mask = units.spread(np.array([1, 0, 0, 0, 0, 0]))
    layout = BlockLayout.of(mask.astype("float32"), mask, units)
    assert layout.targets.tolist() == [0, 2]
    assert layout.weights[1].max() == 0


@STORAGES
def test_saved_models_compute_with_blocks(tmp_path, storage, capsys):
    model = mlp(storage)
    before = [type(layer) for layer in model.layers]
    path = tmp_path / "served"
    dsr_tf.export(model, path, compute="blocks")
    # The head has too few weights.
    line = "2 of 3 kernels compute with blocks"
    assert line in capsys.readouterr().out
    assert [type(layer) for layer in model.layers] == before
    x = normal(3, WIDTH)
    expected = model.predict(x, verbose=0)
    loaded = tf.saved_model.load(path)
    for batch in (1, 3):
        found = loaded.serve(x[:batch])
        np.testing.assert_allclose(found, expected[:batch], atol=1e-4)
    signature = loaded.signatures["serving_default"]
    (name,) = signature.structured_input_signature[1]
    (found,) = signature(**{name: tf.constant(x)}).values()
    np.testing.assert_allclose(found, expected, atol=1e-4)
    found = kinds(path)
    assert found.count("BatchMatMulV2") == 2
    assert found.count("MatMul") == 1


def test_the_loader_of_sessions_gives_the_same(tmp_path):
    model, x = mlp(), normal(2, WIDTH)
    path = exported(model, tmp_path)
    v1 = tf.compat.v1
    with v1.Session(graph=tf.Graph()) as session:
        graph = v1.saved_model.load(session, ["serve"], str(path))
        signature = graph.signature_def["serving_default"]
        (given,), (found,) = (
            [x.name for x in side.values()]
            for side in (signature.inputs, signature.outputs)
        )
        outputs = session.run(found, {given: x})
    expected = model.predict(x, verbose=0)
    np.testing.assert_allclose(outputs, expected, atol=1e-4)


@STORAGES
@pytest.mark.parametrize("block", [(16, 16), (32, 32)])
def test_files_hold_blocks_and_positions_alone(tmp_path, storage, block):
    model = mlp(storage, 1024, block)
    path = exported(model, tmp_path)
    values = sum(4 * layer.num_active for layer in sparse_layers(model))
    assert values < size(path / "assets") < 1.005 * values
    # Biases, and the head's zeros are none.
    assert size(path / "variables") < 12_000
    dense = tmp_path / "dense"
    dsr_tf.export(model, dense, verbose=False)
    assert size(path) < 1.2 * size(dense)


def test_gaps_inside_blocks_take_no_room():
    kernel = mlp(block=(16, 16)).get_layer("first").kernel.numpy()
    packed = pack(kernel)
    assert len(packed.gaps) < 0.01 * packed.values.nbytes


@STORAGES
def test_attention_computes_with_blocks(tmp_path, storage, any_size):
    words = keras.Input((6, 64))
    x = layers.MultiHeadAttention(4, 16)(words, words)
    x = layers.Add()([words, x])
    x = layers.Conv1D(32, 1, strides=2)(layers.Dense(64)(x))
    model = keras.Model(words, layers.Flatten()(x))
    sparse = with_biases(
        dsr_tf.sparsify(model, 0.5, granularity=(16, 16), storage=storage)
    )
    path = exported(sparse, tmp_path)
    x = normal(2, 6, 64)
    expected = sparse.predict(x, verbose=0)
    loaded = tf.saved_model.load(path)
    found = loaded.serve(x)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    # Six kernels, and the products of queries, keys and values.
    plain = tmp_path / "plain"
    dsr_tf.export(sparse, plain, verbose=False)
    assert kinds(path).count("SegmentSum") == 6
    assert kinds(plain).count("SegmentSum") == 0


def test_images_of_open_size_compute_with_blocks(tmp_path, any_size):
    images = keras.Input((None, None, 16))
    convolution = BlockConv2D(32, 1, 0.5, (8, 8), strides=2, use_bias=False)
    model = keras.Model(images, convolution(images))
    loaded = tf.saved_model.load(exported(model, tmp_path))
    for shape in ((1, 4, 4, 16), (2, 7, 5, 16)):
        x = normal(*shape)
        expected = model(x)
        np.testing.assert_allclose(loaded.serve(x), expected, atol=1e-4)


def test_what_has_no_blocks_is_packed_beside(tmp_path, any_size):
    model = keras.Sequential(
        [
            keras.Input((64,)),
            BlockDense(64, 0.5, (16, 16), activation="relu"),
            SparseDense(32, 0.5),
            HashedDense(32, 0.5),
            SparseDense(32, 0.5, granularity=(16, 16)),
            layers.Dense(4),
        ]
    )
    path = exported(model, tmp_path)
    x = normal(2, 64)
    expected = model.predict(x, verbose=0)
    loaded = tf.saved_model.load(path)
    found = loaded.serve(x)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert kinds(path).count("SegmentSum") == 2


@STORAGES
def test_blocks_that_moved_across_layers_are_served(
    tmp_path, storage, any_size
):
    model = mlp(storage, 64, (8, 8), 0.7)
    before = [layer.num_active for layer in sparse_layers(model)]
    model.compile("adam", "mse")
    reallocate = dsr_tf.callbacks.DSR(8, 1)
    x, y = normal(64, 64), normal(64, 10)
    model.fit(x, y, 16, 2, verbose=0, callbacks=[reallocate])
    assert [layer.num_active for layer in sparse_layers(model)] != before
    loaded = tf.saved_model.load(exported(model, tmp_path))
    expected = model.predict(x, verbose=0)
    np.testing.assert_allclose(loaded.serve(x), expected, atol=1e-4)


@pytest.mark.parametrize("batch", [1, 4])
def test_batches_of_known_size_are_served(tmp_path, batch, any_size):
    inputs = keras.Input((32,), batch_size=batch)
    model = keras.Model(inputs, BlockDense(16, 0.5, (8, 8))(inputs))
    x = normal(batch, 32)
    loaded = tf.saved_model.load(exported(model, tmp_path))
    np.testing.assert_allclose(loaded.serve(x), model(x), atol=1e-4)


def test_half_precision_is_kept(tmp_path, any_size):
    policy = "mixed_bfloat16"
    inputs = keras.Input((64,))
    dense = BlockDense(64, 0.5, (16, 16), dtype=policy)
    model = keras.Model(inputs, dense(inputs))
    x = normal(2, 64)
    loaded = tf.saved_model.load(exported(model, tmp_path))
    found = loaded.serve(x)
    assert found.dtype == tf.bfloat16
    found, expected = (tf.cast(y, tf.float32) for y in (found, model(x)))
    np.testing.assert_allclose(found, expected, atol=0.05)


def test_models_in_code_compute_with_blocks(tmp_path, any_size):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.inner = SparseDense(16, 0.5, granularity=(8, 8))

        def call(self, inputs):
            return self.inner(inputs)

    model, x = Own(), normal(2, 32)
    expected = model(x)
    path = exported(model, tmp_path)
    loaded = tf.saved_model.load(path)
    found = loaded.serve(x)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert kinds(path).count("SegmentSum") == 1


def test_code_that_reads_a_kernel_is_refused(tmp_path, any_size):
    class Tied(keras.layers.Layer):
        def __init__(self, other):
            super().__init__()
            self.other = other

        def call(self, inputs):
            return keras.ops.matmul(inputs, self.other.kernel)

    dense = SparseDense(32, 0.5, granularity=(8, 8))
    inputs = keras.Input((32,))
    model = keras.Model(inputs, Tied(dense)(dense(inputs)))
    with pytest.raises(ValueError, match="must be 'dense' where other code"):
        exported(model, tmp_path)
    assert type(dense) is SparseDense
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"compute": "fast"}, "`compute` must be one of"),
        ({"compute": None}, "`compute` must be one of"),
        (
            {"compute": "blocks", "format": "tflite"},
            "`compute` must be 'dense', unless the format is 'saved_model'",
        ),
        (
            {"compute": "blocks", "format": "saved_model_dense"},
            "`compute` must be 'dense', unless the format is 'saved_model'",
        ),
    ],
)
def test_other_values_are_refused(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        dsr_tf.export(mlp(), tmp_path / "m", **arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "changed",
    [
        {"width": 512},
        {"block": (4, 32)},
        {"block": (32, 4)},
        {"sparsity": 0.7},
        {"block": "weight", "storage": "masks"},
    ],
)
def test_models_that_are_faster_dense_are_refused(tmp_path, changed):
    with pytest.raises(ValueError, match="without layers that are faster"):
        exported(mlp(**changed), tmp_path)
    assert not list(tmp_path.iterdir())


def block_lengths(path):
    """Returns the lengths of blocks in a TFLite file; 0 of single weights."""
    (graph,) = graphs_of(path.read_bytes())
    found = [x.sparsity for x in graph.subgraph.tensors if x.sparsity]
    # Two entries are those of rows and columns.
    return [[*x.dimMetadata, None][2] for x in found]


@pytest.mark.parametrize(
    "granularity, quantize, lengths",
    [
        ((4, 1), None, {4}),
        ((16, 16), None, {4}),
        ((1, 4), None, {0}),
        # Not all zeros are in blocks of 4; most are.
        ((15, 16), None, {4}),
        ((16, 16), "int8", {16}),
        ((16, 16), "float16", set()),
    ],
)
def test_tflite_files_are_encoded_in_blocks(
    tmp_path, granularity, quantize, lengths
):
    width = 240
    model = keras.Sequential([keras.Input((width,)), layers.Dense(width)])
    sparse = dsr_tf.sparsify(model, 0.9, granularity=granularity)
    path = tmp_path / "model.tflite"
    dsr_tf.export(
        sparse,
        path,
        "tflite",
        quantize,
        normal(8, width) if quantize == "int8" else None,
        verbose=False,
    )
    found = block_lengths(path)
    assert {x.denseSize if x else 0 for x in found} == lengths


@pytest.mark.slow
@pytest.mark.parametrize("granularity", [(4, 1), (16, 16)])
def test_blocks_are_fast_and_right_on_arm(granularity):
    if reason := arm.missing():
        pytest.skip(reason)
    row = block_files.on_arm(512, granularity, None, 1, 9)
    assert row["encoding"] == "encoded sparse"
    assert row["found"] == "right"
    # Whatever else runs: it is 6 to 8.
    assert row["faster"]["median"] > 4
