import keras
import numpy as np
import pytest
from keras import ops

from dsr_tf.budget import num_kept
from dsr_tf.layers import SparseConv2D
from dsr_tf.layers import SparseDense
from dsr_tf.layers import sparse_layers


def dense(units=6, sparsity=0.75, seed=1, inputs=8, **kwargs):
    layer = SparseDense(units, sparsity, seed=seed, **kwargs)
    layer.build((None, inputs))
    return layer


def conv(filters=6, sparsity=0.75, seed=1, channels=4, **kwargs):
    layer = SparseConv2D(filters, 3, sparsity, seed=seed, **kwargs)
    layer.build((None, 8, 8, channels))
    return layer


def assert_obeys_mask(layer):
    kernel = ops.convert_to_numpy(layer.kernel)
    mask = ops.convert_to_numpy(layer.kernel_mask)
    assert set(np.unique(mask)) <= {0, 1}
    assert not kernel[mask == 0].any()


@pytest.fixture(params=[dense, conv])
def make(request):
    return request.param


def test_new_layer_obeys_its_mask(make):
    layer = make()
    assert layer.num_active == num_kept(layer.kernel.numpy().size, 0.75)
    assert_obeys_mask(layer)
    assert layer.kernel_mask.dtype == "bool"
    assert not layer.kernel_mask.trainable


def test_equal_seeds_give_equal_masks(make):
    one, same, other = make(seed=1), make(seed=1), make(seed=2)
    mask = ops.convert_to_numpy(one.kernel_mask)
    assert (mask == ops.convert_to_numpy(same.kernel_mask)).all()
    assert (mask != ops.convert_to_numpy(other.kernel_mask)).any()


def test_default_seed_follows_keras_seed(make):
    masks = []
    for _ in range(2):
        keras.utils.set_random_seed(5)
        layers = make(seed=None), make(seed=None)
        masks.append([ops.convert_to_numpy(x.kernel_mask) for x in layers])
    assert (masks[0][0] == masks[1][0]).all()
    assert (masks[0][0] != masks[0][1]).any()


DENSE_VARIANTS = [
    {},
    {"use_bias": False, "activation": "relu"},
    {"kernel_initializer": "ones", "bias_initializer": "ones"},
    {"dtype": "mixed_bfloat16"},
    {"dtype": "float64"},
]
CONV_VARIANTS = [
    {},
    {"strides": 2, "padding": "same"},
    {"dilation_rate": 2, "use_bias": False},
    {"groups": 2, "activation": "relu"},
    {"strides": (1, 2), "kernel_initializer": "ones"},
    {"dtype": "mixed_float16"},
]


@pytest.mark.parametrize("kwargs", DENSE_VARIANTS)
def test_sparse_dense_computes_as_dense(kwargs):
    layer, x = dense(**kwargs), np.random.default_rng(0).normal(size=(3, 8))
    twin = keras.layers.Dense(6, **kwargs)
    twin.build((None, 8))
    twin.set_weights(layer.get_weights()[:-1])
    assert_same_outputs(layer, twin, x)


@pytest.mark.parametrize("kwargs", CONV_VARIANTS)
def test_sparse_conv_computes_as_conv(kwargs):
    layer = conv(**kwargs)
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 4))
    twin = keras.layers.Conv2D(6, 3, **kwargs)
    twin.build((None, 8, 8, 4))
    twin.set_weights(layer.get_weights()[:-1])
    assert_same_outputs(layer, twin, x)


def test_channels_first_has_the_kernel_of_channels_last():
    # CPU kernels of this layout are missing, so it is built and not run.
    layer = SparseConv2D(6, 3, 0.75, seed=1, data_format="channels_first")
    layer.build((None, 4, 8, 8))
    mask = ops.convert_to_numpy(layer.kernel_mask)
    assert (mask == ops.convert_to_numpy(conv().kernel_mask)).all()


def assert_same_outputs(layer, twin, x):
    outputs, expected = layer(x), twin(x)
    assert outputs.dtype == expected.dtype
    assert (
        ops.convert_to_numpy(outputs) == ops.convert_to_numpy(expected)
    ).all()


OPTIMIZERS = [
    "sgd", "adam", "adamw", "rmsprop", "adagrad", "lion", "muon", "ftrl",
]  # fmt: skip


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_kernel_obeys_its_mask_after_every_step(optimizer):
    model = keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            SparseConv2D(4, 3, 0.5, seed=1, kernel_regularizer="l2"),
            keras.layers.Flatten(),
            SparseDense(
                3, 0.9, seed=2, kernel_regularizer="orthogonal_regularizer"
            ),
        ]
    )
    model.compile(keras.optimizers.get(optimizer), "mse")
    rng = np.random.default_rng(0)
    before = [x.num_active for x in sparse_layers(model)]
    for _ in range(3):
        model.train_on_batch(
            rng.normal(size=(8, 8, 8, 2)), rng.normal(size=(8, 3))
        )
        for layer in sparse_layers(model):
            assert_obeys_mask(layer)
    assert [x.num_active for x in sparse_layers(model)] == before


def test_moving_averages_do_not_bring_weights_back():
    model = keras.Sequential([keras.Input((8,)), SparseDense(4, 0.5, seed=1)])
    model.compile(
        keras.optimizers.SGD(0.1, use_ema=True, ema_overwrite_frequency=2),
        "mse",
    )
    layer = model.layers[0]
    x = np.random.default_rng(0).normal(size=(32, 8))
    for _ in range(4):
        model.train_on_batch(x, x[:, :4])
    layer.set_mask(1 - ops.convert_to_numpy(layer.kernel_mask))
    for _ in range(4):
        model.train_on_batch(x, x[:, :4])
        assert_obeys_mask(layer)


def test_default_initializer_is_that_of_keras(make):
    assert make(kernel_initializer=None).kernel.numpy().any()


def test_unbuilt_model_round_trip(tmp_path):
    model = keras.Sequential([SparseDense(3, 0.5), SparseDense(2, 0.5)])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    loaded.build((None, 4))
    assert [x.num_active for x in loaded.layers] == [6, 3]


def test_mixed_float16_trains_under_loss_scaling():
    model = keras.Sequential(
        [keras.Input((8,)), SparseDense(4, 0.5, seed=1, dtype="mixed_float16")]
    )
    inner = keras.optimizers.SGD(0.1, momentum=0.9)
    model.compile(keras.optimizers.LossScaleOptimizer(inner), "mse")
    x = np.random.default_rng(0).normal(size=(32, 8))
    before = ops.convert_to_numpy(model.layers[0].kernel)
    model.fit(x, x[:, :4], epochs=2, verbose=0)
    assert model.layers[0].kernel.dtype == "float32"
    assert (before != ops.convert_to_numpy(model.layers[0].kernel)).any()
    assert_obeys_mask(model.layers[0])


def test_users_constraint_still_acts():
    layer = dense(kernel_constraint="non_neg")
    model = keras.Sequential([keras.Input((8,)), layer])
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(32, 8))
    model.fit(x, x[:, :6], verbose=0)
    assert ops.convert_to_numpy(layer.kernel).min() == 0
    assert_obeys_mask(layer)


@pytest.mark.parametrize("penalty", ["l1", "l2", "orthogonal_regularizer"])
def test_regularizers_act_on_active_weights_only(penalty):
    import tensorflow as tf

    layer = dense(kernel_regularizer=penalty)
    with tf.GradientTape() as tape:
        loss = sum(layer.losses)
    gradient = tape.gradient(loss, layer.kernel.value).numpy()
    mask = layer.kernel_mask.numpy()
    assert gradient[mask == 1].any()
    assert not gradient[mask == 0].any()


def small_model():
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            SparseConv2D(4, 3, 0.5, strides=2, name="conv"),
            keras.layers.Flatten(),
            SparseDense(3, 0.9, activation="relu", name="dense"),
        ]
    )


def assert_equal_weights(one, other):
    pairs = zip(one.get_weights(), other.get_weights(), strict=True)
    assert all((a == b).all() for a, b in pairs)


def test_keras_file_round_trip_is_exact(tmp_path):
    model = small_model()
    model.layers[0].set_mask(1 - model.layers[0].kernel_mask.numpy())
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert_equal_weights(model, loaded)
    assert [type(x) for x in loaded.layers] == [type(x) for x in model.layers]


def test_weights_file_round_trip_is_exact(tmp_path):
    model, other = small_model(), small_model()
    model.save_weights(tmp_path / "model.weights.h5")
    other.load_weights(tmp_path / "model.weights.h5")
    assert_equal_weights(model, other)


def test_saved_model_computes_the_same(tmp_path):
    import tensorflow as tf

    model = small_model()
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 1)).astype("float32")
    model.export(tmp_path / "model", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "model")
    assert np.allclose(loaded.serve(x), model(x), atol=1e-6)


def test_clone_has_the_same_masks():
    model = small_model()
    clone = keras.models.clone_model(model)
    for a, b in zip(model.weights, clone.weights, strict=True):
        if a.name == "kernel_mask":
            assert (a.numpy() == b.numpy()).all()
    clone.set_weights(model.get_weights())
    assert_equal_weights(model, clone)


def test_config_round_trip(make):
    layer = make(seed=None, use_bias=False)
    config = layer.get_config()
    again = type(layer).from_config(config)
    assert again.get_config() == config
    for name in ("sparsity", "granularity", "seed"):
        assert getattr(again, name) == getattr(layer, name)


def test_set_mask_zeroes_what_it_prunes(make):
    layer = make()
    mask = np.zeros(layer.kernel.shape, np.uint8)
    mask[..., 0] = 1
    layer.set_mask(mask)
    assert layer.num_active == mask.sum()
    assert_obeys_mask(layer)


def test_set_mask_refuses_other_shapes_and_values(make):
    layer = make()
    with pytest.raises(ValueError, match="`mask` must have the kernel's shape"):
        layer.set_mask(np.zeros((2, 2)))
    with pytest.raises(ValueError, match="only zeros and ones"):
        layer.set_mask(np.full(layer.kernel.shape, 0.5))
    with pytest.raises(ValueError, match="must keep at least one weight"):
        layer.set_mask(np.zeros(layer.kernel.shape))


@pytest.mark.parametrize(
    "sparsity", [-0.1, 1.0, 90, float("nan"), "0.9", None, False]
)
def test_sparsity_must_be_a_fraction(make, sparsity):
    with pytest.raises(ValueError, match=r"`sparsity` must be a fraction"):
        make(sparsity=sparsity)


def test_granularity_must_be_known(make):
    with pytest.raises(ValueError, match="`granularity` must be one of"):
        make(granularity="filter")


@pytest.mark.parametrize("seed", [-1, 0.5, True, "0"])
def test_seed_must_be_a_count(make, seed):
    with pytest.raises(ValueError, match="`seed` must be an integer"):
        make(seed=seed)


def test_lora_is_refused(make):
    with pytest.raises(ValueError, match="LoRA adds a dense matrix"):
        make(lora_rank=2)
    with pytest.raises(ValueError, match="LoRA adds a dense matrix"):
        make().enable_lora(2)
