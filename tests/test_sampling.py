import numpy as np
import tensorflow as tf

from dsr_tf.methods.sampling import gumbel_noise


def test_the_largest_is_drawn_in_proportion_to_weights():
    weights = np.array([1.0, 3.0, 6.0])
    noise = gumbel_noise([20_000, 3], tf.constant([0, 1])).numpy()
    drawn = np.argsort(-(np.log(weights) + noise))
    first = np.bincount(drawn[:, 0], minlength=3) / len(drawn)
    np.testing.assert_allclose(first, [0.1, 0.3, 0.6], atol=0.015)
    # Where the last was drawn, the second is drawn of the other two.
    second = drawn[drawn[:, 0] == 2][:, 1]
    assert abs((second == 1).mean() - 0.75) < 0.02


def test_noise_is_finite_and_that_of_its_seed():
    noise, again, other = (
        gumbel_noise([200_000], tf.constant([0, seed])).numpy()
        for seed in (1, 1, 2)
    )
    assert np.isfinite(noise).all() and noise.dtype == np.float64
    assert (noise == again).all() and (noise != other).all()
    # In float32 draws of eight million kinds would often be equal.
    assert len(np.unique(noise)) == len(noise)
