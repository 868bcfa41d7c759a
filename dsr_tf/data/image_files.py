"""Data sets of images of many sizes, read from their files as they are used."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
import tensorflow_datasets as tfds

from dsr_tf.checks import checked_count
from dsr_tf.data.crops import central_crop
from dsr_tf.data.crops import random_resized_crop
from dsr_tf.data.image_set import check_batches
from dsr_tf.data.image_set import normalize

# Those of ImageNet's training images, in units of a pixel's value.
MEAN = (123.675, 116.28, 103.53)
STDDEV = (58.395, 57.12, 57.375)

# How many files are read at a time, and of how many images, still encoded, the
# next is drawn: 4,096 images of ImageNet take some 450 MB.
_CYCLE_LENGTH = 16
_SHUFFLE_BUFFER = 4096

# Keeps the numbers of a crop apart from those of the order.
_SALT = 1
_MAX_SEED = 2**31 - 1

_PARALLEL = {"num_parallel_calls": tf.data.AUTOTUNE, "deterministic": True}


@dataclass(frozen=True)
class ImageFiles:
    """A data set of images of many sizes: an `ImageSet`, on disk.

    Training images are cropped at random (`random_resized_crop`), and test
    images at the centre (`central_crop`). Both are normalised by ImageNet's
    mean and standard deviation. Files are read in a random order for each
    epoch, 16 at a time, and each image is drawn from the next 4,096.

    Args:
        name: Name of the data set.
        features: The set's features in TFDS, including `image` and `label`.
        train_files: Files to read, in the form of the `file_instructions` of a
            TFDS split: `filename` of a TFRecord file, `skip` and `take`.
        test_files: Like `train_files`.
        num_classes: Number of classes.
        image_size: Height and width of the images in a batch, in pixels.

    Raises:
        ValueError: If `image_size` is below 1.
    """

    name: str
    features: Any
    train_files: Sequence[Any]
    test_files: Sequence[Any]
    num_classes: int
    image_size: int = 224

    def __post_init__(self) -> None:
        if self.image_size < 1:
            raise ValueError(
                "`image_size` must be at least 1. "
                f"Received: image_size={self.image_size}"
            )

    @property
    def image_shape(self) -> tuple[int, ...]:
        return (self.image_size, self.image_size, 3)

    @property
    def num_train(self) -> int:
        return sum(file.take for file in self.train_files)

    def train_batches(
        self,
        batch_size: int,
        seed: int,
        first_epoch: int = 0,
        first_step: int = 0,
        num_shards: int = 1,
        shard_index: int = 0,
    ) -> tf.data.Dataset:
        """See `ImageSet`. A shard reads all files, and decodes its images."""
        check_batches(
            self.num_train,
            batch_size,
            seed,
            first_epoch,
            first_step,
            num_shards,
            shard_index,
        )
        epoch_size = self.num_train // batch_size * batch_size

        def records(epoch: tf.Tensor) -> tf.data.Dataset:
            return _shuffled(self.train_files, seed, epoch).take(epoch_size)

        def example(index: tf.Tensor, record: tf.Tensor) -> tuple[Any, Any]:
            key = tf.random.fold_in(tf.stack([seed, index]), _SALT)
            encoded, label = self._parse(record)
            image = random_resized_crop(encoded, self.image_size, key)
            return normalize(image, MEAN, STDDEV), label

        # Counted over all epochs, so that no two crops share a seed.
        examples = (
            tf.data.Dataset.counter(first_epoch)
            .flat_map(records)
            .enumerate(first_epoch * epoch_size)
            .skip(first_step * batch_size)
            .shard(num_shards, shard_index)
        )
        examples = examples.map(example, **_PARALLEL)
        batches = examples.batch(batch_size // num_shards, drop_remainder=True)
        return batches.prefetch(tf.data.AUTOTUNE)

    def eval_batches(self, batch_size: int = 250) -> tf.data.Dataset:
        """See `ImageSet`. A batch of 250 images of 224×224 takes 151 MB."""
        checked_count("batch_size", batch_size, minimum=1)

        def example(record: tf.Tensor) -> tuple[Any, Any]:
            encoded, label = self._parse(record)
            image = central_crop(encoded, self.image_size)
            return normalize(image, MEAN, STDDEV), label

        records = _files(_columns(self.test_files)).flat_map(_records)
        batches = records.map(example, **_PARALLEL).batch(batch_size)
        # Unknown after `flat_map`; Keras would warn that data ran out.
        num_test = sum(file.take for file in self.test_files)
        count = tf.data.experimental.assert_cardinality(
            -(-num_test // batch_size)
        )
        return batches.apply(count).prefetch(tf.data.AUTOTUNE)

    def _parse(self, record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        example = self.features.deserialize_example(
            record, decoders={"image": tfds.decode.SkipDecoding()}
        )
        return example["image"], tf.cast(example["label"], tf.int64)


def _shuffled(
    files: Sequence[Any], seed: int, epoch: tf.Tensor
) -> tf.data.Dataset:
    key = tf.stack([seed, epoch])
    order = tf.random.experimental.stateless_shuffle(
        tf.range(len(files)), seed=key
    )
    draw = tf.random.stateless_uniform([], key, 0, _MAX_SEED, tf.int64)
    # `shuffle` mixes its seed with that of the graph, here of this function
    # alone. Unset, it would be the global one, on which nothing must depend.
    tf.random.set_seed(_SALT)
    columns = [tf.gather(column, order) for column in _columns(files)]
    records = _files(columns).interleave(
        _records, cycle_length=_CYCLE_LENGTH, **_PARALLEL
    )
    return records.shuffle(
        _SHUFFLE_BUFFER, seed=draw, reshuffle_each_iteration=False
    )


def _columns(files: Sequence[Any]) -> list[tf.Tensor]:
    return [
        tf.constant([file.filename for file in files]),
        tf.constant([file.skip for file in files], tf.int64),
        tf.constant([file.take for file in files], tf.int64),
    ]


def _files(columns: list[tf.Tensor]) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(tuple(columns))


def _records(
    filename: tf.Tensor, skip: tf.Tensor, take: tf.Tensor
) -> tf.data.Dataset:
    return tf.data.TFRecordDataset(filename).skip(skip).take(take)
