"""Masks of layers large enough that XLA compiles the passes over them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dsr_tf.callbacks import DSR
from dsr_tf.layers import SparseConv2D
from dsr_tf.layers import SparseDense
from dsr_tf.layers import one_pass
from dsr_tf.layers.masked_kernel import masked_kernel

RNG = np.random.default_rng(0)
X = RNG.normal(size=(96, 256)).astype("float32")
Y = RNG.integers(0, 3, size=96)
LARGE = (256, 256)


def network(optimizer, dtype="float32", regularizer=None, **arguments):
    keras.utils.set_random_seed(0)
    net = keras.Sequential(
        [
            keras.Input((256,)),
            SparseDense(
                256,
                0.9,
                seed=1,
                kernel_regularizer=regularizer,
                activation="relu",
                dtype=dtype,
            ),
            SparseDense(3, 0.5, seed=2),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    net.compile(optimizer, loss, **({"jit_compile": False} | arguments))
    return net


def fit(net, epochs=2):
    moves = DSR(300, period=3, initial_threshold=0.02, regrow_stddev=0.01)
    net.fit(
        X, Y, batch_size=16, epochs=epochs, shuffle=False, verbose=0,
        callbacks=[moves],
    )  # fmt: skip
    assert moves.state.weights_moved > 0
    return net.get_weights() + [v.numpy() for v in net.optimizer.variables]


@pytest.fixture
def compilations(monkeypatch):
    """Counts the kernels that were found to be worth compiling for."""
    found = []
    pays = one_pass._pays

    def counted(kernel):
        found.append(pays(kernel))
        return found[-1]

    monkeypatch.setattr(one_pass, "_pays", counted)
    return found


@pytest.mark.parametrize(
    "layer, inputs, compiled",
    [
        (SparseDense(256, 0.9), (256,), True),
        (SparseDense(255, 0.9), (256,), False),
        (SparseConv2D(128, 3, 0.9), (8, 8, 64), False),
    ],
)
@pytest.mark.skipif(
    bool(tf.config.list_physical_devices("GPU")), reason="of a CPU"
)
def test_only_large_kernels_of_rank_2_are_compiled(
    layer, inputs, compiled, compilations
):
    net = keras.Sequential([keras.Input(inputs), layer])
    net.compile("sgd", "mse", jit_compile=False)
    x = np.zeros((2, *inputs), "float32")
    net.train_on_batch(x, net.predict(x, verbose=0))
    # Of the gradient, and of the kernel.
    assert compilations == [compiled] * 2


def test_a_gpu_that_is_seen_turns_it_off(monkeypatch):
    gpu = tf.config.PhysicalDevice("GPU:0", "GPU")
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: [gpu])
    assert not one_pass._pays(tf.zeros(LARGE))


SETTINGS = {
    "sgd": lambda: keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "adam": lambda: keras.optimizers.Adam(1e-3),
    "muon": lambda: keras.optimizers.Muon(1e-3),
    "averages": lambda: keras.optimizers.SGD(
        0.1, use_ema=True, ema_overwrite_frequency=2
    ),
    "accumulation": lambda: keras.optimizers.SGD(
        0.1, momentum=0.9, gradient_accumulation_steps=2
    ),
}


# Not of Muon: TensorFlow rearranges its products where a function is called.
@pytest.mark.parametrize("optimizer", sorted(SETTINGS.keys() - {"muon"}))
def test_training_is_that_of_separate_passes(optimizer, monkeypatch):
    compiled = fit(network(SETTINGS[optimizer]()))
    monkeypatch.setattr(one_pass, "_pays", lambda kernel: False)
    separate = fit(network(SETTINGS[optimizer]()))
    for one, other in zip(compiled, separate, strict=True):
        assert (one == other).all()


@pytest.mark.parametrize(
    "dtype, l1, l2",
    [
        ("float32", 1e-3, 0),
        ("float32", 0, 1e-3),
        ("float32", 1e-3, 1e-3),
        ("float64", 0, 0),  # Keras adds penalties in float32.
        ("mixed_float16", 1e-3, 0),
        ("mixed_bfloat16", 0, 1e-3),
    ],
)
def test_training_is_so_with_penalties(dtype, l1, l2, monkeypatch):
    penalty = keras.regularizers.L1L2(l1, l2) if l1 or l2 else None
    compiled = fit(network("sgd", dtype, penalty))
    monkeypatch.setattr(one_pass, "_pays", lambda kernel: False)
    separate = fit(network("sgd", dtype, penalty))
    for one, other in zip(compiled, separate, strict=True):
        assert (one == other).all()


class Watch(keras.callbacks.Callback):
    """Checks after every step that the large kernel obeys its mask."""

    def on_train_batch_end(self, batch, logs=None):
        layer = self.model.layers[0]
        off = ~layer.kernel_mask.numpy()
        assert not layer.kernel.numpy()[off].any()


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"steps_per_execution": 3},
        {"run_eagerly": True},
        {"jit_compile": True},
    ],
)
@pytest.mark.parametrize("optimizer", ["sgd", "muon", "averages"])
def test_slots_of_an_older_mask_bring_no_weight_back(optimizer, arguments):
    net = network(SETTINGS[optimizer](), **arguments)
    fit(net, epochs=1)
    layer = net.layers[0]
    layer.set_mask(~layer.kernel_mask.numpy())
    net.fit(X, Y, batch_size=16, verbose=0, callbacks=[Watch()])


def test_restored_weights_bring_none_back():
    net = network(SETTINGS["sgd"]())
    older = net.get_weights()
    fit(net)
    net.set_weights(older)
    net.fit(X, Y, batch_size=16, verbose=0, callbacks=[Watch()])


def test_slots_stay_as_new_where_no_weight_was():
    net = network(SETTINGS["adam"](), regularizer="l1")
    net.fit(X, Y, batch_size=16, epochs=2, verbose=0)
    mask = net.layers[0].kernel_mask.numpy()
    slots = [v.numpy() for v in net.optimizer.variables if v.shape == LARGE]
    assert len(slots) == 2
    for slot in slots:
        assert slot[mask].any()
        assert not slot[~mask].any()


@pytest.mark.parametrize("size", [4, 256])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_masked_gradients_are_0_whatever_comes(size, dtype):
    upstream = np.ones((size, size))
    upstream[0, :4] = [np.inf, -np.inf, np.nan, -1]
    mask = np.ones((size, size), bool)
    mask[0] = False
    kernel = tf.zeros((size, size), dtype)
    with tf.GradientTape() as tape:
        tape.watch(kernel)
        masked = masked_kernel(kernel, tf.constant(mask))
    gradient = tape.gradient(masked, kernel, tf.constant(upstream, dtype))
    assert (np.asarray(gradient, "float64") == mask).all()


def test_constraints_of_users_come_before_the_mask():
    layer = SparseDense(256, 0.9, kernel_constraint="non_neg", seed=1)
    net = keras.Sequential([keras.Input((256,)), layer])
    net.compile("sgd", "mse", jit_compile=False)
    net.fit(X, X, verbose=0, callbacks=[Watch()])
    assert layer.kernel.numpy().min() == 0
    assert layer.kernel.numpy().max() > 0
