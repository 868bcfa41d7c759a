import numpy as np
import pytest
import tensorflow as tf
from dsr_tf.methods.signs import SignFlipped
from dsr_tf.methods.signs import flipped

from dsr_tf.methods import Tensors


def test_weights_whose_sign_flipped_go():
    # The third is 0 and has no sign; the last two are not active.
    weights = tf.constant([0.3, -0.1, 0.0, 0.2, -0.4, 0.0, 0.0])
    signs = tf.constant([1, 1, -1, -1, -1, 1, -1], tf.int8)
    mask = tf.constant([True] * 5 + [False] * 2)
    assert flipped(weights, mask, signs).numpy().tolist() == [1, 3]


def test_low_precision_keeps_its_signs():
    weights = tf.constant([1e-30, -1e-30], tf.bfloat16)
    gone = flipped(weights, tf.ones(2, tf.bool), tf.constant([1, 1]))
    assert gone.numpy().tolist() == [1]


@pytest.mark.parametrize("sizes, signs", [([9], True), ([1], False)])
def test_signs_are_needed_and_single_weights(sizes, signs):
    tensors = Tensors(
        [tf.ones(3)],
        [tf.ones(3, tf.bool)],
        sizes,
        [tf.constant(np.ones(3, np.int8))] if signs else None,
    )
    with pytest.raises(ValueError, match=r"`tensors` must have `signs`"):
        SignFlipped()(tensors, {})
