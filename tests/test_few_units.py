"""The warning of kernels that keep fewer units than they have outputs."""

import keras
import pytest
from keras import layers

import dsr_tf
from dsr_tf.models import lenet_300_100
from dsr_tf.models import wide_resnet


def mlp(*widths):
    model = keras.Sequential([keras.Input((8,))], name="mlp")
    for i, width in enumerate(widths, start=1):
        model.add(layers.Dense(width, name=f"dense_{i}"))
    return model


def warnings(caplog, make, *arguments, **more):
    caplog.clear()
    make(*arguments, **more)
    texts = [x.getMessage() for x in caplog.records]
    return [x for x in texts if "Some outputs begin without any input" in x]


def test_kernels_with_fewer_weights_than_outputs_are_named(caplog):
    # An eighth: 16 for 16, 30 for 15, 15 for 8 and 4 for 4.
    model = mlp(16, 15, 8, 4)
    assert not warnings(caplog, dsr_tf.sparsify, model, 7 / 8)
    shares = {"dense_1": 113 / 128, "dense_2": 0.5, "dense_4": 29 / 32}
    (message,) = warnings(caplog, dsr_tf.sparsify, model, distribution=shares)
    assert "model 'mlp'" in message
    assert "of blocks: dense_1 (15 for 16), dense_4 (3 for 4). Give" in message


@pytest.mark.parametrize("storage", ["masks", "blocks"])
def test_blocks_are_counted_against_their_columns(caplog, storage):
    model = mlp(16, 8)
    given = {"granularity": (4, 4), "storage": storage}
    # 2 of 2x4 blocks, and 2 of 4x2.
    (message,) = warnings(caplog, dsr_tf.sparsify, model, 0.75, **given)
    assert "dense_1 (2 for 4)." in message
    assert not warnings(caplog, dsr_tf.sparsify, model, 0.5, **given)


def test_networks_say_so_too_in_one_line(caplog):
    (message,) = warnings(caplog, lenet_300_100, sparsity=0.995)
    assert "'lenet_300_100' keep" in message and "dense_3 (5 for 10)" in message
    assert "dense_1" not in message and "dense_2" not in message
    slices = {"granularity": "kernel", "sparsity": 0.98}
    (message,) = warnings(caplog, wide_resnet, 16, 1, **slices)
    # 16·16/50, 16·32/50; two blocks in each of three groups, of which the last
    # has kernels of 64·64/50 = 81 for 64 behind its first.
    assert "group_1_block_1_conv_1 (5 for 16)" in message
    assert "group_2_block_1_conv_1 (10 for 32) and 4 more. Give" in message
    assert not warnings(caplog, wide_resnet, 10, 1, hashed=True, sparsity=0.98)
    for sparsity in (None, 0.0, 0.9):
        assert not warnings(caplog, lenet_300_100, sparsity=sparsity)


def test_kernels_of_one_layer_have_their_names(caplog):
    model = keras.Sequential(
        [keras.Input((4, 8)), layers.LSTM(8, name="lstm")], name="steps"
    )
    (message,) = warnings(caplog, dsr_tf.sparsify, model, 0.95)
    # Of 8x32 and 8x32 weights 25 stay.
    assert "lstm_cell/kernel (1" in message
    assert "lstm_cell/recurrent_kernel (1" in message
