"""Weights of layers of any class, made sparse in place."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras import ops

from dsr_tf.callbacks import DSR
from dsr_tf.graph.kinds import is_kernel
from dsr_tf.layers import SparseDense
from dsr_tf.layers import sparse_layers
from dsr_tf.layers.plain_again import unmask_weights
from dsr_tf.layers.sparse_part import Sparsity
from dsr_tf.layers.sparsified import Sparsified
from dsr_tf.layers.sparsified import mask_weights
from dsr_tf.layers.sparsified import plain_class
from dsr_tf.layers.tree import all_layers
from dsr_tf.layers.tree import own_weights

RNG = np.random.default_rng(0)
SLOW = [pytest.mark.slow]


@keras.saving.register_keras_serializable("tests")
class Block(layers.Layer):
    """Makes its layers in code, and one of them in `build`."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.first = [layers.Dense(units), layers.Dense(units, name="second")]

    def build(self, shape):
        self.last = layers.Conv1DTranspose(2, 3)
        for layer in self.first:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        self.last.build(shape)

    def call(self, inputs):
        for layer in self.first:
            inputs = layer(inputs)
        return self.last(inputs)


@keras.saving.register_keras_serializable("tests")
class Own(layers.Layer):
    """Has a weight of a name of its own."""

    def build(self, shape):
        self.matrix = self.add_weight(shape=(shape[-1], 5), name="matrix")

    def call(self, inputs):
        return ops.matmul(inputs, self.matrix)


CASES = {
    "LSTM": (lambda: layers.LSTM(6), (5, 4)),
    "GRU": (lambda: layers.GRU(6), (5, 4)),
    "SimpleRNN": (lambda: layers.SimpleRNN(6), (5, 4)),
    "Bidirectional": (lambda: layers.Bidirectional(layers.LSTM(3)), (5, 4)),
    "cells": (
        lambda: layers.RNN([layers.GRUCell(4), layers.LSTMCell(4)]),
        (5, 4),
    ),
    "TimeDistributed": (
        lambda: layers.TimeDistributed(layers.Dense(3)),
        (5, 4),
    ),
    "Conv1DTranspose": (lambda: layers.Conv1DTranspose(3, 3), (6, 2)),
    "Conv2DTranspose": (lambda: layers.Conv2DTranspose(3, 3), (6, 6, 2)),
    "Conv3DTranspose": (lambda: layers.Conv3DTranspose(3, 3), (4, 4, 4, 2)),
    "SeparableConv1D": (lambda: layers.SeparableConv1D(3, 3), (6, 2)),
    "SeparableConv2D": (lambda: layers.SeparableConv2D(3, 3), (6, 6, 2)),
    "ConvLSTM2D": (lambda: layers.ConvLSTM2D(3, 3), (3, 6, 6, 2)),
    "Embedding": (lambda: layers.Embedding(10, 4), (5,)),
    "Dense": (lambda: layers.Dense(4), (5, 4)),
    "block": (lambda: Block(4), (5, 4)),
    "own": (Own, (5, 4)),
    "attention": (lambda: layers.MultiHeadAttention(2, 3), (5, 4)),
    "grouped": (lambda: layers.GroupQueryAttention(4, 4, 2), (5, 4)),
}


# `test_zoo.py` has the others.
NOT_IN_THE_ZOO = (
    "Conv3DTranspose",
    "SeparableConv1D",
    "ConvLSTM2D",
    "Embedding",
    "cells",
    "own",
)


def network(name):
    """Returns a model, the layer of a case in it, and inputs."""
    make, shape = CASES[name]
    layer, x = make(), keras.Input(shape)
    several = name in ("attention", "grouped")
    outputs = layer(x, x) if several else layer(x)
    outputs = layers.Dense(1)(layers.Flatten()(outputs))
    inputs = RNG.normal(size=(8, *shape)).astype("float32")
    return keras.Model(x, outputs), layer, np.abs(inputs)


def masked(layer):
    kernels = [
        weight
        for inner in all_layers(layer)
        for weight in own_weights(inner)
        if is_kernel(weight)
    ]
    made = {
        id(kernel): Sparsity(0.5, "weight", seed)
        for seed, kernel in enumerate(kernels)
    }
    mask_weights(layer, made)
    return kernels


def assert_same(one, other, inputs):
    first, second = sparse_layers(one), sparse_layers(other)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.kernel_mask, b.kernel_mask)
        np.testing.assert_array_equal(a.kernel.value, b.kernel.value)
    np.testing.assert_array_equal(one(inputs), other(inputs))


@pytest.mark.parametrize("name", CASES)
def test_weights_are_sparse(name):
    model, layer, inputs = network(name)
    kernels = masked(layer)
    parts = sparse_layers(model)
    assert {id(x.kernel) for x in parts} == {id(x) for x in kernels}
    for part in parts:
        assert part.num_active == part.kernel_units.num_kept(0.5)
        assert not part.kernel.numpy()[~part.kernel_mask.numpy()].any()
        assert part.kernel_mask.name in [
            weight.name for weight in layer.non_trainable_weights
        ]
    # What is computed is what the sparse weights give.
    values = model(inputs)
    weights = [weight.numpy() for weight in kernels]
    unmask_weights(layer)
    assert not sparse_layers(model)
    np.testing.assert_array_equal(values, model(inputs))
    np.testing.assert_equal(weights, [weight.numpy() for weight in kernels])
    assert all(type(weight) is keras.Variable for weight in kernels)
    assert not any(hasattr(weight, "mask") for weight in kernels)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
            marks=[] if name in ("LSTM", "block") else SLOW,
        )
        for name in ("LSTM", "block", *NOT_IN_THE_ZOO)
    ],
)
def test_copies_and_files_are_sparse(name, tmp_path):
    model, layer, inputs = network(name)
    masked(layer)
    part = sparse_layers(model)[0]
    part.set_mask(~part.kernel_mask.numpy())
    model.save(tmp_path / "m.keras")
    assert_same(keras.models.load_model(tmp_path / "m.keras"), model, inputs)
    copy = keras.models.clone_model(model)
    assert len(sparse_layers(copy)) == len(sparse_layers(model))
    model.save_weights(tmp_path / "m.weights.h5")
    copy.load_weights(tmp_path / "m.weights.h5")
    assert_same(copy, model, inputs)


@pytest.mark.slow
@pytest.mark.parametrize("name", NOT_IN_THE_ZOO)
def test_weights_move(name, tmp_path):
    model, layer, inputs = network(name)
    masked(layer)
    before = sum(x.num_active for x in sparse_layers(model))
    model.compile("adam", "mse", jit_compile=False)
    moves = DSR(3, period=2, initial_threshold=0.05)
    targets = RNG.normal(size=(8, 1))
    model.fit(
        inputs, targets, batch_size=2, epochs=3, verbose=0, callbacks=[moves]
    )
    assert moves.state.weights_moved > 0
    assert sum(x.num_active for x in sparse_layers(model)) == before
    for part in sparse_layers(model):
        assert not part.kernel.numpy()[~part.kernel_mask.numpy()].any()
    # Of a Keras model TensorFlow saves no layers in lists.
    path = tf.train.Checkpoint(model=model.variables).save(tmp_path / "c")
    copy = keras.models.clone_model(model)
    read = tf.train.Checkpoint(model=copy.variables).restore(path)
    read.assert_existing_objects_matched()
    assert_same(copy, model, inputs)


def test_gradients_are_masked_through_time():
    model, layer, inputs = network("LSTM")
    kernels = masked(layer)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(inputs) ** 2)
    gradients = tape.gradient(loss, [kernel.value for kernel in kernels])
    for part, gradient in zip(sparse_layers(model), gradients, strict=True):
        assert not gradient.numpy()[~part.kernel_mask.numpy()].any()
        assert gradient.numpy()[part.kernel_mask.numpy()].any()


def test_classes_say_what_they_extend():
    model, layer, _ = network("LSTM")
    masked(layer)
    assert isinstance(layer, layers.LSTM) and isinstance(layer, Sparsified)
    assert type(layer).__name__ == "SparseLSTM"
    assert plain_class(type(layer)) is layers.LSTM
    _, dense, _ = network("Dense")
    masked(dense)
    assert type(dense) is SparseDense
    names = [part.name for part in sparse_layers(model)]
    assert names == ["lstm_cell/kernel", "lstm_cell/recurrent_kernel"]


def test_more_weights_of_a_layer_are_masked_later():
    model, layer, inputs = network("LSTM")
    first, second = layer.cell.kernel, layer.cell.recurrent_kernel
    mask_weights(layer, {id(first): Sparsity(0.5, "weight", 0)})
    mask_weights(layer, {id(second): Sparsity(0.75, "weight", 1)})
    assert len(sparse_layers(model)) == 2
    copy = keras.models.clone_model(model)
    assert len(sparse_layers(copy)) == 2


def test_penalties_and_constraints_stay():
    layer = layers.LSTM(
        3, kernel_regularizer="l2", recurrent_constraint="non_neg"
    )
    layer.build((None, 5, 4))
    kernel, recurrent = layer.cell.kernel, layer.cell.recurrent_kernel
    penalty = float(layer.cell.kernel_regularizer(kernel))
    masked(layer)
    kept = float(layer.cell.kernel_regularizer(kernel.value))
    assert float(kernel.regularizer(kernel)) == pytest.approx(kept)
    recurrent.assign(-np.ones(recurrent.shape))
    assert not recurrent.numpy().any()
    unmask_weights(layer)
    assert kernel.regularizer is layer.cell.kernel_regularizer
    assert float(kernel.regularizer(kernel)) == pytest.approx(kept)
    assert kept < penalty
    assert recurrent.constraint is layer.cell.recurrent_constraint


@pytest.mark.parametrize("name", ["Dense", "LSTM", "Conv2DTranspose", "own"])
def test_a_dense_file_names_what_loads_it(name, tmp_path):
    model, layer, _ = network(name)
    model.save_weights(tmp_path / "dense.weights.h5")
    masked(layer)
    with pytest.raises(ValueError, match="load_dense_weights"):
        model.load_weights(tmp_path / "dense.weights.h5")


@pytest.mark.parametrize("name", ["Dense", "Embedding", "Conv2DTranspose"])
def test_lora_and_quantization_are_refused(name):
    model, layer, _ = network(name)
    masked(layer)
    with pytest.raises(ValueError, match="dsr_tf.export"):
        layer.quantize("int8")
    with pytest.raises(ValueError, match="dsr_tf.export"):
        model.quantize("int8")
    with pytest.raises(ValueError, match="LoRA"):
        layer.enable_lora(2)


def test_a_layer_with_another_mask_is_refused():
    class Masked(Own):
        matrix_mask = None

    layer = Masked()
    layer.build((None, 4))
    with pytest.raises(ValueError, match="must not have a `matrix_mask`"):
        masked(layer)


def test_what_is_private_is_there():
    # `sparsified.py` and `tree.py` use these.
    layer = layers.Dense(2)
    layer.build((None, 3))
    assert layer._tracker.locked
    layer._tracker.unlock()
    layer._tracker.lock()
    assert list(layer._flatten_layers()) == [layer]
