import keras
import pytest
import tensorflow as tf
from keras import layers

import dsr_tf
from dsr_tf.exporting.pointwise import pointwise_fault
from dsr_tf.layers import SparseConv2D
from dsr_tf.layers import SparseDense


def network(
    size=32,
    channels=3,
    strides=2,
    padding=1,
    sparsity=0.9,
    between=None,
    last=None,
    filters=16,
):
    """Returns a network that LiteRT computes wrongly on Arm, or another."""
    image = x = keras.Input((size, size, channels))
    border = "valid"
    if padding == "same":
        border = padding
    else:
        x = layers.ZeroPadding2D(padding)(x)
    x = layers.Conv2D(8, 3, strides=strides, padding=border)(x)
    x = between(x) if between else x
    x = SparseConv2D(filters, 1, sparsity, activation="relu")(x)
    x = layers.DepthwiseConv2D(3, padding="same")(x)
    last = last or layers.GlobalAveragePooling2D(keepdims=True)
    return keras.Model(image, last(x))


def converted(model, sparse=True, half=False):
    """Returns the content of a TFLite file, from TensorFlow's converter."""
    converter = tf.lite.TFLiteConverter.from_keras_model(dsr_tf.densify(model))
    converter.optimizations = []
    if sparse:
        converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
    if half:
        converter.optimizations.append(tf.lite.Optimize.DEFAULT)
        converter.target_spec.supported_types = [tf.float16]
    return converter.convert()


# What these were found to do on Arm is in `benchmarks/README.md`.
WRONG = {
    "plain": {},
    "open size": {"size": None},
    "sparser": {"sparsity": 0.99},
    # Made where they are called, so that their names are those of one model.
    "depthwise first": {
        "between": lambda x: layers.DepthwiseConv2D(3, padding="same")(x)
    },
    "sum": {"last": lambda x: keras.ops.sum(x, (1, 2), keepdims=True)},
}
RIGHT = {
    "padding same": {"padding": "same"},
    # The converter takes explicit zeros for padding "same".
    "odd size": {"size": 33},
    "padding of one side": {"padding": ((0, 1), (0, 1))},
    "padding of two": {"padding": 2},
    "stride 1": {"strides": 1},
    "four channels": {"channels": 4},
    "few zeros": {"sparsity": 0.6},
    "larger convolution": {
        "between": lambda x: layers.Conv2D(8, 3, padding="same")(x)
    },
    "pool": {"between": lambda x: layers.MaxPooling2D()(x)},
    "no mean": {"last": layers.Flatten()},
}


@pytest.mark.parametrize("case", WRONG)
def test_what_arm_computes_wrongly_is_found(case):
    assert pointwise_fault(converted(network(**WRONG[case])))


@pytest.mark.parametrize("case", RIGHT)
def test_what_arm_computes_right_is_not_refused(case):
    assert pointwise_fault(converted(network(**RIGHT[case]))) is None


def test_a_mean_that_drops_dimensions_is_not_trusted():
    # Right in LiteRT 2.1.6; what later ones do was not seen.
    mean = layers.GlobalAveragePooling2D()
    assert pointwise_fault(converted(network(last=mean)))


def test_only_sparse_encoded_files_are_at_fault():
    model = network()
    assert pointwise_fault(converted(model, sparse=False)) is None
    assert pointwise_fault(converted(model, half=True))


def test_kernels_are_found_wherever_they_are():
    inner = network()
    image = keras.Input((32, 32, 3))
    nested = keras.Model(image, layers.Identity()(inner(image)))
    assert pointwise_fault(converted(nested))
    # A plain kernel with as many zeros is encoded sparse too.
    plain = keras.models.clone_model(dsr_tf.densify(inner))
    plain.set_weights(dsr_tf.densify(inner).get_weights())
    head = SparseDense(4, 0.5)(layers.Flatten()(plain.output))
    assert pointwise_fault(converted(keras.Model(plain.input, head)))


@pytest.mark.slow
def test_export_says_why_it_encodes_dense(tmp_path, capsys):
    # Large enough for a sparse file to be smaller.
    dsr_tf.export(network(filters=512), tmp_path / "m", "tflite")
    line = capsys.readouterr().out
    assert line.endswith(
        "dense: LiteRT computes its sparse 1×1 convolutions wrongly on Arm\n"
    )
    assert pointwise_fault((tmp_path / "m").read_bytes()) is None
