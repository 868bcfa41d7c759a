"""Seeded `tf.data` pipelines over images in memory."""

from typing import TYPE_CHECKING

import tensorflow as tf

from dsr_tf.checks import checked_count
from dsr_tf.data.augment import crop_and_flip
from dsr_tf.data.augment import draw_crops
from dsr_tf.data.image_set import check_batches
from dsr_tf.data.image_set import normalize

if TYPE_CHECKING:
    from dsr_tf.data.images import Images


def train_batches(
    images: "Images",
    batch_size: int,
    seed: int,
    first_epoch: int = 0,
    first_step: int = 0,
    num_shards: int = 1,
    shard_index: int = 0,
) -> tf.data.Dataset:
    """Returns shuffled training batches, epoch after epoch, without end.

    `ImageSet.train_batches` describes a batch, and what it depends on.

    Args:
        images: The data set.
        batch_size: Images in a batch of all shards together.
        seed: Integer from 0 to 2**31 - 1.
        first_epoch: Epoch to begin with, counted from 0.
        first_step: Batch of that epoch to begin with, counted from 0.
        num_shards: Number of processes that share a batch, at least 1.
        shard_index: Index of this process, from 0 to `num_shards - 1`.

    Raises:
        ValueError: If an argument is out of its range, or `batch_size` exceeds
            the number of training images or is not a multiple of `num_shards`,
            or there is no such shard.
    """
    _check_images(images)
    num_train = images.num_train
    check_batches(
        num_train,
        batch_size,
        seed,
        first_epoch,
        first_step,
        num_shards,
        shard_index,
    )
    # Constants, once: a batch is then gathered without leaving the device.
    all_images = tf.constant(images.train_images)
    all_labels = tf.constant(images.train_labels)

    def epoch_rows(epoch: tf.Tensor) -> tf.data.Dataset:
        key = tf.stack([seed, epoch])
        order = tf.random.experimental.stateless_shuffle(
            tf.range(num_train), seed=key
        )
        # Drawn for every position of the epoch, before it is shared out.
        crops = draw_crops(num_train, key) if images.augment else ()
        return tf.data.Dataset.from_tensor_slices((order, *crops)).batch(
            batch_size, drop_remainder=True
        )

    def gather(*rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        indices, *crops = (part[shard_index::num_shards] for part in rows)
        batch = tf.gather(all_images, indices)
        if crops:
            batch = crop_and_flip(batch, *crops)
        batch = normalize(batch, images.mean, images.stddev)
        return batch, tf.gather(all_labels, indices)

    epochs = tf.data.Dataset.counter(first_epoch)
    rows = epochs.flat_map(epoch_rows).skip(first_step)
    batches = rows.map(
        gather, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    return batches.prefetch(8)


def eval_batches(images: "Images", batch_size: int = 1000) -> tf.data.Dataset:
    """Returns all test images, in order.

    Args:
        images: The data set.
        batch_size: Images in a batch, at least 1; the last may be smaller.

    Raises:
        ValueError: If an argument is out of its range.
    """
    _check_images(images)
    checked_count("batch_size", batch_size, minimum=1)
    pairs = (images.test_images, images.test_labels)
    dataset = tf.data.Dataset.from_tensor_slices(pairs).batch(batch_size)
    dataset = dataset.map(
        lambda x, y: (normalize(x, images.mean, images.stddev), y)
    )
    return dataset.cache().prefetch(2)


def _check_images(images: "Images") -> None:
    # Not its class, whose file imports this one.
    if not hasattr(images, "train_images"):
        raise ValueError(
            "`images` must be the `Images` of a data set in memory. "
            f"Received: images={images!r}"
        )
