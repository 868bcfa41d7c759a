"""Models as people write them, small, each with data that it trains on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from keras import ops

registered = keras.saving.register_keras_serializable(package="zoo")


@dataclass(frozen=True)
class Case:
    """A model, and four examples.

    Args:
        model: A built model, not compiled.
        x: Inputs.
        y: Targets.
        in_place: Whether it cannot be copied.
    """

    model: keras.Model
    x: Any
    y: Any
    in_place: bool = False


Builder = Callable[[], Case]
APPLICATIONS: dict[str, Builder] = {}
ZOO: dict[str, Builder] = {}


def member(build: Builder) -> Builder:
    ZOO[build.__name__] = build
    return build


def floats(*shape: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(4, *shape)).astype("float32")


def ids(length: int, count: int = 20) -> np.ndarray:
    return np.random.default_rng(0).integers(1, count, size=(4, length))


def case(model: keras.Model, x: Any, **kwargs: Any) -> Case:
    """Returns a model with zeros of the shapes of its outputs as targets."""
    zeros = keras.tree.map_structure(
        lambda y: np.ones(y.shape, "float32"), model(x)
    )
    return Case(model, x, zeros, **kwargs)


def texts(*words: str) -> np.ndarray:
    return np.array(words, dtype=object)


# Of keras.applications, unmodified. -----------------------------------------


def application(
    name: str, until: str | None = None, size: int = 32, **arguments: Any
) -> None:
    """Adds a network, or its first part where all others are like it.

    Args:
        name: Name in `keras.applications`.
        until: Name of the last layer of the part.
        size: Of its images.
        **arguments: For the network.
    """

    def build() -> Case:
        model = getattr(keras.applications, name)(
            weights=None, input_shape=(size, size, 3), classes=10, **arguments
        )
        if until is not None:
            model = with_logits(model, until)
        return case(model, floats(size, size, 3))

    APPLICATIONS[name] = build


def with_logits(model: keras.Model, until: str) -> keras.Model:
    x = layers.GlobalAveragePooling2D()(model.get_layer(until).output)
    return keras.Model(model.inputs, layers.Dense(10)(x))


application("MobileNet", alpha=0.25)
application("MobileNetV2", alpha=0.35)
application("MobileNetV3Small", alpha=0.75)
application("EfficientNetB0", "block3b_add")
application("EfficientNetV2B0", "block4b_add")
application("DenseNet121", "conv3_block2_concat")
application("ResNet50", "conv3_block2_out")
application("VGG16", "block3_pool")
application("Xception", "block4_sepconv1_act", size=71)
application("ConvNeXtTiny", "convnext_tiny_stage_1_block_1_depthwise_conv")


# Transformers, in the style of the examples of Keras. ------------------------


@registered
class TransformerBlock(layers.Layer):
    def __init__(self, width, num_heads, hidden, causal=False, **kwargs):
        super().__init__(**kwargs)
        self.width, self.num_heads, self.hidden = width, num_heads, hidden
        self.causal = causal
        self.att = layers.MultiHeadAttention(num_heads, width // num_heads)
        self.ffn = keras.Sequential(
            [layers.Dense(hidden, activation="relu"), layers.Dense(width)]
        )
        self.norm1 = layers.LayerNormalization(epsilon=1e-6)
        self.norm2 = layers.LayerNormalization(epsilon=1e-6)
        self.dropout = layers.Dropout(0.1)

    def call(self, inputs, training=None):
        x = self.att(inputs, inputs, use_causal_mask=self.causal)
        x = self.norm1(inputs + self.dropout(x, training=training))
        return self.norm2(x + self.ffn(x))

    def get_config(self):
        names = ("width", "num_heads", "hidden", "causal")
        own = {name: getattr(self, name) for name in names}
        return {**super().get_config(), **own}


@registered
class TokenAndPositionEmbedding(layers.Layer):
    def __init__(self, length, count, width, **kwargs):
        super().__init__(**kwargs)
        self.length, self.count, self.width = length, count, width
        self.tokens = layers.Embedding(count, width)
        self.positions = layers.Embedding(length, width)

    def call(self, x):
        return self.tokens(x) + self.positions(ops.arange(ops.shape(x)[-1]))

    def get_config(self):
        own = {"length": self.length, "count": self.count, "width": self.width}
        return {**super().get_config(), **own}


@member
def encoder() -> Case:
    inputs = keras.Input((6,), dtype="int32")
    x = TokenAndPositionEmbedding(6, 20, 8)(inputs)
    x = TransformerBlock(8, 2, 12)(x)
    x = TransformerBlock(8, 2, 12)(x)
    x = layers.GlobalAveragePooling1D()(x)
    return case(keras.Model(inputs, layers.Dense(3)(x)), ids(6))


@member
def decoder() -> Case:
    inputs = keras.Input((6,), dtype="int32")
    x = TokenAndPositionEmbedding(6, 20, 8)(inputs)
    x = TransformerBlock(8, 2, 12, causal=True)(x)
    model = keras.Model(inputs, [layers.Dense(20, name="logits")(x), x])
    return case(model, ids(6))


@registered
class Patches(layers.Layer):
    def __init__(self, size, **kwargs):
        super().__init__(**kwargs)
        self.size = size

    def call(self, images):
        patches = ops.image.extract_patches(images, size=self.size)
        return ops.reshape(
            patches, (ops.shape(images)[0], -1, self.size**2 * 3)
        )

    def compute_output_shape(self, shape):
        count = (shape[1] // self.size) * (shape[2] // self.size)
        return shape[0], count, self.size**2 * 3

    def get_config(self):
        return {**super().get_config(), "size": self.size}


@registered
class PatchEncoder(layers.Layer):
    def __init__(self, count, width, **kwargs):
        super().__init__(**kwargs)
        self.count, self.width = count, width
        self.projection = layers.Dense(width)
        self.position = layers.Embedding(count, width)

    def call(self, patches):
        positions = ops.expand_dims(ops.arange(self.count), 0)
        return self.projection(patches) + self.position(positions)

    def get_config(self):
        own = {"count": self.count, "width": self.width}
        return {**super().get_config(), **own}


@member
def vit() -> Case:
    inputs = keras.Input((8, 8, 3))
    x = PatchEncoder(4, 8)(Patches(4)(inputs))
    for _ in range(2):
        y = layers.LayerNormalization()(x)
        y = layers.MultiHeadAttention(2, 4, dropout=0.1)(y, y)
        x = layers.Add()([x, y])
        y = layers.LayerNormalization()(x)
        y = layers.Dense(16, activation=keras.activations.gelu)(y)
        x = layers.Add()([x, layers.Dense(8)(y)])
    x = layers.Flatten()(layers.LayerNormalization()(x))
    return case(keras.Model(inputs, layers.Dense(3)(x)), floats(8, 8, 3))


@member
def attentions() -> Case:
    inputs = keras.Input((5, 8))
    x = layers.MultiHeadAttention(2, 4, name="mha")(inputs, inputs)
    x = layers.GroupQueryAttention(4, 4, 2, name="gqa")(x, x)
    x = layers.Attention(use_scale=True)([x, x])
    x = layers.AdditiveAttention()([x, x])
    return case(keras.Model(inputs, x), floats(5, 8))


# Convolutions. --------------------------------------------------------------


@member
def unet() -> Case:
    inputs = keras.Input((8, 8, 3))
    a = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    b = layers.MaxPooling2D()(a)
    b = layers.Conv2D(8, 3, padding="same", activation="relu")(b)
    x = layers.Conv2D(8, 3, padding="same")(layers.MaxPooling2D()(b))
    x = layers.Conv2DTranspose(8, 2, strides=2)(x)
    x = layers.Concatenate()([x, b])
    x = layers.Conv2DTranspose(4, 3, strides=2, padding="same")(x)
    x = layers.BatchNormalization()(layers.Concatenate()([x, a]))
    outputs = layers.Conv2D(2, 1, activation="sigmoid")(x)
    return case(keras.Model(inputs, outputs), floats(8, 8, 3))


@member
def separable() -> Case:
    inputs = keras.Input((12, 4))
    x = layers.SeparableConv1D(8, 3, padding="same")(inputs)
    x = layers.DepthwiseConv1D(3, padding="same")(x)
    x = layers.Conv1D(8, 3, padding="causal", groups=2)(x)
    x = layers.Conv1DTranspose(6, 2, strides=2)(x)
    x = layers.Reshape((12, 12, 1))(x)
    x = layers.Conv2D(4, 3, name="stem")(x)
    x = layers.SeparableConv2D(6, 3, depth_multiplier=2)(x)
    x = layers.DepthwiseConv2D(3)(x)
    x = layers.PReLU(shared_axes=[1, 2])(x)
    return case(keras.Model(inputs, layers.GlobalMaxPool2D()(x)), floats(12, 4))


@member
def volumes() -> Case:
    inputs = keras.Input((6, 6, 6, 2))
    x = layers.Conv3D(4, 3)(inputs)
    x = layers.Conv3D(6, 2, activation="relu")(x)
    x = layers.Conv3DTranspose(3, 2)(x)
    x = layers.GroupNormalization(3)(x)
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
    return case(model, floats(6, 6, 6, 2))


# Recurrent models. ----------------------------------------------------------


@member
def lstm_of_ids() -> Case:
    model = keras.Sequential(
        [
            keras.Input((7,), dtype="int32"),
            layers.Embedding(20, 6, mask_zero=True),
            layers.Bidirectional(layers.LSTM(5, return_sequences=True)),
            layers.Bidirectional(layers.LSTM(4), merge_mode="sum"),
            layers.Dense(2, activation="softmax"),
        ]
    )
    return case(model, ids(7))


@member
def stacked_gru() -> Case:
    inputs = keras.Input((5, 4))
    cells = [layers.GRUCell(6), layers.LSTMCell(5), layers.SimpleRNNCell(4)]
    x = layers.RNN(cells, return_sequences=True)(inputs)
    x, state = layers.GRU(6, return_sequences=True, return_state=True)(x)
    x = layers.SimpleRNN(6)(x, initial_state=state)
    return case(keras.Model(inputs, [x, state]), floats(5, 4))


@member
def conv_lstm() -> Case:
    inputs = keras.Input((3, 6, 6, 2))
    x = layers.ConvLSTM2D(3, 3, padding="same", return_sequences=True)(inputs)
    x = layers.TimeDistributed(layers.Conv2D(4, 3))(x)
    x = layers.ConvLSTM2D(2, 2)(x)
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
    return case(model, floats(3, 6, 6, 2))


@registered
class AttendingCell(layers.Layer):
    """A cell of one's own, with weights of its own and a layer inside."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units
        self.inner = layers.Dense(units, use_bias=False)

    def build(self, shape):
        self.kernel = self.add_weight(
            shape=(shape[-1], self.units), name="kernel"
        )
        self.mixing = self.add_weight(shape=(self.units, 3), name="mixing")
        self.inner.build((None, self.units))
        super().build(shape)

    def call(self, inputs, states):
        back = ops.matmul(
            ops.softmax(states[0] @ self.mixing), ops.ones((3, 1))
        )
        state = ops.tanh(inputs @ self.kernel + back * self.inner(states[0]))
        return state, [state]

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@member
def own_cell() -> Case:
    model = keras.Sequential(
        [
            keras.Input((5, 4)),
            layers.Bidirectional(
                layers.RNN(AttendingCell(6), return_sequences=True)
            ),
            layers.RNN(AttendingCell(6)),
            layers.Dense(3),
        ]
    )
    return case(model, floats(5, 4))


@member
def wrappers() -> Case:
    inputs = keras.Input((5, 8))
    x = layers.TimeDistributed(layers.Dense(8, activation="relu"))(inputs)
    x = layers.Bidirectional(layers.GRU(4, return_sequences=True))(x)
    x = layers.SpectralNormalization(layers.Conv1D(6, 2))(x)
    inner = keras.Sequential([layers.Dense(6), layers.Dense(4)])
    x = layers.TimeDistributed(layers.TimeDistributed(inner))(
        layers.Reshape((2, 2, 6))(x)
    )
    x = layers.SpectralNormalization(layers.Dense(3))(layers.Flatten()(x))
    return case(keras.Model(inputs, x), floats(5, 8))


# Text and tables. -----------------------------------------------------------


@member
def tokenizer() -> Case:
    words = texts("the quick brown fox", "jumps over", "the lazy dog", "fox")
    vectorize = layers.TextVectorization(output_sequence_length=5)
    vectorize.adapt(words)
    inputs = keras.Input((), dtype="string")
    x = layers.Embedding(12, 6, mask_zero=True)(vectorize(inputs))
    x = layers.LSTM(6)(x)
    model = keras.Model(inputs, layers.Dense(2)(x))
    return case(model, tf.constant(words.tolist()))


@member
def table() -> Case:
    age = keras.Input((1,), name="age")
    job = keras.Input((1,), name="job", dtype="string")
    town = keras.Input((1,), name="town", dtype="int32")
    normalize = layers.Normalization()
    normalize.adapt(floats(1) * 3 + 2)
    lookup = layers.StringLookup(
        vocabulary=["a", "b", "c"], output_mode="one_hot"
    )
    encode = layers.CategoryEncoding(5, output_mode="multi_hot")
    numbers = layers.Discretization([-1.0, 0.0, 1.0], output_mode="one_hot")
    x = [normalize(age), lookup(job), encode(town), numbers(age)]
    x = layers.Dense(16, activation="relu")(layers.Concatenate()(x))
    outputs = {"score": layers.Dense(4, name="score")(x), "hidden": x}
    inputs = {"age": age, "job": job, "town": town}
    x = {
        "age": tf.constant(floats(1)),
        "job": tf.constant([["a"], ["b"], ["z"], ["c"]]),
        "town": tf.constant([[0], [1], [4], [2]]),
    }
    return case(keras.Model(inputs, outputs), x)


# Models in code. ------------------------------------------------------------


@registered
class Autoencoder(keras.Model):
    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.encoder = keras.Sequential(
            [layers.Dense(16, activation="relu"), layers.Dense(width)]
        )
        self.decoder = keras.Sequential(
            [layers.Dense(16, activation="relu"), layers.Dense(12)]
        )

    def call(self, x):
        return self.decoder(self.encoder(x))

    def get_config(self):
        return {**super().get_config(), "width": self.width}


@member
def autoencoder() -> Case:
    return case(Autoencoder(4), floats(12))


@registered
class Blocks(keras.Model):
    """Layers in lists and dicts."""

    def __init__(self, widths=(8, 8), **kwargs):
        super().__init__(**kwargs)
        self.widths = list(widths)
        self.blocks = [layers.Dense(w, activation="relu") for w in widths]
        self.norms = [layers.LayerNormalization() for _ in widths]
        self.heads = {"a": layers.Dense(3), "b": [layers.Dense(2)]}

    def call(self, x):
        for block, norm in zip(self.blocks, self.norms, strict=True):
            x = norm(block(x))
        return {"a": self.heads["a"](x), "b": self.heads["b"][0](x)}

    def get_config(self):
        return {**super().get_config(), "widths": self.widths}


@member
def blocks() -> Case:
    return case(Blocks(), floats(6))


@registered
class GAN(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.generator = keras.Sequential(
            [
                keras.Input((6,)),
                layers.Dense(16, activation="relu"),
                layers.Dense(16),
                layers.Reshape((4, 4, 1)),
                layers.Conv2DTranspose(4, 2, strides=2),
                layers.Conv2D(1, 1),
            ]
        )
        self.discriminator = keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                layers.Conv2D(4, 3, strides=2),
                layers.LeakyReLU(),
                layers.Conv2D(6, 2),
                layers.Flatten(),
                layers.Dense(1),
            ]
        )

    def compile(self, optimizer, **kwargs):
        super().compile(optimizer, **kwargs)
        self.generator_optimizer = keras.optimizers.Adam(0.01)
        self.loss_fn = keras.losses.BinaryCrossentropy(from_logits=True)

    def call(self, noise):
        return self.discriminator(self.generator(noise))

    def train_step(self, data):
        real = data[0]
        noise = tf.random.stateless_normal((4, 6), (1, 2))
        with tf.GradientTape() as d_tape, tf.GradientTape() as g_tape:
            made = self.generator(noise, training=True)
            on_real = self.discriminator(real, training=True)
            on_made = self.discriminator(made, training=True)
            d_loss = self.loss_fn(tf.ones_like(on_real), on_real)
            d_loss += self.loss_fn(tf.zeros_like(on_made), on_made)
            g_loss = self.loss_fn(tf.ones_like(on_made), on_made)
        for tape, loss, network, optimizer in (
            (d_tape, d_loss, self.discriminator, self.optimizer),
            (g_tape, g_loss, self.generator, self.generator_optimizer),
        ):
            weights = network.trainable_weights
            optimizer.apply(tape.gradient(loss, weights), weights)
        return {"d_loss": d_loss, "g_loss": g_loss}


@registered
class HubModel(keras.Model):
    """A functional subclass with arguments and a config of its own."""

    def __init__(self, width=8, classes=3, **kwargs):
        inputs = keras.Input((8, 8, 3), name="images")
        x = layers.Conv2D(width, 3, name="stem")(inputs)
        x = layers.Conv2D(width, 3, name="body")(x)
        x = layers.GlobalAveragePooling2D()(x)
        outputs = layers.Dense(classes, name="head")(x)
        super().__init__(inputs, outputs, **kwargs)
        self.width, self.classes = width, classes

    def get_config(self):
        return {
            "name": self.name,
            "trainable": self.trainable,
            "width": self.width,
            "classes": self.classes,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@member
def hub_model() -> Case:
    return case(HubModel(), floats(8, 8, 3))


@member
def on_a_backbone() -> Case:
    inputs = keras.Input((8, 8, 3))
    x = HubModel(name="backbone")(inputs)
    x = Blocks(name="blocks")(x)["a"]
    return case(keras.Model(inputs, layers.Dense(4)(x)), floats(8, 8, 3))


@registered
class Maker(keras.Model):
    """A model whose `call` makes a choice, of layers that `build` makes."""

    def build(self, shape):
        self.one = layers.Dense(8, activation="tanh")
        self.one.build(shape)
        self.two = layers.Dense(3)
        self.two.build((None, 8))
        self.scale = self.add_weight(shape=(8, 8), name="scale")
        super().build(shape)

    def call(self, x, training=None):
        x = self.one(x)
        return self.two(ops.matmul(x, self.scale) if not training else x)


@member
def made_in_build() -> Case:
    return case(Maker(), floats(6))


class NoConfig(keras.Model):
    """A model that nobody can copy."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def call(self, x):
        return self.inner(x)


# Shared, frozen, tied and of other types. -----------------------------------


@member
def siamese() -> Case:
    tower = keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(12, activation="relu"),
            layers.Dense(6),
        ],
        name="tower",
    )
    a, b = keras.Input((8,), name="a"), keras.Input((8,), name="b")
    x = layers.Dot(axes=1, normalize=True)([tower(a), tower(b)])
    model = keras.Model([a, b], [layers.Dense(2)(x), x])
    return case(model, [floats(8), floats(8)[::-1]])


@registered
def doubled(x):
    return x * 2


@member
def lambdas() -> Case:
    inputs = keras.Input((8,))
    x = layers.Lambda(doubled)(layers.Dense(10)(inputs))
    x = ops.relu(x)[:, :8] + inputs
    return case(keras.Model(inputs, layers.Dense(3)(x)), floats(8))


@member
def half_precision() -> Case:
    inputs = keras.Input((8, 8, 3))
    policy = "mixed_float16"
    x = layers.Conv2D(8, 3, dtype=policy)(inputs)
    x = layers.Conv2D(8, 3, activation="relu", dtype=policy)(x)
    x = layers.Reshape((16, 8))(x)
    x = layers.MultiHeadAttention(2, 4, dtype=policy)(x, x)
    x = layers.LSTM(6, dtype=policy)(x)
    x = layers.Dense(3, dtype="float32")(x)
    return case(keras.Model(inputs, x), floats(8, 8, 3))


@member
def frozen() -> Case:
    inputs = keras.Input((8,))
    base = keras.Sequential([layers.Dense(12), layers.Dense(10)], name="base")
    base.trainable = False
    x = base(inputs)
    x = layers.Dense(6, name="head")(x)
    return case(keras.Model(inputs, layers.Dense(3)(x)), floats(8))


@registered
class Unembedding(layers.Layer):
    """Logits by the table of an `Embedding`."""

    def __init__(self, embedding, **kwargs):
        super().__init__(**kwargs)
        self.embedding = embedding

    def call(self, x):
        return ops.matmul(x, ops.transpose(self.embedding.embeddings))


@registered
class Tied(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.embedding = layers.Embedding(20, 12)
        self.mixer = layers.Dense(12, activation="relu")
        self.logits = Unembedding(self.embedding)

    def call(self, x):
        return self.logits(self.mixer(self.embedding(x)))


@member
def tied() -> Case:
    return case(Tied(), ids(5))


@member
def reversible() -> Case:
    table = layers.ReversibleEmbedding(20, 12)
    inputs = keras.Input((5,), dtype="int32")
    x = layers.Dense(12, name="mixer")(table(inputs))
    return case(keras.Model(inputs, table(x, reverse=True)), ids(5))


@member
def cannot_be_copied() -> Case:
    inner = keras.Sequential(
        [layers.Dense(8, activation="relu"), layers.Dense(3)]
    )
    return case(NoConfig(inner), floats(6), in_place=True)
