"""The interface of data sets, and the checks they share."""

from typing import Protocol

import tensorflow as tf

from dsr_tf.checks import checked_count
from dsr_tf.checks import checked_seed
from dsr_tf.checks import is_integer


class DatasetUnavailableError(RuntimeError):
    """A data set is not on this machine and could not be fetched."""


class ImageSet(Protocol):
    """A data set for image classification: images to train on and to test.

    `name` is the name that the user gave; `image_shape` is the
    `(height, width, channels)` of the images in a batch; labels are in
    `[0, num_classes)`; `num_train` counts the training images.
    """

    @property
    def name(self) -> str: ...

    @property
    def image_shape(self) -> tuple[int, ...]: ...

    @property
    def num_classes(self) -> int: ...

    @property
    def num_train(self) -> int: ...

    def train_batches(
        self,
        batch_size: int,
        seed: int,
        first_epoch: int = 0,
        first_step: int = 0,
        num_shards: int = 1,
        shard_index: int = 0,
    ) -> tf.data.Dataset:
        """Returns shuffled training batches, epoch after epoch, without end.

        Order and augmentation of an epoch are a pure function of seed and
        epoch. Images that do not fill a whole batch at the end of an epoch
        are left out of it. If several processes train together, each takes its
        rows of every batch, `shard_index::num_shards`. All rows together are
        the batch that a single process would get.

        Args:
            batch_size: Images in a batch of all shards together, from 1 to
                `num_train`, a multiple of `num_shards`.
            seed: Integer from 0 to 2**31 - 1.
            first_epoch: Epoch to begin with, counted from 0.
            first_step: Batch of that epoch to begin with, counted from 0.
            num_shards: Number of processes that share a batch, at least 1.
            shard_index: Index of this process, from 0 to `num_shards - 1`.

        Returns:
            Batches `(images, labels)`: float32, normalised, of shape
            `(batch_size / num_shards, height, width, channels)`, and int64.

        Raises:
            ValueError: If an argument is out of its range, or `batch_size`
                exceeds the number of training images or is not a multiple of
                `num_shards`, or there is no such shard.
        """
        ...

    def eval_batches(self, batch_size: int = ...) -> tf.data.Dataset:
        """Returns all test images, in order, not augmented.

        Args:
            batch_size: Images in a batch, at least 1; the last may be smaller.

        Returns:
            Batches `(images, labels)`, like those of `train_batches`.
        """
        ...


def check_batches(
    num_train: int,
    batch_size: int,
    seed: int,
    first_epoch: int,
    first_step: int,
    num_shards: int,
    shard_index: int,
) -> None:
    """Raises ValueError if such batches cannot be made or split."""
    checked_seed(seed)
    checked_count("first_epoch", first_epoch)
    checked_count("first_step", first_step)
    checked_count("num_shards", num_shards)
    if not 1 <= checked_count("batch_size", batch_size) <= num_train:
        raise ValueError(
            "`batch_size` must be from 1 to the number of training examples, "
            f"{num_train}. Received: batch_size={batch_size}"
        )
    if num_shards < 1 or batch_size % num_shards:
        raise ValueError(
            "`num_shards` must be at least 1 and divide `batch_size`, "
            f"{batch_size}. Received: num_shards={num_shards}"
        )
    if not is_integer(shard_index) or not 0 <= shard_index < num_shards:
        raise ValueError(
            f"`shard_index` must be from 0 to {num_shards - 1}. "
            f"Received: shard_index={shard_index!r}"
        )


def check_train_examples(train_examples: int | None, num_train: int) -> None:
    """Raises ValueError if a set has fewer training images than asked for."""
    checked_count("train_examples", train_examples, optional=True)
    if train_examples is not None and not 1 <= train_examples <= num_train:
        raise ValueError(
            "`train_examples` must be from 1 to the number of training "
            f"examples, {num_train}. Received: train_examples={train_examples}"
        )


def normalize(
    images: tf.Tensor, mean: tuple[float, ...], stddev: tuple[float, ...]
) -> tf.Tensor:
    """Returns `(images - mean) / stddev` of each channel, float32.

    Args:
        images: Shape `(..., channels)`, any numeric type.
        mean: Mean of each channel, in the unit of `images`.
        stddev: Standard deviation of each channel, in the same unit, above 0.
    """
    scale = tf.constant([1 / value for value in stddev], tf.float32)
    return (tf.cast(images, tf.float32) - tf.constant(mean, tf.float32)) * scale
