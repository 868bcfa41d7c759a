"""Layers that store blocks of their kernels alone."""

import copy
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from dsr_tf.layers import BlockConv1D
from dsr_tf.layers import BlockConv2D
from dsr_tf.layers import BlockConv3D
from dsr_tf.layers import BlockDense
from dsr_tf.layers import BlockEinsumDense
from dsr_tf.layers import SparseConv2D
from dsr_tf.layers import SparseDense
from dsr_tf.layers import sparse_layers
from dsr_tf.layers.sparse_classes import BLOCK_OF
from dsr_tf.layers.sparse_classes import SPARSE_OF

RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 8)).astype("float32")
Y = RNG.normal(size=(16, 4)).astype("float32")
BLOCKS = {"sparsity": 0.5, "granularity": (2, 2)}

# A layer as Keras has it, and the shape of its inputs.
CASES = {
    "dense": (lambda: layers.Dense(6), (8,)),
    "dense of series": (lambda: layers.Dense(6, "relu"), (5, 8)),
    "dense without bias": (lambda: layers.Dense(6, use_bias=False), (8,)),
    "dense of one output": (lambda: layers.Dense(1), (8,)),
    "einsum": (
        lambda: layers.EinsumDense("abc,cd->abd", (None, 6), bias_axes="d"),
        (5, 8),
    ),
    "einsum of a turned kernel": (
        lambda: layers.EinsumDense("abc,dc->abd", (None, 6)),
        (5, 8),
    ),
    "einsum to heads": (
        lambda: layers.EinsumDense("abc,cde->abde", (None, 2, 4), "relu", "de"),
        (5, 8),
    ),
    "einsum from heads": (
        lambda: layers.EinsumDense("abcd,cde->abe", (None, 6), bias_axes="e"),
        (5, 2, 4),
    ),
    "einsum of other order": (
        lambda: layers.EinsumDense("abc,cd->adb", (6, 5), bias_axes="d"),
        (5, 8),
    ),
    "einsum over a middle axis": (
        lambda: layers.EinsumDense("abc,bd->adc", (6, 5)),
        (8, 5),
    ),
    "einsum with an ellipsis": (
        lambda: layers.EinsumDense("...b,bc->...c", 6, bias_axes="c"),
        (5, 8),
    ),
    "einsum with an ellipsis over two axes": (
        lambda: layers.EinsumDense("...b,bc->...c", 6),
        (3, 5, 8),
    ),
    "convolution in 1D": (
        lambda: layers.Conv1D(6, 1, strides=2, activation="relu"),
        (7, 8),
    ),
    "convolution in 2D": (
        lambda: layers.Conv2D(6, 1, strides=(2, 3), padding="same"),
        (5, 7, 8),
    ),
    "convolution in 2D without bias": (
        lambda: layers.Conv2D(6, (1, 1), use_bias=False),
        (3, 3, 8),
    ),
    "convolution in 3D": (lambda: layers.Conv3D(6, 1, strides=2), (3, 4, 5, 8)),
}


def twins(name, granularity=(2, 2), **arguments):
    """Returns a layer that stores blocks, one with masks, and inputs."""
    make, shape = CASES[name]
    keras.utils.set_random_seed(0)
    config = {**make().get_config(), **arguments}
    found = []
    for kinds in (BLOCK_OF, SPARSE_OF):
        kind = kinds[type(make())]
        own = {"sparsity": 0.5, "granularity": granularity, "seed": 3}
        layer = kind.from_config({**config, **own})
        layer.build((None, *shape))
        found.append(layer)
    blocks, masked = found
    blocks.assign_kernel(masked.kernel)
    if masked.bias is not None:
        bias = np.random.default_rng(1).normal(size=masked.bias.shape)
        blocks.bias.assign(bias)
        masked.bias.assign(bias)
    inputs = np.random.default_rng(2).normal(size=(3, *shape))
    return blocks, masked, inputs.astype("float32")


def built(units=6, inputs=8, **arguments):
    layer = BlockDense(units, **{**BLOCKS, "seed": 0, **arguments})
    layer.build((None, inputs))
    return layer


def model(optimizer="adam", **arguments):
    keras.utils.set_random_seed(0)
    net = keras.Sequential(
        [
            keras.Input((8,)),
            BlockDense(12, **BLOCKS, seed=1, activation="relu", name="one"),
            BlockDense(4, **BLOCKS, seed=2, name="two"),
        ]
    )
    net.compile(optimizer, "mse", **arguments)
    return net


def fit(net, epochs=1):
    net.fit(X, Y, batch_size=4, epochs=epochs, verbose=0, shuffle=False)


def mask_of(layer, positions):
    entries = np.zeros(layer.kernel_units.count)
    entries[list(positions)] = 1
    return layer.kernel_units.spread(entries)


def slots(net, layer):
    shape = tuple(layer.kernel_blocks.shape)
    return [v for v in net.optimizer.variables if tuple(v.shape) == shape]


def equal(one, other):
    pairs = zip(one, other, strict=True)
    return all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in pairs)


@pytest.mark.parametrize("name", CASES)
def test_layers_are_those_with_a_mask_of_the_same_blocks(name):
    blocks, masked, inputs = twins(name)
    mask = masked.kernel_mask.numpy()
    assert 0 < mask.sum() < mask.size
    assert (blocks.kernel_mask.numpy() == mask).all()
    assert (blocks.kernel.numpy() == masked.kernel.numpy()).all()
    assert blocks.num_active == masked.num_active == mask.sum()
    assert blocks(inputs).shape == masked(inputs).shape
    np.testing.assert_allclose(blocks(inputs), masked(inputs), atol=1e-5)
    both = []
    for layer in (blocks, masked):
        with tf.GradientTape() as tape:
            tape.watch(x := tf.constant(inputs))
            loss = tf.reduce_sum(layer(x) ** 2)
        both.append(tape.gradient(loss, [x, layer.trainable_weights[0]]))
    np.testing.assert_allclose(both[0][0], both[1][0], atol=1e-4)
    units = blocks.kernel_units
    places = blocks.kernel_positions.numpy()
    rows = units.rows(both[1][1].numpy())[:, places]
    found = both[0][1].numpy().reshape(len(places), -1).T
    np.testing.assert_allclose(found, rows, atol=1e-4)


@pytest.mark.parametrize("block", [(1, 1), (8, 6), (3, 4), (100, 100)])
def test_any_block_serves(block):
    blocks, masked, inputs = twins("dense", block)
    assert blocks.kernel_units == masked.kernel_units
    np.testing.assert_allclose(blocks(inputs), masked(inputs), atol=1e-5)


@pytest.mark.parametrize("name", ["dense of series", "convolution in 2D"])
@pytest.mark.parametrize(
    "policy", ["mixed_float16", "mixed_bfloat16", "float64", "float16"]
)
def test_policies_are_those_of_keras(name, policy):
    blocks, masked, inputs = twins(name, dtype=policy)
    mine, other = blocks(inputs), masked(inputs)
    assert mine.dtype == other.dtype
    assert blocks.kernel_blocks.dtype == masked.kernel.dtype
    mine, other = (x.numpy().astype("float64") for x in (mine, other))
    np.testing.assert_allclose(mine, other, rtol=0.05, atol=0.05)


def test_symbolic_calls_know_their_shapes():
    inputs = keras.Input((None, 8))
    assert BlockDense(6, **BLOCKS)(inputs).shape == (None, None, 6)
    outputs = BlockEinsumDense("abc,cde->abde", (None, 2, 4), **BLOCKS)(inputs)
    assert outputs.shape == (None, None, 2, 4)
    images = keras.Input((None, None, 8))
    net = keras.Model(images, BlockConv2D(6, 1, **BLOCKS, strides=2)(images))
    assert net.output.shape == (None, None, None, 6)
    assert net(np.ones((2, 5, 4, 8))).shape == (2, 3, 2, 6)


@pytest.mark.parametrize(
    "make, shape",
    [
        (lambda **x: BlockConv1D(6, 1, **BLOCKS, **x), (8, 7)),
        (lambda **x: BlockConv2D(6, 1, **BLOCKS, strides=2, **x), (8, 5, 4)),
        (lambda **x: BlockConv3D(6, 1, **BLOCKS, **x), (8, 3, 4, 2)),
    ],
)
def test_channels_may_come_first(make, shape):
    first = make(data_format="channels_first", seed=1)
    last = make(data_format="channels_last", seed=1)
    x = RNG.normal(size=(2, *shape)).astype("float32")
    axes = [0, *range(2, len(shape) + 1), 1]
    outputs = first(x)
    last(x.transpose(axes))
    last.assign_kernel(first.kernel)
    assert first.compute_output_shape(x.shape) == outputs.shape
    expected = last(x.transpose(axes)).numpy()
    np.testing.assert_allclose(
        outputs.numpy().transpose(axes), expected, atol=1e-6
    )


def test_masks_of_time_steps_go_through():
    keras.utils.set_random_seed(0)
    net = keras.Sequential(
        [
            keras.Input((5,)),
            layers.Embedding(9, 8, mask_zero=True),
            BlockDense(6, **BLOCKS, seed=0, name="dense"),
            layers.LSTM(4),
        ]
    )
    assert net.get_layer("dense").supports_masking
    short = np.array([[1, 2, 3, 0, 0]])
    padded = net(short).numpy()
    np.testing.assert_allclose(padded, net(short[:, :3]).numpy(), atol=1e-6)


@pytest.mark.parametrize(
    "penalty", ["l1", "l2", keras.regularizers.L1L2(0.1, 0.2)]
)
def test_penalties_are_those_of_the_dense_kernel(penalty):
    blocks, masked, inputs = twins("dense", kernel_regularizer=penalty)
    blocks(inputs), masked(inputs)
    assert float(blocks.losses[0]) > 0
    np.testing.assert_allclose(blocks.losses, masked.losses, rtol=1e-5)


def test_constraints_are_obeyed_whoever_assigns():
    layer = built(kernel_constraint="non_neg")
    layer.assign_kernel(-np.ones((8, 6)))
    assert not layer.kernel.numpy().any()
    layer.kernel_blocks.assign(layer.kernel_blocks.value - 1)
    assert not layer.kernel.numpy().any()
    net = keras.Sequential([keras.Input((8,)), layer])
    layer.assign_kernel(np.full((8, 6), 0.01))
    net.compile(keras.optimizers.SGD(1.0), "mse")
    net.fit(X, 0 * Y[:, :1] - 9, epochs=2, verbose=0)
    assert (layer.kernel.numpy() >= 0).all()


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda: BlockDense(
                4,
                *BLOCKS.values(),
                kernel_regularizer=keras.regularizers.OrthogonalRegularizer(),
            ),
            "`kernel_regularizer` must be None, L1, L2 or L1L2 where only",
        ),
        (
            lambda: BlockDense(4, 0.5, (2, 2), kernel_constraint="unit_norm"),
            "`kernel_constraint` must be None or NonNeg where only blocks",
        ),
        (lambda: BlockDense(4, 1.0, (2, 2)), "`sparsity` must be"),
        (
            lambda: BlockDense(4, 0.5, "weight"),
            "`granularity` must be.*pair of positive.*granularity='weight'",
        ),
        (lambda: BlockDense(4, 0.5, (0, 2)), r"granularity=\(0, 2\)"),
        (lambda: BlockDense(4, 0.5, (2, 2), seed=-1), "`seed` must be"),
        (lambda: BlockDense(4, 0.5, (2, 2), lora_rank=2), "LoRA"),
        (
            lambda: BlockConv2D(4, 3, 0.5, (2, 2)),
            "`kernel_size` and `groups` must be 1.*kernel_size=3, groups=1",
        ),
        (
            lambda: BlockConv2D(4, 1, 0.5, (2, 2), groups=2),
            "kernel_size=1, groups=2",
        ),
        (
            lambda: BlockEinsumDense("abc,acd->abd", (None, 4), 0.5, (2, 2)),
            "`equation` must have no letter of the kernel in the inputs and in",
        ),
    ],
)
def test_wrong_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_names_of_blocks_serve_and_configs_hold_them():
    layer = BlockDense(6, 0.5, "2x3", seed=4, name="a", activation="relu")
    config = layer.get_config()
    assert (config["granularity"], config["seed"]) == ("2x3", 4)
    again = BlockDense.from_config(config)
    assert again.get_config() == config
    for each in (layer, again):
        each.build((None, 8))
    assert equal(
        [layer.kernel_positions, layer.kernel_mask],
        [again.kernel_positions, again.kernel_mask],
    )


def test_seeds_are_those_of_layers_with_masks():
    for seed in (0, 1):
        mask = built(seed=seed).kernel_mask.numpy()
        other = SparseDense(6, **BLOCKS, seed=seed)
        other.build((None, 8))
        assert (mask == other.kernel_mask.numpy()).all()
    assert (mask != built(seed=0).kernel_mask.numpy()).any()
    keras.utils.set_random_seed(5)
    one = BlockDense(6, **BLOCKS).seed
    keras.utils.set_random_seed(5)
    assert BlockDense(6, **BLOCKS).seed == one


def test_at_least_one_block_stays():
    layer = built(sparsity=0.999)
    assert layer.num_active == 4


def test_what_is_stored_is_the_budget():
    layer = built()
    count = int(0.5 * 12 + 0.1)
    assert layer.kernel_blocks.shape == (count, 2, 2)
    assert layer.count_params() == count * 4 + count + 6
    assert [w.name for w in layer.weights] == [
        "kernel_blocks",
        "bias",
        "kernel_positions",
    ]
    assert [w.name for w in layer.trainable_weights] == [
        "kernel_blocks",
        "bias",
    ]


def test_layers_that_are_not_built_have_no_kernel():
    layer = BlockDense(6, **BLOCKS)
    for name in ("kernel", "kernel_mask"):
        with pytest.raises(AttributeError, match="must build the layer"):
            getattr(layer, name)
    assert layer.storage == "blocks" and not layer.built


def test_frozen_layers_do_not_train():
    net = model()
    layer = net.get_layer("one")
    layer.trainable = False
    net.compile("adam", "mse")
    before = layer.kernel.numpy()
    fit(net)
    assert (layer.kernel.numpy() == before).all()
    assert layer.trainable_weights == []
    layer.trainable = True
    net.compile("adam", "mse")
    fit(net)
    assert (layer.kernel.numpy() != before).any()


def test_layers_may_be_made_frozen():
    layer = BlockDense(6, **BLOCKS, trainable=False)
    layer.build((None, 8))
    assert layer.trainable_weights == []
    assert len(layer.non_trainable_weights) == 3


def test_lora_and_quantization_are_refused():
    layer = built()
    with pytest.raises(ValueError, match="LoRA"):
        layer.enable_lora(2)
    with pytest.raises(ValueError, match="quantize"):
        layer.quantize("int8")


def test_kernels_are_assigned_where_blocks_are():
    layer = built()
    layer.assign_kernel(np.arange(48.0).reshape(8, 6))
    mask = layer.kernel_mask.numpy()
    expected = np.where(mask, np.arange(48.0).reshape(8, 6), 0)
    assert (layer.kernel.numpy() == expected).all()
    for name in ("kernel", "kernel_mask"):
        with pytest.raises(AttributeError):
            setattr(layer, name, mask)


@pytest.mark.parametrize(
    "mask, message",
    [
        (np.zeros((8, 6)), "must keep at least one weight"),
        (np.ones((6, 8)), r"kernel's shape \(8, 6\)"),
        (np.full((8, 6), 2), "only zeros and ones"),
        (np.eye(8, 6), "equal throughout each unit of 4 weights"),
    ],
)
def test_wrong_masks_are_refused(mask, message):
    layer = built(name="dense")
    before = layer.kernel.numpy()
    with pytest.raises(ValueError, match=message):
        layer.set_mask(mask)
    assert (layer.kernel.numpy() == before).all()


def test_masks_keep_the_weights_of_blocks_that_stay():
    layer = built()
    layer.assign_kernel(np.ones((8, 6)))
    first = layer.kernel_positions.numpy()
    others = sorted(set(range(12)) - set(first))
    layer.set_mask(mask_of(layer, [*first[:2], *others[:3]]))
    positions = layer.kernel_positions.numpy()
    assert positions.tolist() == sorted([*first[:2], *others[:3]])
    kept = mask_of(layer, first[:2])
    assert (layer.kernel.numpy() == kept).all()
    assert layer.num_active == 20


@pytest.mark.parametrize(
    "optimizer, compiled",
    [
        ("adam", False),
        ("adam", True),
        ("adafactor", False),
        ("muon", False),
        pytest.param("adafactor", True, marks=pytest.mark.slow),
        pytest.param("muon", True, marks=pytest.mark.slow),
    ],
)
def test_masks_of_another_number_of_blocks_bring_slots_along(
    optimizer, compiled
):
    net = model(optimizer, jit_compile=compiled)
    layer = net.get_layer("one")
    fit(net)
    before = [x.numpy() for x in slots(net, layer)]
    first = layer.kernel_positions.numpy().tolist()
    new = sorted([*first[1:], *sorted(set(range(24)) - set(first))[:3]])
    layer.set_mask(mask_of(layer, new))
    after = slots(net, layer)
    # Keras' Muon takes what has three axes for no matrix, and uses AdamW.
    assert len(before) == len(after) == (1 if optimizer == "adafactor" else 2)
    for old, slot in zip(before, after, strict=True):
        value = slot.numpy()
        for row, position in enumerate(new):
            if position in first:
                assert (value[row] == old[first.index(position)]).all()
            else:
                assert not value[row].any()
    kernel = layer.kernel.numpy()
    fit(net)
    assert (layer.kernel.numpy() != kernel).any()
    layer.set_mask(mask_of(layer, [3]))
    fit(net)
    assert layer.num_active == 4


def test_masks_change_before_the_first_step_of_an_optimizer():
    net = model()
    net.optimizer.build(net.trainable_variables)
    layer = net.get_layer("one")
    layer.set_mask(mask_of(layer, range(20)))
    fit(net)
    assert [x.shape[0] for x in slots(net, layer)] == [20, 20]


def test_a_second_optimizer_has_slots_of_its_own():
    one = model()
    other = keras.Sequential([keras.Input((8,)), *one.layers])
    other.compile("adam", "mse")
    fit(one), fit(other)
    layer = one.get_layer("one")
    layer.set_mask(mask_of(layer, range(20)))
    fit(one), fit(other)
    for net in (one, other):
        assert [x.shape[0] for x in slots(net, layer)] == [20, 20]


@pytest.mark.parametrize("duplicate", [copy.deepcopy, "pickle"])
def test_layers_and_models_can_be_duplicated(duplicate):
    if duplicate == "pickle":

        def duplicate(x):
            return pickle.loads(pickle.dumps(x))

    net = model()
    fit(net)
    layer = net.get_layer("one")
    layer.set_mask(mask_of(layer, [1, 2, 5]))
    again = duplicate(net)
    assert equal(net.get_weights(), again.get_weights())
    fit(net), fit(again)
    assert equal(net.get_weights(), again.get_weights())


def test_files_hold_any_number_of_blocks(tmp_path):
    net = model()
    layer = net.get_layer("one")
    layer.set_mask(mask_of(layer, [0, 5, 7, 20]))
    fit(net)
    net.save(tmp_path / "model.keras")
    net.save_weights(tmp_path / "model.weights.h5")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_layer("one").num_active == 16
    assert equal(net.get_weights(), loaded.get_weights())
    assert equal(net.optimizer.variables, loaded.optimizer.variables)
    other = model()
    fit(other)
    other.load_weights(tmp_path / "model.weights.h5")
    assert equal(net.get_weights(), other.get_weights())
    for each in (net, loaded, other):
        fit(each)
    assert equal(net.get_weights(), loaded.get_weights())


def saved(layer):
    store = {}
    layer.save_own_variables(store)
    return {k: np.array(v) for k, v in store.items()}


def shifted(by):
    return lambda store: store["kernel_positions"] + by


# What is put in the place of an entry, and what is said of it.
DAMAGES = {
    "no blocks": ("kernel_blocks", None, "can load only a file that a layer"),
    "more": ("more", lambda s: np.ones(1), "can load only a file that a layer"),
    "other kernel": ("kernel_shape", lambda s: [6, 8], "must load a kernel"),
    "shape of none": ("kernel_shape", lambda s: 8, "must load a kernel"),
    "other blocks": (
        "kernel_blocks",
        lambda s: np.ones((6, 3, 2)),
        r"blocks of \(2, 2\). Received.*blocks of \(3, 2\)",
    ),
    "no array": ("kernel_blocks", lambda s: 1.0, "blocks of"),
    "one block less": (
        "kernel_blocks",
        lambda s: s["kernel_blocks"][1:],
        "5 blocks and 6 positions",
    ),
    "descending": (
        "kernel_positions",
        lambda s: s["kernel_positions"][::-1],
        "one integer or more, and ascend",
    ),
    "equal": (
        "kernel_positions",
        lambda s: 0 * s["kernel_positions"],
        "one integer or more, and ascend",
    ),
    "negative": (
        "kernel_positions",
        shifted(-9),
        "not be negative, and must be",
    ),
    "fractions": (
        "kernel_positions",
        shifted(0.5),
        "one integer or more, and ascend",
    ),
    "outside": ("kernel_positions", shifted(12), "below 12. Received"),
    "none": (
        "kernel_positions",
        lambda s: np.zeros(0, int),
        "one integer or more",
    ),
    "two axes": (
        "kernel_positions",
        lambda s: s["kernel_positions"][None],
        "one integer or more",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_files_are_refused_and_change_nothing(name):
    key, value, message = DAMAGES[name]
    layer = built()
    store, before = saved(layer), [w.numpy() for w in layer.weights]
    damaged = value and np.asarray(value(store))
    store.pop(key, None)
    if damaged is not None:
        store[key] = damaged
    with pytest.raises(ValueError, match=message):
        layer.load_own_variables(store)
    assert equal(before, layer.weights)


def test_files_of_other_layers_are_refused(tmp_path):
    net = model()
    masked = keras.Sequential(
        [
            keras.Input((8,)),
            SparseDense(12, **BLOCKS, name="one"),
            SparseDense(4, **BLOCKS, name="two"),
        ]
    )
    for one, other in ((net, masked), (masked, net)):
        one.save_weights(tmp_path / "a.weights.h5")
        with pytest.raises(ValueError):
            other.load_weights(tmp_path / "a.weights.h5")


def test_every_layer_with_blocks_is_a_sparse_one():
    kinds = [BlockDense, BlockEinsumDense, BlockConv1D, BlockConv2D]
    assert list(BLOCK_OF.values()) == [*kinds, BlockConv3D]
    assert list(BLOCK_OF) == list(SPARSE_OF)
    net = model()
    found = sparse_layers(net)
    assert [x.name for x in found] == ["one", "two"]
    assert {x.storage for x in found} == {"blocks"}
    assert SparseConv2D(2, 1, 0.5).storage == "masks"
