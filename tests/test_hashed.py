import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from dsr_tf.layers.balanced_map import balanced_map
from dsr_tf.layers.balanced_map import bank_size
from dsr_tf.layers.hashed import HashedConv2D
from dsr_tf.layers.hashed import HashedDense
from dsr_tf.layers.hashed_kernel import hashed_kernel


def dense(units=6, sparsity=0.75, seed=1, inputs=8, **kwargs):
    layer = HashedDense(units, sparsity, seed=seed, **kwargs)
    layer.build((None, inputs))
    return layer


def conv(filters=6, sparsity=0.75, seed=1, channels=4, **kwargs):
    layer = HashedConv2D(filters, 3, sparsity, seed=seed, **kwargs)
    layer.build((None, 8, 8, channels))
    return layer


@pytest.fixture(params=[dense, conv])
def make(request):
    return request.param


def values(x):
    return ops.convert_to_numpy(x)


def assert_tied(layer):
    """The kernel holds the bank's values, each where the seed puts it."""
    shape = layer.kernel.shape
    size = math.prod(shape)
    index, _ = balanced_map(size, layer.num_active, layer.seed)
    expected = values(layer.bank)[index].reshape(shape)
    assert (values(layer.kernel) == expected).all()


SIZES = st.integers(1, 500)
SPARSITIES = st.floats(0, 1, exclude_max=True)


@given(SIZES, SPARSITIES, st.integers(0, 2**32))
def test_map_is_balanced_and_exact(size, sparsity, seed):
    count = bank_size(size, sparsity)
    assert count == max(1, round((1 - sparsity) * size))
    assert 1 <= count <= size
    index, order = balanced_map(size, count, seed)
    uses = np.bincount(index, minlength=count)
    assert len(uses) == count
    assert uses.max() - uses.min() <= 1
    assert (np.sort(order) == np.arange(size)).all()
    assert (index[order] == np.arange(size) % count).all()


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 9))
def test_gradient_is_the_sum_over_positions(size, count, seed):
    count = min(size, count)
    index, order = balanced_map(size, count, seed)
    # Whole numbers, so that no order of summation rounds.
    upstream = np.random.default_rng(seed).integers(-9, 9, size)
    bank = tf.zeros(count)
    with tf.GradientTape() as tape:
        tape.watch(bank)
        kernel = hashed_kernel(bank, index, order)
        loss = tf.reduce_sum(kernel * upstream.astype("float32"))
    expected = np.bincount(index, weights=upstream, minlength=count)
    assert (tape.gradient(loss, bank).numpy() == expected).all()


def test_bank_and_gradient_by_hand():
    # order 3 0 4 1 2: positions 3, 4, 2 use entry 0 and positions 0, 1 use 1.
    order = np.array([3, 0, 4, 1, 2])
    index = np.array([1, 1, 0, 0, 0])
    bank = tf.constant([10.0, 20.0])
    with tf.GradientTape() as tape:
        tape.watch(bank)
        kernel = hashed_kernel(bank, index, order)
        loss = tf.reduce_sum(kernel * tf.constant([1.0, 2, 4, 8, 16]))
    assert kernel.numpy().tolist() == [20, 20, 10, 10, 10]
    # Entry 0: 4 + 8 + 16. Entry 1: 1 + 2.
    assert tape.gradient(loss, bank).numpy().tolist() == [28, 3]


def test_gradient_is_summed_in_float32():
    index, order = balanced_map(1000, 1, seed=0)
    bank = tf.zeros(1, tf.bfloat16)
    with tf.GradientTape() as tape:
        tape.watch(bank)
        kernel = hashed_kernel(bank, index, order)
    gradient = tape.gradient(kernel, bank)
    assert gradient.dtype == tf.bfloat16
    # A bfloat16 sum of ones ends at 256.
    assert float(gradient[0]) == 1000


def test_layer_trains_by_hand():
    layer = HashedDense(2, 0.5, seed=0, use_bias=False)
    model = keras.Sequential([keras.Input((2,)), layer])
    layer.bank.assign([1.0, 2.0])
    # Loss: the mean over two outputs of input @ kernel, at input (1, 3).
    model.compile(keras.optimizers.SGD(1.0), loss=lambda _, y: ops.mean(y))
    model.train_on_batch(np.array([[1.0, 3.0]]), np.zeros((1, 2)))
    per_position = np.array([[0.5, 0.5], [1.5, 1.5]])
    index = values(layer.bank_index)
    moved = [per_position[index == entry].sum() for entry in (0, 1)]
    assert values(layer.bank).tolist() == [1 - moved[0], 2 - moved[1]]


@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.9, 0.9999])
def test_bank_has_the_exact_budget(make, sparsity):
    layer = make(sparsity=sparsity)
    size = math.prod(layer.kernel.shape)
    assert layer.num_active == max(1, round((1 - sparsity) * size))
    assert layer.bank.shape == (layer.num_active,)
    assert layer.trained_kernel is layer.bank
    assert [v.name for v in layer.trainable_variables] == ["bank", "bias"]
    assert len(np.unique(values(layer.kernel))) == layer.num_active
    assert_tied(layer)


def test_kernel_starts_with_the_values_of_the_dense_one(make):
    initializer = keras.initializers.GlorotUniform(seed=3)
    layer = make(kernel_initializer=initializer)
    shape = layer.kernel.shape
    drawn = values(initializer(shape)).reshape(-1)
    first = values(layer.bank_order)[: layer.num_active]
    assert (values(layer.bank) == drawn[first]).all()


def test_default_initializer_is_that_of_keras(make):
    assert values(make(kernel_initializer=None).kernel).any()


def test_equal_seeds_give_equal_maps(make):
    one, same, other = make(seed=1), make(seed=1), make(seed=2)
    index = values(one.bank_index)
    assert (index == values(same.bank_index)).all()
    assert (index != values(other.bank_index)).any()


def test_default_seed_follows_keras_seed(make):
    maps = []
    for _ in range(2):
        keras.utils.set_random_seed(5)
        layers = make(seed=None), make(seed=None)
        maps.append([values(x.bank_index) for x in layers])
    assert (maps[0][0] == maps[1][0]).all()
    assert (maps[0][0] != maps[0][1]).any()


DENSE_VARIANTS = [
    {},
    {"use_bias": False, "activation": "relu"},
    {"bias_initializer": "ones"},
    {"dtype": "mixed_bfloat16"},
    {"dtype": "float64"},
]
CONV_VARIANTS = [
    {},
    {"strides": 2, "padding": "same"},
    {"dilation_rate": 2, "use_bias": False},
    {"groups": 2, "activation": "relu", "bias_initializer": "ones"},
    {"dtype": "mixed_bfloat16"},
]


@pytest.mark.parametrize("kwargs", DENSE_VARIANTS)
def test_hashed_dense_computes_as_dense(kwargs):
    twin = keras.layers.Dense(6, **kwargs)
    assert_computes_as(dense(**kwargs), twin, (3, 8))


@pytest.mark.parametrize("kwargs", CONV_VARIANTS)
def test_hashed_conv_computes_as_conv(kwargs):
    twin = keras.layers.Conv2D(6, 3, **kwargs)
    assert_computes_as(conv(**kwargs), twin, (2, 8, 8, 4))


def assert_computes_as(layer, twin, shape):
    x = np.random.default_rng(0).normal(size=shape)
    twin.build((None, *shape[1:]))
    twin.kernel.assign(layer.kernel)
    with tf.GradientTape(persistent=True) as tape:
        outputs, expected = layer(x), twin(x)
        squares = ops.sum(outputs**2), ops.sum(expected**2)
    assert outputs.dtype == expected.dtype
    assert (values(outputs) == values(expected)).all()
    per_position = tape.gradient(squares[1], twin.kernel.value)
    summed = np.bincount(
        values(layer.bank_index).reshape(-1),
        weights=values(per_position).astype("float64").reshape(-1),
    )
    gradient = tape.gradient(squares[0], layer.bank.value)
    assert gradient.dtype == layer.bank.dtype
    tolerance = 1e-2 if layer.compute_dtype == "bfloat16" else 1e-4
    error = np.abs(values(gradient) - summed).max()
    assert error < tolerance * np.abs(summed).max()


def test_channels_first_has_the_kernel_of_channels_last():
    # CPU kernels of this layout are missing, so it is built and not run.
    layer = HashedConv2D(6, 3, 0.75, seed=1, data_format="channels_first")
    layer.build((None, 4, 8, 8))
    assert (values(layer.bank_index) == values(conv().bank_index)).all()


def test_regularizer_counts_each_parameter_once(make):
    layer = make(kernel_regularizer=keras.regularizers.L2(1.0))
    (loss,) = layer.losses
    assert values(loss) == values(ops.sum(ops.square(layer.bank)))


def test_constraint_acts_on_the_bank():
    layer = dense(kernel_constraint="non_neg")
    model = keras.Sequential([keras.Input((8,)), layer])
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(32, 8))
    model.fit(x, x[:, :6], verbose=0)
    assert values(layer.bank).min() == 0
    assert_tied(layer)


def small_model(seed=1, **kwargs):
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            HashedConv2D(4, 3, 0.5, seed, strides=2, name="conv", **kwargs),
            keras.layers.Flatten(),
            HashedDense(3, 0.9, seed + 1, name="dense", **kwargs),
        ]
    )


def fitted_model(optimizer="adam", jit_compile="auto", dtype=None):
    keras.utils.set_random_seed(3)
    model = small_model(dtype=dtype)
    model.compile(optimizer, "mse", jit_compile=jit_compile)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 8, 8, 1)).astype("float32")
    history = model.fit(x, x[:, 0, :3, 0], epochs=3, verbose=0)
    return model, history.history["loss"]


def assert_equal_weights(one, other):
    pairs = zip(one.get_weights(), other.get_weights(), strict=True)
    assert all((a == b).all() for a, b in pairs)


def adam():
    return keras.optimizers.Adam(0.02)


def sgd_with_momentum():
    return keras.optimizers.SGD(0.02, momentum=0.9)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("optimizer", [adam, sgd_with_momentum])
def test_fit_learns_and_keeps_the_kernel_tied(optimizer, dtype):
    model, losses = fitted_model(optimizer(), dtype=dtype)
    assert losses[-1] < 0.9 * losses[0]
    for name in ("conv", "dense"):
        layer = model.get_layer(name)
        assert layer.bank.dtype == "float32"
        assert_tied(layer)


def test_equal_seeds_train_to_equal_weights():
    assert_equal_weights(fitted_model()[0], fitted_model()[0])


def test_compiled_training_is_that_of_the_graph():
    compiled, _ = fitted_model("sgd", jit_compile=True)
    plain, _ = fitted_model("sgd", jit_compile=False)
    for a, b in zip(compiled.get_weights(), plain.get_weights(), strict=True):
        assert np.allclose(a, b, atol=1e-5)


def test_keras_file_round_trip_is_exact(tmp_path):
    model, _ = fitted_model()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert_equal_weights(model, loaded)
    assert [type(x) for x in loaded.layers] == [type(x) for x in model.layers]
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 1))
    assert (values(model(x)) == values(loaded(x))).all()
    for a, b in zip(
        model.optimizer.variables, loaded.optimizer.variables, strict=True
    ):
        assert (values(a) == values(b)).all()


def test_weights_file_brings_its_own_map(tmp_path):
    model, other = small_model(seed=1), small_model(seed=7)
    other(np.zeros((1, 8, 8, 1)))
    model.save_weights(tmp_path / "model.weights.h5")
    other.load_weights(tmp_path / "model.weights.h5")
    assert_equal_weights(model, other)
    assert [other.get_layer(n).seed for n in ("conv", "dense")] == [1, 2]
    assert other.get_layer("conv").get_config()["seed"] == 1
    for name in ("conv", "dense"):
        assert_tied(other.get_layer(name))
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 1))
    assert (values(model(x)) == values(other(x))).all()


def test_copied_weights_bring_map_and_seed_along(tmp_path):
    model, other = small_model(seed=1), small_model(seed=7)
    other.set_weights(model.get_weights())
    other.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert_equal_weights(model, loaded)


def alone(layer, inputs=8):
    return keras.Sequential([keras.Input((inputs,)), layer])


def test_files_do_not_hold_the_map(tmp_path):
    path = tmp_path / "layer.weights.h5"
    sizes = []
    for layer in (keras.layers.Dense(200), HashedDense(200, 0.9)):
        alone(layer, 300).save_weights(path)
        sizes.append(path.stat().st_size)
    # 240 kB of kernel against 24 kB of bank; the format adds its own.
    assert sizes[0] > 240_000
    assert sizes[1] < 50_000


def test_file_of_another_bank_is_refused(tmp_path):
    path = tmp_path / "layer.weights.h5"
    alone(HashedDense(6, 0.75, seed=1)).save_weights(path)
    smaller = alone(HashedDense(6, 0.5))
    with pytest.raises(ValueError, match=r"Received: bank.shape=\(12,\)"):
        smaller.load_weights(path)


def test_file_of_another_kernel_is_refused(tmp_path):
    path = tmp_path / "layer.weights.h5"
    alone(HashedDense(6, 0.75, use_bias=False)).save_weights(path)
    # Its bank has 12 values as well.
    transposed = alone(HashedDense(8, 0.75, use_bias=False), 6)
    before = transposed.get_weights()
    with pytest.raises(ValueError, match=r"kernel_shape=\(8, 6\)"):
        transposed.load_weights(path)
    after = transposed.get_weights()
    assert all((a == b).all() for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize(
    "other", [keras.layers.Dense(6), HashedDense(6, 0.75, use_bias=False)]
)
def test_file_of_another_layer_is_refused(tmp_path, other):
    path = tmp_path / "layer.weights.h5"
    alone(other).save_weights(path)
    with pytest.raises(
        ValueError, match="only a file that a layer of its class"
    ):
        alone(HashedDense(6, 0.75)).load_weights(path)


def test_keras_layer_refuses_a_hashed_file(tmp_path):
    path = tmp_path / "layer.weights.h5"
    alone(HashedDense(6, 0.75)).save_weights(path)
    with pytest.raises(ValueError, match="expected 2 variables"):
        alone(keras.layers.Dense(6)).load_weights(path)


def test_unbuilt_model_round_trip(tmp_path):
    model = keras.Sequential([HashedDense(3, 0.5), HashedDense(2, 0.5)])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    loaded.build((None, 4))
    assert [x.num_active for x in loaded.layers] == [6, 3]
    assert [x.seed for x in loaded.layers] == [x.seed for x in model.layers]


def test_saved_model_computes_the_same(tmp_path):
    model = small_model()
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 1)).astype("float32")
    model.export(tmp_path / "model", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "model")
    assert np.allclose(loaded.serve(x), model(x), atol=1e-6)


def test_clone_has_the_same_maps():
    model = small_model()
    clone = keras.models.clone_model(model)
    for name in ("conv", "dense"):
        a, b = model.get_layer(name), clone.get_layer(name)
        assert (values(a.bank_index) == values(b.bank_index)).all()


def test_config_round_trip(make):
    layer = make(seed=None, use_bias=False)
    config = layer.get_config()
    again = type(layer).from_config(config)
    assert again.get_config() == config
    for name in ("sparsity", "seed"):
        assert getattr(again, name) == getattr(layer, name)


def test_kernel_needs_a_built_layer():
    with pytest.raises(AttributeError, match="You must build the layer"):
        _ = HashedDense(3, 0.5).kernel


@pytest.mark.parametrize(
    "sparsity", [-0.1, 1.0, 90, float("nan"), "0.9", None, False]
)
def test_sparsity_must_be_a_fraction(make, sparsity):
    with pytest.raises(ValueError, match=r"`sparsity` must be a fraction"):
        make(sparsity=sparsity)


@pytest.mark.parametrize("seed", [-1, 0.5, True, "0", 2**63])
def test_seed_must_be_a_count(make, seed):
    with pytest.raises(ValueError, match="`seed` must be an integer"):
        make(seed=seed)


def test_largest_seed_is_kept(make):
    assert make(seed=2**63 - 1).seed == 2**63 - 1


def test_lora_is_refused(make):
    with pytest.raises(ValueError, match="LoRA adds a dense matrix"):
        make(lora_rank=2)
    with pytest.raises(ValueError, match="LoRA adds a dense matrix"):
        make().enable_lora(2)


def test_quantization_is_refused(make):
    with pytest.raises(ValueError, match="Quantization replaces the kernel"):
        make().quantize("int8")
    with pytest.raises(ValueError, match="Quantization replaces the kernel"):
        make(dtype="int8_from_float32")
    layer = HashedDense(3, 0.5)
    layer.dtype_policy = "int8_from_float32"
    with pytest.raises(ValueError, match="Quantization replaces the kernel"):
        layer.build((None, 4))
