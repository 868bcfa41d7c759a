"""Blocks of kernels that move as one."""

import keras
import numpy as np
import pytest
from keras import layers

import dsr_tf
from dsr_tf.callbacks import DSR
from dsr_tf.callbacks import DeepR
from dsr_tf.callbacks import GradualPruning
from dsr_tf.layers import BlockDense
from dsr_tf.layers import SparseConv1D
from dsr_tf.layers import SparseConv2D
from dsr_tf.layers import SparseConv3D
from dsr_tf.layers import SparseDense
from dsr_tf.layers import SparseEinsumDense
from dsr_tf.layers import copy_masks
from dsr_tf.layers import sparse_layers
from dsr_tf.methods import Method
from dsr_tf.methods.allocate import in_proportion_to_survivors
from dsr_tf.methods.grow import AtRandom
from dsr_tf.methods.prune import Prune
from dsr_tf.methods.ranking import smallest
from dsr_tf.models import lenet_300_100
from dsr_tf.models import resnet50
from dsr_tf.models import wide_resnet
from dsr_tf.units import Granularity
from dsr_tf.units import Units

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 4, 8)).astype("float32")
Y = RNG.integers(0, 6, size=64)


def built(layer, *shape):
    layer.build((None, *shape))
    return layer


def only(layer, unit):
    """Returns the positions of one unit of a layer's kernel."""
    mask = np.arange(layer.kernel_units.count) == unit
    return np.argwhere(layer.kernel_units.spread(mask)).tolist()


def transformer():
    """A functional model with all kinds of layers that attention needs."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4, 8))
    x = layers.MultiHeadAttention(2, 4, name="attention")(inputs, inputs)
    x = layers.LayerNormalization()(layers.Add()([inputs, x]))
    y = layers.EinsumDense("abc,dc->abd", (None, 16), name="up")(x)
    y = layers.Conv1D(8, 1, activation="relu", name="pointwise")(y)
    x = layers.LayerNormalization()(layers.Add()([x, y]))
    x = layers.GRU(8, name="recurrent")(x)
    return keras.Model(inputs, layers.Dense(6, name="logits")(x))


def compiled(model, optimizer=None):
    model.compile(
        optimizer or keras.optimizers.Adam(0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


def fit(model, *callbacks, epochs=3):
    model.fit(
        X, Y, batch_size=8, epochs=epochs, verbose=0, shuffle=False,
        callbacks=list(callbacks),
    )  # fmt: skip


def assert_blocks_are_whole(model):
    for layer in sparse_layers(model):
        mask = layer.kernel_mask.numpy()
        units = layer.kernel_units
        assert units.of_mask(mask).sum() * units.size == layer.num_active
        assert not layer.kernel.numpy()[~mask].any()


def test_blocks_of_dense_layers():
    layer = built(SparseDense(6, 0.5, granularity=(2, 3)), 4)
    assert layer.kernel_units == Units((4, 6), Granularity.of("2x3"))
    # Two of the four.
    assert layer.num_active == 12 and layer.unit_size == 6
    # The second of the first row of blocks.
    assert only(layer, 1) == [[i, j] for i in (0, 1) for j in (3, 4, 5)]


def test_blocks_of_einsum_layers_follow_the_equation():
    plain = SparseEinsumDense("abc,cd->abd", (None, 6), 0.5, (2, 3))
    turned = SparseEinsumDense("abc,dc->abd", (None, 6), 0.5, (2, 3))
    assert built(plain, 5, 4).kernel_units.input_axes == (0,)
    assert built(turned, 5, 4).kernel_units.input_axes == (1,)
    assert turned.kernel.shape == (6, 4)
    assert only(plain, 1) == [[i, j] for i in (0, 1) for j in (3, 4, 5)]
    # Rows are inputs, which are the last axis here.
    assert only(turned, 1) == [[j, i] for j in (3, 4, 5) for i in (0, 1)]


def test_blocks_of_the_projections_of_attention():
    # From 4 channels to 2 heads of 3: columns number heads and what is in them.
    query = SparseEinsumDense("abc,cde->abde", (None, 2, 3), 0.5, (2, 3))
    units = built(query, 5, 4).kernel_units
    assert units.matrix == (4, 6) and units.grid == (2, 2)
    assert only(query, 3) == [[i, 1, e] for i in (2, 3) for e in range(3)]
    # And back: rows number them.
    output = SparseEinsumDense("abcd,cde->abe", (None, 4), 0.5, (3, 2))
    units = built(output, 5, 2, 3).kernel_units
    assert units.matrix == (6, 4) and units.grid == (2, 2)
    assert only(output, 2) == [[1, d, e] for d in range(3) for e in (0, 1)]


@pytest.mark.parametrize(
    "layer, shape",
    [
        (SparseConv1D(6, 1, 0.5, (2, 3)), (5, 4)),
        (SparseConv2D(6, 1, 0.5, (2, 3), strides=2), (5, 5, 4)),
        (SparseConv2D(6, (1, 1), 0.5, (2, 3), groups=2), (5, 5, 8)),
        (SparseConv3D(6, 1, 0.5, (2, 3)), (5, 5, 5, 4)),
    ],
)
def test_blocks_of_pointwise_convolutions(layer, shape):
    units = built(layer, *shape).kernel_units
    assert units.matrix == (4, 6) and units.grid == (2, 2)
    channels = [position[-2:] for position in only(layer, 2)]
    assert channels == [[i, j] for i in (2, 3) for j in (0, 1, 2)]


@pytest.mark.parametrize("given", [(16, 4), [16, 4], "16x4"])
def test_layers_hold_the_name_of_a_block(given):
    layer = SparseDense(8, 0.5, granularity=given)
    assert layer.granularity == layer.get_config()["granularity"] == "16x4"
    again = SparseDense.from_config(layer.get_config())
    assert built(again, 32).kernel_units.block == (16, 4)


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda: SparseConv2D(4, 3, 0.5, granularity=(2, 2)),
            r"'weight' or 'kernel'.*granularity=\(2, 2\), kernel_size=3",
        ),
        (
            lambda: SparseConv1D(4, 2, 0.5, granularity="2x2"),
            "'weight' or 'kernel' where the window has several positions",
        ),
        # For each a there is a matrix from c to d.
        (
            lambda: SparseEinsumDense("abc,acd->abd", (None, 4), 0.5, (2, 2)),
            "'weight' where `equation` has a letter of the kernel in the inpu",
        ),
        (
            lambda: SparseDense(4, 0.5, granularity=(2, 0)),
            r"'weight',\), or a pair of positive.*Received: granularity=\(2, 0",
        ),
        (
            lambda: SparseDense(4, 0.5, granularity="kernel"),
            r"one of \('weight',\), or a pair of positive integers",
        ),
    ],
)
def test_what_has_no_blocks_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_part_of_a_block_is_refused():
    layer = built(SparseDense(6, 0.5, granularity=(2, 3)), 4)
    mask = np.ones((4, 6))
    mask[0, 0] = 0
    with pytest.raises(ValueError, match="each unit of 6 weights.*'2x3'"):
        layer.set_mask(mask)


def test_sparsify_gives_blocks_to_all_kernels_that_are_matrices():
    sparse = dsr_tf.sparsify(transformer(), 0.5, granularity=(4, 4))
    found = {x.name: x.kernel_units for x in sparse_layers(sparse)}
    assert {x.granularity.name for x in found.values()} == {"4x4"}
    assert found["query"].matrix == (8, 8)
    assert found["attention_output"].input_axes == (0, 1)
    assert found["up"].input_axes == (1,)
    assert found["logits"].block == (4, 3)
    assert {"recurrent_kernel", "kernel"} <= {
        x.split("/")[-1] for x in found if "/" in x
    }
    assert_blocks_are_whole(sparse)
    total = sum(x.num_weights for x in found.values())
    active = sum(x.num_active for x in sparse_layers(sparse))
    assert 0 <= int(0.5 * total + 0.1) - active < 16


def test_other_kernels_keep_single_weights():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 4)),
            layers.Conv2D(8, 3, name="window"),
            layers.Conv2D(8, 1, name="pointwise"),
            layers.SeparableConv2D(8, 3, name="separable"),
            layers.Conv2DTranspose(8, 1, name="transposed"),
            layers.EinsumDense("abcd,bde->abce", (4, 4, 4), name="several"),
            layers.Flatten(),
            layers.Dense(8, name="dense"),
        ]
    )
    sparse = dsr_tf.sparsify(model, 0.5, granularity="4x4", include="*")
    found = {x.name.split("/")[0]: x for x in sparse_layers(sparse)}
    assert {name: x.granularity for name, x in found.items()} == {
        "window": "weight",
        "pointwise": "4x4",
        "separable": "4x4",
        "transposed": "weight",
        "several": "weight",
        "dense": "4x4",
    }
    for layer in found.values():
        assert layer.unit_size == (16 if layer.granularity == "4x4" else 1)


@pytest.mark.parametrize("in_place", [False, True])
def test_magnitude_keeps_the_largest_blocks(in_place):
    model = transformer()
    dense = {w.path: w.numpy() for w in model.weights}
    sparse = dsr_tf.sparsify(
        model, 0.5, granularity=(4, 4), keep="magnitude", in_place=in_place
    )
    assert len(sparse_layers(sparse)) == 9
    for layer in sparse_layers(sparse):
        units, mask = layer.kernel_units, layer.kernel_mask.numpy()
        means = units.magnitudes(dense[layer.kernel.path])
        kept = units.of_mask(mask)
        assert means[kept].min() >= means[~kept].max()


def test_reallocation_moves_whole_blocks_within_the_budget():
    model = compiled(dsr_tf.sparsify(transformer(), 0.5, granularity=(4, 4)))
    before = sum(x.num_active for x in sparse_layers(model))
    counts = [x.num_active for x in sparse_layers(model)]
    moves = DSR(8, period=4, initial_threshold=0.2, regrow_stddev=0.01)

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            assert_blocks_are_whole(model)
            active = sum(x.num_active for x in sparse_layers(model))
            assert active + moves.state.unspent == before
            assert 0 <= moves.state.unspent < 16

    fit(model, moves, Watch())
    assert moves.state.weights_moved > 0
    assert [x.num_active for x in sparse_layers(model)] != counts
    for layer in sparse_layers(model):
        off = ~layer.kernel_mask.numpy()
        slots = [slot.variable.numpy() for slot in layer.kernel.slots()]
        assert len(slots) == 2 and not any(slot[off].any() for slot in slots)


def test_blocks_fit_a_task():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8,)),
            SparseDense(32, 0.5, (4, 8), seed=0, activation="relu"),
            SparseDense(6, 0.5, (4, 2), seed=1),
        ]
    )
    compiled(model, keras.optimizers.Adam(0.02))
    x = RNG.normal(size=(256, 8)).astype("float32")
    y = x[:, :6].argmax(-1)
    first = model.evaluate(x, y, verbose=0)
    model.fit(x, y, epochs=20, verbose=0, callbacks=[DSR(2, period=20)])
    assert model.evaluate(x, y, verbose=0) < 0.5 * first
    assert_blocks_are_whole(model)


def test_a_keras_file_holds_the_blocks(tmp_path):
    model = compiled(dsr_tf.sparsify(transformer(), 0.5, granularity=(4, 4)))
    fit(model, DSR(8, period=4, initial_threshold=0.2), epochs=1)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert [x.kernel_units for x in sparse_layers(loaded)] == [
        x.kernel_units for x in sparse_layers(model)
    ]
    pairs = zip(model.get_weights(), loaded.get_weights(), strict=True)
    assert all((a == b).all() for a, b in pairs)
    fit(loaded, DSR(8, period=4, initial_threshold=0.2), epochs=1)
    assert_blocks_are_whole(loaded)


def test_masks_of_blocks_are_copied():
    source, target = (
        dsr_tf.sparsify(transformer(), 0.5, granularity=(4, 4), seed=seed)
        for seed in (0, 1)
    )
    copy_masks(source, target)
    pairs = zip(sparse_layers(source), sparse_layers(target), strict=True)
    for one, other in pairs:
        assert (one.kernel_mask.numpy() == other.kernel_mask.numpy()).all()
    weights = dsr_tf.sparsify(transformer(), 0.5)
    with pytest.raises(ValueError, match="equal throughout each unit of 16"):
        copy_masks(weights, target)


def test_exported_and_dense_networks_compute_the_same(tmp_path):
    model = dsr_tf.sparsify(transformer(), 0.5, granularity=(4, 4))
    expected = model.predict(X, verbose=0)
    dense = dsr_tf.densify(model)
    assert (dense.predict(X, verbose=0) == expected).all()
    dsr_tf.export(model, tmp_path / "saved")
    found = keras.layers.TFSMLayer(tmp_path / "saved", "serving_default")(X)
    (output,) = found.values()
    assert output.numpy() == pytest.approx(expected, abs=1e-5)


def test_summary_counts_the_weights_of_blocks():
    model = lenet_300_100(sparsity=0.9, granularity=(16, 16))
    found = dsr_tf.summary(model, print_fn=None)
    assert [x.unit_size for x in sparse_layers(model)] == [240, 150, 100]
    # int(.1 * blocks + .1) of 49 * 20, 20 * 10 and 10.
    assert [x.active for x in found.layers] == [98 * 240, 20 * 150, 100]
    assert found.model.sparse_multiply_adds == 98 * 240 + 20 * 150 + 100


class Halved(Prune):
    """Halves all weights, and prunes the smallest block."""

    def perturb(self, ctx, seed):
        return [0.5 * tensor.values for tensor in ctx.tensors]

    def __call__(self, ctx):
        return [smallest(tensor, 1) for tensor in ctx.tensors]


@pytest.mark.parametrize("granularity", ["weight", "1x1", "2x3"])
def test_a_method_may_change_the_weights_of_blocks(granularity):
    layer = SparseEinsumDense("abc,dc->abd", (None, 6), 0.5, granularity)
    model = keras.Sequential([keras.Input((5, 4)), layer])
    before = layer.kernel.numpy()
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build(model.trainable_variables)
    method = Method(Halved(), in_proportion_to_survivors, AtRandom())
    dsr_tf.Reallocator(model, optimizer, method).reallocate()
    stayed = layer.kernel_mask.numpy() & (before != 0)
    assert stayed.any()
    assert (layer.kernel.numpy()[stayed] == 0.5 * before[stayed]).all()


def test_gradual_pruning_leaves_the_blocks_of_a_new_model():
    model = compiled(dsr_tf.sparsify(transformer(), 0.0, granularity=(4, 4)))
    fit(model, GradualPruning(0.5, 3, period=4, across_tensors=False))
    assert_blocks_are_whole(model)
    for layer in sparse_layers(model):
        assert layer.num_active == layer.num_kept(0.5)


def test_signs_of_blocks_are_refused():
    model = compiled(dsr_tf.sparsify(transformer(), 0.5, granularity=(4, 4)))
    with pytest.raises(ValueError, match="`granularity` must be 'weight'"):
        fit(model, DeepR(1e-4))


def warnings(caplog, model, *block, include=None):
    caplog.clear()
    dsr_tf.sparsify(model, 0.5, granularity=block, include=include)
    return [
        x.getMessage()
        for x in caplog.records
        if "can have" in x.msg or "locks of" in x.msg
    ]


def test_small_blocks_are_named(caplog):
    model = keras.Sequential(
        [
            keras.Input((34,)),
            layers.Dense(48, name="two_rows"),
            layers.Dense(19, name="one_column"),
            layers.Dense(48, name="one_row"),
            layers.Dense(10, name="all_columns"),
        ]
    )
    (message,) = warnings(caplog, model, 16, 16)
    assert (
        "two_rows (2x16 of 34x48), one_column (16x1 of 48x19), "
        "one_row (1x16 of 19x48)." in message
    )
    assert "all_columns" not in message
    assert message.endswith("outputs that 16 divides give whole blocks.")
    assert not warnings(caplog, model, 16, 16, include="all_columns")
    assert not warnings(caplog, model, 1, 1)


def test_small_blocks_of_a_layer_made_by_hand_are_told(caplog, tmp_path):
    layer = BlockDense(32, 0.5, (16, 16), name="by_hand")
    model = keras.Sequential([keras.Input((97,)), layer])
    (record,) = caplog.records
    assert "Blocks of 16x16 are 1x16 in layer 'by_hand'" in record.getMessage()
    model.save(tmp_path / "model.keras")
    caplog.clear()
    keras.models.load_model(tmp_path / "model.keras")
    BlockDense(32, 0.5, (16, 16)).build((None, 96))
    assert not caplog.records


def test_models_without_blocks_are_told(caplog):
    convolution = layers.Conv2D(4, 3, name="window")
    model = keras.Sequential([keras.Input((8, 8, 4)), convolution])
    (message,) = warnings(caplog, model, 4, 4, include="window")
    assert "can have blocks of 4x4: single weights move" in message


def test_models_without_slices_are_told(caplog):
    dense = layers.Dense(4)
    model = keras.Sequential([keras.Input((8, 8, 4)), dense])
    dsr_tf.sparsify(model, 0.5, granularity="kernel")
    assert "can have slices: single weights move. Convolutions" in caplog.text
    caplog.clear()
    both = keras.Sequential([model, layers.Conv2D(4, 3)])
    dsr_tf.sparsify(both, 0.5, granularity="kernel")
    assert "slices" not in caplog.text


def test_networks_take_blocks():
    model = resnet50((32, 32, 3), 10, width=0.25, granularity=(16, 16))
    names = {x.name: x.granularity for x in sparse_layers(model)}
    assert names["logits"] == names["group_1_block_1_conv_1"] == "16x16"
    assert names["group_1_block_1_conv_2"] == "weight"
    model = wide_resnet(10, 1, granularity=(16, 16), sparse_logits=True)
    *others, logits = sparse_layers(model)
    assert logits.kernel_units.block == (16, 10)
    assert {x.granularity for x in others} == {"weight"}


@pytest.mark.parametrize("build", [resnet50, wide_resnet])
def test_penalties_on_slices_do_not_go_with_blocks(build):
    with pytest.raises(ValueError, match="`group_lasso` must be 0 where blo"):
        build(granularity=(16, 16), group_lasso=0.1)


def test_hashed_networks_have_no_blocks():
    with pytest.raises(ValueError, match="`granularity` must be 'weight' whe"):
        lenet_300_100(hashed=True, granularity=(16, 16))
