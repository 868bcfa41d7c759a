"""TensorBoard's pictures of weights, beside callbacks of ours."""

import keras
import numpy as np
import pytest

from dsr_tf.callbacks import SET
from dsr_tf.callbacks import Checkpoint
from dsr_tf.callbacks import SparsityLogger
from dsr_tf.layers import SparseDense


def network(layer):
    net = keras.Sequential([keras.Input((4,)), layer])
    net.compile("sgd", "mse")
    return net


def begin(net, *callbacks):
    every = keras.callbacks.CallbackList(
        callbacks, model=net, add_history=False, epochs=1
    )
    every.on_train_begin()


@pytest.mark.parametrize(
    "kind, order",
    [(SET, 1), (SET, -1), (SparsityLogger, 1), (Checkpoint, -1)],
)
def test_pictures_of_masks_are_refused(tmp_path, kind, order):
    own = SET(0.1, 9) if kind is SET else kind(tmp_path / "own")
    draws = keras.callbacks.TensorBoard(
        tmp_path, histogram_freq=1, write_images=True
    )
    net = network(SparseDense(10, 0.5))
    x, y = np.ones((8, 4)), np.ones((8, 10))
    with pytest.raises(ValueError, match="`write_images` must be False"):
        net.fit(x, y, verbose=0, callbacks=[own, draws][::order])
    assert int(net.optimizer.iterations) == 0


@pytest.mark.parametrize("arguments", [{}, {"histogram_freq": 1}])
def test_other_boards_are_taken(tmp_path, arguments):
    # Pictures are drawn where histograms are, and nowhere else.
    draws = keras.callbacks.TensorBoard(
        tmp_path, write_images=not arguments, **arguments
    )
    begin(network(SparseDense(10, 0.5)), SET(0.1, 9), draws)


def test_pictures_of_dense_kernels_are_taken(tmp_path):
    draws = keras.callbacks.TensorBoard(
        tmp_path, histogram_freq=1, write_images=True
    )
    begin(network(keras.layers.Dense(10)), draws, Checkpoint(tmp_path / "own"))
