import keras
import numpy as np
import pytest
import tensorflow as tf

from dsr_tf.layers import GroupLasso
from dsr_tf.layers import SparseConv2D


def test_penalty_worked_by_hand():
    # Two slices of 2x1: (3, 4) with norm 5, and (0, 2) with norm 2.
    kernel = np.array([[[[3.0, 0.0]]], [[[4.0, 2.0]]]], np.float32)
    assert float(GroupLasso(0.5)(kernel)) == pytest.approx(3.5)
    # L1 is 9, the squares are 29.
    penalty = GroupLasso(0.5, l1=0.1, l2=0.01)(kernel)
    assert float(penalty) == pytest.approx(3.5 + 0.9 + 0.29)


def test_gradient_is_0_at_empty_slices():
    kernel = tf.Variable([[[[3.0, 0.0]]], [[[4.0, 0.0]]]])
    with tf.GradientTape() as tape:
        penalty = GroupLasso(1.0)(kernel)
    gradient = tape.gradient(penalty, kernel).numpy()
    assert gradient[:, 0, 0, 0] == pytest.approx([0.6, 0.8])
    assert (gradient[:, 0, 0, 1] == 0).all()


def test_it_empties_slices_that_nothing_needs():
    layer = SparseConv2D(
        4,
        3,
        sparsity=0.5,
        granularity="kernel",
        kernel_regularizer=GroupLasso(1.0),
    )
    model = keras.Sequential([keras.Input((6, 6, 4)), layer])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    before = np.abs(layer.kernel.numpy()).sum()
    x = np.zeros((8, 6, 6, 4), np.float32)
    model.fit(x, np.zeros((8, 4, 4, 4)), epochs=5, verbose=0)
    after = np.abs(layer.kernel.numpy()).sum()
    assert np.isfinite(after) and after < 0.5 * before


def test_it_is_saved_with_the_layer(tmp_path):
    regularizer = GroupLasso(0.1, l1=0.2, l2=0.3)
    layer = SparseConv2D(2, 3, 0.5, kernel_regularizer=regularizer)
    model = keras.Sequential([keras.Input((6, 6, 4)), layer])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    config = loaded.layers[0].kernel_regularizer.get_config()
    assert config == pytest.approx({"group": 0.1, "l1": 0.2, "l2": 0.3})


def test_factor_must_not_be_negative():
    with pytest.raises(ValueError, match="`group` must be a number of at l"):
        GroupLasso(-1.0)
