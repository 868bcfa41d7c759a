"""The networks that are trained to see what blocks cost in accuracy.

Sizes of their layers follow the blocks: 8, 16 and 32 divide all but one of
them, the 784 inputs of the multilayer perceptron.
"""

from typing import Any

import keras
from keras import layers

_WIDTH = 128


def mlp(input_shape: tuple[int, ...], num_classes: int) -> keras.Model:
    """Returns dense layers of 320 and 128 units, with ReLU, and the logits."""
    inputs = keras.Input(input_shape)
    x = layers.Flatten()(inputs)
    x = layers.Dense(320, activation="relu", name="large")(x)
    x = layers.Dense(128, activation="relu", name="small")(x)
    return keras.Model(inputs, layers.Dense(num_classes, name="logits")(x))


def transformer(input_shape: tuple[int, ...], num_classes: int) -> keras.Model:
    """Returns two blocks of width 128 over the rows of an image."""
    inputs = keras.Input(input_shape)
    x = layers.Reshape((input_shape[0], -1))(inputs)
    x = Positions()(layers.Dense(_WIDTH, name="embed")(x))
    for i in (1, 2):
        x = _block(x, f"block_{i}")
    x = layers.LayerNormalization()(x)
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(num_classes, name="logits")(x))


def _block(x: Any, name: str) -> Any:
    y = layers.LayerNormalization()(x)
    attention = layers.MultiHeadAttention(4, 32, name=f"{name}_attention")
    x = layers.Add()([x, attention(y, y)])
    y = layers.LayerNormalization()(x)
    y = layers.Dense(4 * _WIDTH, "gelu", name=f"{name}_wide")(y)
    return layers.Add()([x, layers.Dense(_WIDTH, name=f"{name}_narrow")(y)])


@keras.saving.register_keras_serializable(package="benchmarks")
class Positions(layers.Layer):
    """Adds a learned vector to each element of a sequence."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.vectors = self.add_weight(
            name="vectors",
            shape=input_shape[1:],
            initializer=keras.initializers.RandomNormal(stddev=0.02),
        )

    def call(self, inputs: Any) -> Any:
        return inputs + self.vectors


NETWORKS = {"mlp": mlp, "transformer": transformer}
# Their layers that stay dense.
DENSE = {"mlp": ["logits"], "transformer": ["embed", "logits"]}
