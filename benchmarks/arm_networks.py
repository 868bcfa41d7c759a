"""Networks whose TFLite files run on an emulated Arm processor."""

from collections.abc import Callable

import keras
import numpy as np
from keras import layers

import dsr_tf
from dsr_tf.layers import SparseConv2D
from dsr_tf.layers import SparseDense
from dsr_tf.models import lenet_300_100
from dsr_tf.models import wide_resnet


def mobile(
    padding: int = 1, size: int = 32, keepdims: bool = True
) -> keras.Model:
    """Returns a network of 1×1 and depthwise convolutions behind one of 3×3.

    Args:
        padding: Rows and columns of zeros at each border of an image; 0 for
            `padding="same"`.
        size: Rows and columns of an image.
        keepdims: Whether its mean keeps the dimensions of images.
    """
    image = x = keras.Input((size, size, 3))
    x = layers.ZeroPadding2D(padding)(x) if padding else x
    border = "valid" if padding else "same"
    x = layers.Conv2D(16, 3, strides=2, padding=border)(x)
    for width in (32, 64):
        x = SparseConv2D(width, 1, 0.9)(layers.ReLU()(x))
        x = layers.BatchNormalization()(x)
        x = layers.DepthwiseConv2D(3, padding="same")(layers.ReLU()(x))
    x = layers.GlobalAveragePooling2D(keepdims=keepdims)(x)
    return keras.Model(image, x if keepdims else SparseDense(10, 0.5)(x))


def mobilenet_v2(size: int) -> keras.Model:
    dense = keras.applications.MobileNetV2(
        input_shape=(size, size, 3), alpha=0.35, weights=None, classes=10
    )
    return dsr_tf.sparsify(dense, 0.9)


def attention() -> keras.Model:
    """Returns a block of a transformer, which has `EinsumDense` layers."""
    words = keras.Input((16, 64))
    queries, keys, values = (
        layers.EinsumDense("btc,chd->bthd", (None, 4, 16))(words)
        for _ in range(3)
    )
    x = keras.ops.einsum("bqhd,bkhd->bhqk", queries, keys) / 4
    x = keras.ops.einsum("bhqk,bkhd->bqhd", layers.Softmax()(x), values)
    x = layers.EinsumDense("bthd,hdc->btc", (None, 64))(x)
    x = layers.LayerNormalization()(layers.Add()([words, x]))
    hidden = layers.Dense(256, activation="gelu")(x)
    x = layers.Add()([x, layers.Dense(64)(hidden)])
    x = layers.Dense(10)(layers.GlobalAveragePooling1D()(x))
    return dsr_tf.sparsify(keras.Model(words, x), 0.9)


NETWORKS: dict[str, Callable[[], keras.Model]] = {
    "lenet-.99": lambda: lenet_300_100(sparsity=0.99),
    "mobile-.9": mobile,
    "mobile-.9, mean drops dimensions": lambda: mobile(keepdims=False),
    "mobile-.9, same padding": lambda: mobile(padding=0),
    "mobile-.9, odd size": lambda: mobile(size=33),
    "wrn-10-1-.9": lambda: wide_resnet(10, 1, sparsity=0.9),
    "wrn-28-2-.9": lambda: wide_resnet(28, 2, sparsity=0.9),
    "mobilenet-v2-.9, 64": lambda: mobilenet_v2(64),
    "mobilenet-v2-.9, 65": lambda: mobilenet_v2(65),
    "attention-.9": attention,
}
# Those of the quick form.
SMALL = ("lenet-.99", "mobile-.9")


def trained(name: str) -> keras.Model:
    """Returns a network whose biases and statistics are no zeros and ones."""
    model, rng = NETWORKS[name](), np.random.default_rng(0)
    kinds = ("bias", "beta", "moving_mean")
    for weight in model.weights:
        if weight.name in kinds:
            weight.assign(0.1 * rng.normal(size=weight.shape))
    return model
