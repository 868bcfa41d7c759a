"""Seeded `tf.data` pipelines over images in memory."""

import numpy as np
import tensorflow as tf

from dsr_tf.data.images import Images


def train_batches(
    images: Images, batch_size: int, seed: int, first_epoch: int = 0
) -> tf.data.Dataset:
    """Returns shuffled training batches, epoch after epoch, without end.

    The order of an epoch is a pure function of seed and epoch. The images that
    are left over after the last whole batch of an epoch are left out of it.

    Args:
        images: The data set.
        batch_size: Images in a batch, from 1 to the number of training
            images.
        seed: Integer from 0 to 2**31 - 1.
        first_epoch: Epoch to begin with, counted from 0.

    Returns:
        Batches `(images, labels)`: float32, normalised, of shape
        `(batch_size, height, width, channels)`, and int64.

    Raises:
        ValueError: If `batch_size` exceeds the number of training images.
    """
    num_train = len(images.train_labels)
    if not 1 <= batch_size <= num_train:
        raise ValueError(
            "`batch_size` must be from 1 to the number of training images, "
            f"{num_train}. Received: batch_size={batch_size}"
        )
    # Constants, once: a batch is then gathered without leaving the device.
    all_images = tf.constant(images.train_images)
    all_labels = tf.constant(images.train_labels)

    def epoch_indices(epoch: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(
            tf.range(num_train), seed=tf.stack([seed, epoch])
        )
        return tf.data.Dataset.from_tensor_slices(order).batch(
            batch_size, drop_remainder=True
        )

    def gather(indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        batch = tf.gather(all_images, indices)
        return _normalized(images, batch), tf.gather(all_labels, indices)

    epochs = tf.data.Dataset.counter(first_epoch)
    return epochs.flat_map(epoch_indices).map(gather).prefetch(8)


def eval_batches(images: Images, batch_size: int = 1000) -> tf.data.Dataset:
    """Returns the test images, in order, all of them.

    Args:
        images: The data set.
        batch_size: Images in a batch, at least 1; the last may be smaller.
    """
    pairs = (images.test_images, images.test_labels)
    dataset = tf.data.Dataset.from_tensor_slices(pairs).batch(batch_size)
    dataset = dataset.map(lambda x, y: (_normalized(images, x), y))
    return dataset.cache().prefetch(2)


def _normalized(images: Images, batch: tf.Tensor) -> tf.Tensor:
    scale = np.asarray(1 / np.asarray(images.stddev), np.float32)
    mean = np.asarray(images.mean, np.float32)
    return (tf.cast(batch, tf.float32) - mean) * scale
