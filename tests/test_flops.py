"""Multiply-adds, against counts by hand and published ones."""

import keras
import pytest
from keras import layers
from keras import ops

import dsr_tf
from dsr_tf.layers import HashedConv2D
from dsr_tf.layers import HashedDense
from dsr_tf.layers import SparseConv1D
from dsr_tf.layers import SparseConv2D
from dsr_tf.layers import SparseDense
from dsr_tf.layers import SparseEinsumDense


def rows(model, **kwargs):
    return dsr_tf.summary(model, print_fn=None, **kwargs).layers


def counted(layer, *shape):
    inputs = keras.Input(shape)
    (row,) = rows(keras.Model(inputs, layer(inputs)))
    return row.multiply_adds, row.sparse_multiply_adds


@pytest.mark.parametrize(
    "layer, shape, expected",
    [
        (layers.Dense(5), (7,), 7 * 5),
        (layers.Dense(5), (4, 7), 4 * 7 * 5),
        (layers.Dense(5), (3, 4, 7), 3 * 4 * 7 * 5),
        # An 8x8 image has 6x6 places for a 3x3 window.
        (layers.Conv2D(4, 3), (8, 8, 2), 36 * 9 * 2 * 4),
        (layers.Conv2D(4, 3, padding="same"), (8, 8, 2), 64 * 9 * 2 * 4),
        (layers.Conv2D(4, 3, strides=2), (8, 8, 2), 9 * 9 * 2 * 4),
        (
            layers.Conv2D(4, 3, strides=2, padding="same"),
            (8, 7, 2),
            16 * 9 * 2 * 4,
        ),
        (layers.Conv2D(4, (1, 3), strides=(2, 1)), (8, 8, 2), 24 * 3 * 2 * 4),
        # Dilated by 2, the window is 5x5, with 9 weights.
        (layers.Conv2D(4, 3, dilation_rate=2), (8, 8, 2), 16 * 9 * 2 * 4),
        # Each output channel sees two of the four input channels.
        (layers.Conv2D(6, 3, groups=2), (8, 8, 4), 36 * 9 * 2 * 6),
        (
            layers.Conv2D(4, 3, data_format="channels_first"),
            (2, 8, 5),
            18 * 9 * 2 * 4,
        ),
        (layers.Conv1D(4, 3, padding="causal"), (10, 3), 10 * 3 * 3 * 4),
        (layers.Conv3D(4, 2), (4, 4, 3, 3), 18 * 8 * 3 * 4),
        (
            layers.DepthwiseConv2D(3, depth_multiplier=2),
            (8, 8, 5),
            36 * 9 * 5 * 2,
        ),
        (
            layers.DepthwiseConv2D(3, strides=2, padding="same"),
            (8, 8, 5),
            16 * 9 * 5,
        ),
        (layers.DepthwiseConv1D(3), (8, 5), 6 * 3 * 5),
        # 3x3 in each channel, then 1x1 from 5 channels to 7.
        (
            layers.SeparableConv2D(7, 3, strides=2, padding="same"),
            (8, 8, 5),
            16 * (9 * 5 + 5 * 7),
        ),
        (layers.SeparableConv1D(7, 3), (8, 5), 6 * (3 * 5 + 5 * 7)),
        # Each of the 4x4 input places is spread over 3x3 output places.
        (
            layers.Conv2DTranspose(5, 3, strides=2),
            (4, 4, 2),
            16 * 9 * 2 * 5,
        ),
        (layers.Conv1DTranspose(5, 3), (4, 2), 4 * 3 * 2 * 5),
        (layers.Conv3DTranspose(5, 2), (2, 2, 2, 3), 8 * 8 * 3 * 5),
        (layers.EinsumDense("ab,bc->ac", 5), (7,), 7 * 5),
        (layers.EinsumDense("abc,cd->abd", (None, 5)), (4, 7), 4 * 7 * 5),
        (
            layers.EinsumDense("abc,cde->abde", (None, 2, 3)),
            (4, 7),
            4 * 7 * 2 * 3,
        ),
        # Sums over two axes of the input at once.
        (layers.EinsumDense("abcd,cde->abe", (None, 5)), (4, 2, 3), 4 * 6 * 5),
        # A matrix for each place: its weights are used once.
        (layers.EinsumDense("abc,bcd->abd", (4, 5)), (4, 7), 4 * 7 * 5),
        (layers.EinsumDense("...x,xy->...y", 5), (2, 3, 7), 6 * 7 * 5),
        (layers.EinsumDense("ab...,bc->ac...", (5, 3)), (7, 3), 3 * 7 * 5),
        # Sums over an axis that the kernel has not.
        (layers.EinsumDense("abc,cd->ad", 5), (4, 7), 4 * 7 * 5),
        (layers.Embedding(10, 4), (6,), 0),
    ],
)
def test_multiply_adds_worked_by_hand(layer, shape, expected):
    assert counted(layer, *shape) == (expected, expected)


@pytest.mark.parametrize(
    "layer, shape, uses",
    [
        (SparseDense(5, 0.8), (3, 7), 3),
        (SparseConv1D(4, 3, sparsity=0.8), (8, 2), 6),
        (SparseConv2D(4, 3, sparsity=0.8, strides=2), (9, 9, 2), 16),
        (SparseConv2D(4, 3, sparsity=0.5, granularity="kernel"), (4, 4, 2), 4),
        (SparseEinsumDense("abc,cd->abd", (None, 5), 0.8), (3, 7), 3),
    ],
)
def test_sparse_layers_use_their_active_weights(layer, shape, uses):
    dense, sparse = counted(layer, *shape)
    assert dense == uses * layer.kernel_mask.numpy().size
    assert sparse == uses * layer.num_active < dense


@pytest.mark.parametrize(
    "layer, shape, expected",
    [
        (HashedDense(5, 0.8), (7,), 7 * 5),
        (HashedConv2D(4, 3, sparsity=0.8), (8, 8, 2), 36 * 9 * 2 * 4),
    ],
)
def test_hashed_layers_compute_as_dense_ones(layer, shape, expected):
    assert counted(layer, *shape) == (expected, expected)


class OwnDense(layers.Dense):
    pass


class Inner(layers.Layer):
    """Calls a dense layer in its own way, on vectors of 3."""

    def __init__(self, function):
        super().__init__()
        self.dense = layers.Dense(3)
        self.function = function

    def build(self, _):
        self.dense.build((None, 3))

    def call(self, inputs):
        return self.function(self.dense, inputs)


def lora():
    layer = layers.Dense(3)
    layer.build((None, 3))
    layer.enable_lora(2)
    return layer


def each(dense):
    return lambda row: dense(row[None])[0]


@pytest.mark.parametrize(
    "layer",
    [
        OwnDense(3),
        lora(),
        layers.LSTM(3),
        layers.GRU(3, unroll=True),
        layers.RNN(layers.SimpleRNNCell(3)),
        # A branch, a loop, and a loop that TensorFlow makes one operation of.
        Inner(lambda f, x: ops.cond(x[0, 0, 0] > 0, lambda: f(x), lambda: x)),
        Inner(lambda f, x: ops.map(each(f), x[0])),
        Inner(lambda f, x: ops.vectorized_map(each(f), x[0])),
        # Never called: its kernel may be used otherwise.
        Inner(lambda f, x: x @ f.kernel),
        layers.EinsumDense("abb,bc->ac", 3),
    ],
)
def test_what_is_not_known_is_not_guessed(layer):
    inputs = keras.Input((3, 3))
    result = dsr_tf.summary(keras.Model(inputs, layer(inputs)), print_fn=None)
    assert [row.multiply_adds for row in result.layers] == [None]
    assert not result.model.multiply_adds_complete
    assert result.model.multiply_adds == 0


def test_layers_of_own_layers_are_counted_where_they_are_called():
    own = Inner(lambda f, x: f(x) + ops.sum(f(x[:, :2]), 1, keepdims=True))
    assert counted(own, 4, 3) == ((4 + 2) * 9,) * 2


def test_shared_layers_count_at_every_call():
    shared = layers.Dense(3, name="shared")
    inner = keras.Sequential([keras.Input((3,)), shared], name="inner")
    inputs = keras.Input((5, 3))
    x = shared(inputs)
    x = inner(x[:, 0]) + shared(x[:, 1])
    found = {x.name: x for x in rows(keras.Model(inputs, inner(x)))}
    (row,) = found.values()
    assert row.weights == 9 and row.multiply_adds == (5 + 1 + 1 + 1) * 9


def test_wrapped_layers_count_at_every_step():
    wrapped = layers.TimeDistributed(layers.Conv2D(4, 3))
    assert counted(wrapped, 5, 8, 8, 2) == (5 * 36 * 72,) * 2
    # How many steps is not known, though the shape of each one is.
    assert counted(layers.TimeDistributed(layers.Dense(4)), None, 2)[0] is None


def test_projections_of_attention_are_counted():
    x = keras.Input((5, 6))
    model = keras.Model(x, layers.MultiHeadAttention(2, 3)(x, x))
    found = {row.name: row.multiply_adds for row in rows(model)}
    part = 5 * 6 * 2 * 3
    parts = ("query", "key", "value", "attention_output")
    assert found == {f"multi_head_attention/{name}": part for name in parts}


def test_open_dimensions_may_be_given():
    inputs = keras.Input((None, None, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, name="c")(inputs))
    model = keras.Model(inputs, layers.Dense(2, name="d")(x))
    assert [row.multiply_adds for row in rows(model)] == [None, 8]
    closed = rows(model, input_shape=(5, 6, 3))
    assert [row.multiply_adds for row in closed] == [12 * 27 * 4, 8]
    # So does the model around it.
    outer = keras.Sequential([keras.Input((4, 4, 3)), model])
    assert [row.multiply_adds for row in rows(outer)] == [4 * 27 * 4, 8]
    for shape in (5, (5,), (2, 2, 3), (8, 8, 4)):
        with pytest.raises(ValueError, match="`input_shape` must be the shape"):
            rows(model, input_shape=shape)


def test_batch_size_does_not_matter():
    inputs = keras.Input(batch_shape=(32, 7))
    (row,) = rows(keras.Model(inputs, layers.Dense(5)(inputs)))
    assert row.multiply_adds == 7 * 5


def resnet50(first, second):
    """Sums the convolutions of He et al., table 1, and the last layer.

    `first` and `second` are the strides of the 1x1 and the 3x3 that begin
    groups 2 to 4.
    """
    total, size, inputs = 112**2 * 7 * 7 * 3 * 64, 56, 64
    for group, (blocks, width) in enumerate(
        ((3, 64), (4, 128), (6, 256), (3, 512))
    ):
        for block in range(blocks):
            halve = group > 0 and block == 0
            total += (size // first if halve else size) ** 2 * inputs * width
            size //= 2 if halve else 1
            total += size**2 * (9 * width * width + width * 4 * width)
            total += size**2 * inputs * 4 * width if block == 0 else 0
            inputs = 4 * width
    return total + 2048 * 1000


def test_resnet50_has_the_published_count():
    # "3.8 billion FLOPs (multiply-adds)", He et al., 2016.
    model = keras.applications.ResNet50(weights=None)
    totals = dsr_tf.summary(model, print_fn=None).model
    assert totals.multiply_adds == resnet50(2, 1) == 3_857_973_248
    assert totals.multiply_adds_complete


def test_resnet50_with_strides_on_the_3x3_has_its_own():
    model = dsr_tf.models.resnet50(sparsity=None)
    totals = dsr_tf.summary(model, print_fn=None).model
    assert totals.multiply_adds == resnet50(1, 2) == 4_089_184_256


def test_mobilenet_v2_has_the_published_count():
    # "300M", Sandler et al., 2018, table 4; its blocks are those of table 2.
    total, size, inputs = 112**2 * 27 * 32, 112, 32
    for factor, outputs, repeats, stride in (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):
        for repeat in range(repeats):
            hidden = factor * inputs
            total += size**2 * inputs * hidden if factor > 1 else 0
            size //= stride if repeat == 0 else 1
            total += size**2 * (9 * hidden + hidden * outputs)
            inputs = outputs
    total += 49 * 320 * 1280 + 1280 * 1000
    model = keras.applications.MobileNetV2(weights=None)
    totals = dsr_tf.summary(model, print_fn=None).model
    assert totals.multiply_adds == total == 300_774_272
    assert totals.multiply_adds_complete
