"""The masks of small kernels that are kept as numbers while `fit` trains."""

import keras
import numpy as np
import pytest

from dsr_tf.callbacks import DSR
from dsr_tf.callbacks import Checkpoint
from dsr_tf.layers import SparseDense
from dsr_tf.layers import sparse_layers
from dsr_tf.layers.kernel_mask import KernelMask

X = np.random.default_rng(0).normal(size=(64, 12)).astype("float32")
Y = np.arange(64) % 3


def network(jit_compile=False, policy="float32"):
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((12,)),
            SparseDense(16, sparsity=0.5, dtype=policy, activation="relu"),
            SparseDense(3, sparsity=0.5),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    sgd = keras.optimizers.SGD(0.1, momentum=0.9)
    model.compile(sgd, loss, jit_compile=jit_compile)
    return model


def fit(model, *more, epochs=2, **arguments):
    moves = DSR(10, period=3, initial_threshold=0.05)
    model.fit(
        X, Y, batch_size=8, epochs=epochs, verbose=0, shuffle=False,
        callbacks=[moves, *more], **arguments,
    )  # fmt: skip
    return moves


def numbers(model):
    return [layer.kernel_mask.numbers for layer in sparse_layers(model)]


def assert_same(model):
    for layer in sparse_layers(model):
        mask = layer.kernel_mask
        np.testing.assert_array_equal(mask.numbers, mask.numpy())


def test_they_follow_the_mask():
    model = network()
    assert fit(model).state.weights_moved > 0
    assert_same(model)
    layer = model.layers[0]
    layer.set_mask(~layer.kernel_mask.numpy())
    assert_same(model)
    fit(model)
    assert_same(model)


def test_they_follow_a_checkpoint(tmp_path):
    fit(network(), Checkpoint(tmp_path))
    model = network()
    fit(model, Checkpoint(tmp_path), epochs=3, initial_epoch=2)
    assert_same(model)


def test_they_change_no_bit(monkeypatch):
    kept, plain = network(), network()
    fit(kept)
    monkeypatch.setattr(KernelMask, "keep_numbers", lambda self: None)
    fit(plain)
    assert all(x is not None for x in numbers(kept))
    assert all(x is None for x in numbers(plain))
    for a, b in zip(kept.variables, plain.variables, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("policy", ["mixed_float16", "bfloat16"])
def test_they_do_not_matter_to_other_types(policy):
    model = network(policy=policy)
    fit(model)
    for layer in sparse_layers(model):
        kernel = keras.ops.convert_to_numpy(layer.kernel).astype("float32")
        assert not kernel[~layer.kernel_mask.numpy()].any()


def test_large_kernels_have_none():
    mask = SparseDense(1025, sparsity=0.5)
    mask.build((None, 1024))
    mask.kernel_mask.keep_numbers()
    assert mask.kernel_mask.numbers is None


def test_xla_needs_none():
    model = network(jit_compile=True)
    fit(model, epochs=1)
    assert all(x is None for x in numbers(model))
