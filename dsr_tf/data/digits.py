"""The handwritten digits of scikit-learn, which need no download."""

import numpy as np
from sklearn import datasets

from dsr_tf.data.images import Images
from dsr_tf.data.images import channel_moments

NUM_TRAIN = 1500


def load_digits() -> Images:
    """Loads 1,797 real images of 8×8 pixels with values from 0 to 16.

    The split is fixed: 1,500 images to train and 297 to test, drawn once with
    a constant seed.
    """
    digits = datasets.load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    images = digits.images[order].astype(np.uint8)[..., None]
    labels = digits.target[order].astype(np.int64)
    mean, stddev = channel_moments(images[:NUM_TRAIN])
    return Images(
        name="digits",
        train_images=images[:NUM_TRAIN],
        train_labels=labels[:NUM_TRAIN],
        test_images=images[NUM_TRAIN:],
        test_labels=labels[NUM_TRAIN:],
        mean=mean,
        stddev=stddev,
        num_classes=10,
    )
