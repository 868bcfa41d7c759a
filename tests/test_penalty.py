import keras
import numpy as np
import pytest
import tensorflow as tf

from dsr_tf.layers import GroupLasso
from dsr_tf.layers.penalty import is_simple
from dsr_tf.layers.penalty import penalty

SIMPLE = [
    keras.regularizers.L1(0.1),
    keras.regularizers.L2(0.2),
    keras.regularizers.L1L2(0.1, 0.2),
    keras.regularizers.L1L2(0.0, 0.0),
]


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("shape", [(7, 5), (3, 3, 4, 2)])
@pytest.mark.parametrize("regularizer", SIMPLE)
def test_penalty_is_that_of_keras(regularizer, shape, jit_compile):
    rng = np.random.default_rng(0)
    values = rng.normal(size=shape) * (rng.random(shape) < 0.3)
    kernel = tf.constant(values, tf.float32)
    kernel *= tf.constant([1.0] * (shape[-1] - 1) + [0.0])

    @tf.function(jit_compile=jit_compile)
    def both(function):
        with tf.GradientTape() as tape:
            tape.watch(kernel)
            value = function(kernel)
        zeros = tf.UnconnectedGradients.ZERO
        return value, tape.gradient(value, kernel, unconnected_gradients=zeros)

    value, gradient = both(lambda w: penalty(regularizer, w))
    expected, keras_gradient = both(regularizer)
    assert float(value) == pytest.approx(float(expected), rel=1e-6)
    # Training is the same: only the loss is rounded otherwise.
    assert (gradient == keras_gradient).numpy().all()


@pytest.mark.parametrize("regularizer", SIMPLE)
def test_regularizers_of_keras_are_simple(regularizer):
    assert is_simple(regularizer)


@pytest.mark.parametrize(
    "regularizer",
    [
        GroupLasso(0.1),
        keras.regularizers.OrthogonalRegularizer(),
        type("Mine", (keras.regularizers.L1,), {})(0.1),
        lambda kernel: 0.0,
    ],
)
def test_others_are_not(regularizer):
    assert not is_simple(regularizer)
