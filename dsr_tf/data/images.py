"""Classification data sets, held in memory: images, or vectors."""

import math
from dataclasses import dataclass
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np
import tensorflow as tf

from dsr_tf.checks import checked_count
from dsr_tf.checks import checked_kind
from dsr_tf.checks import checked_number
from dsr_tf.checks import checked_switch
from dsr_tf.data import batches
from dsr_tf.data.image_set import check_train_examples


@dataclass(frozen=True)
class Images:
    """A data set of images of one size: an `ImageSet`, in memory.

    Vectors of features may take the place of images. Where this file says
    channel, each feature is one.

    Args:
        name: Name of the data set.
        train_images: Shape `(n, height, width, channels)`, uint8; or vectors,
            `(n, features)`.
        train_labels: Shape `(n,)`, int64, in `[0, num_classes)`.
        test_images: Like `train_images`.
        test_labels: Like `train_labels`.
        mean: Mean of each channel, in units of a pixel's value; batches hold
            `(image - mean) / stddev`.
        stddev: Standard deviation of each channel, in the same unit, above 0.
        num_classes: Number of classes.
        augment: Whether training images are padded by 4 pixels, reflected at
            the border, cropped at random back to their size, and mirrored
            left to right with probability 1/2.

    Raises:
        ValueError: If an argument is of another kind, images and labels are
            not equally many, a label is no class, or the moments are not those
            of the channels.
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    mean: tuple[float, ...]
    stddev: tuple[float, ...]
    num_classes: int
    augment: bool = False

    def __post_init__(self) -> None:
        checked_kind("name", self.name, str, "a text")
        checked_count("num_classes", self.num_classes, minimum=1)
        for part in ("train", "test"):
            images, labels = f"{part}_images", f"{part}_labels"
            count = len(_checked_array(images, getattr(self, images), (4, 2)))
            found = len(_checked_array(labels, getattr(self, labels), (1,)))
            if found != count:
                raise ValueError(
                    f"`{labels}` must hold a label for each of {count} "
                    f"images. Received: {found} labels"
                )
            self._check_labels(labels)
        channels = self.image_shape[-1]
        _check_moments("mean", self.mean, channels)
        _check_moments("stddev", self.stddev, channels)
        for value in self.stddev:
            checked_number("stddev", value, positive=True)
        if checked_switch("augment", self.augment):
            self._check_images("augment", True)

    def _check_labels(self, name: str) -> None:
        labels = getattr(self, name)
        wrong = [labels.dtype]
        if np.issubdtype(labels.dtype, np.integer):
            wrong = labels[(labels < 0) | (labels >= self.num_classes)]
        if len(wrong):
            raise ValueError(
                f"`{name}` must be integers from 0 to {self.num_classes - 1}, "
                f"a class for each image. Received: {wrong[0]} in the data set "
                f"'{self.name}'"
            )

    def _check_images(self, name: str, value: Any) -> None:
        if len(self.image_shape) != 3:
            raise ValueError(
                f"`{name}` must be left out for '{self.name}', which holds "
                f"vectors of {self.image_shape[0]} features, and no images. "
                f"Received: {name}={value}"
            )

    @property
    def image_shape(self) -> tuple[int, ...]:
        return self.train_images.shape[1:]

    @property
    def num_train(self) -> int:
        return len(self.train_labels)

    def train_batches(
        self,
        batch_size: int,
        seed: int,
        first_epoch: int = 0,
        first_step: int = 0,
        num_shards: int = 1,
        shard_index: int = 0,
    ) -> tf.data.Dataset:
        """See `batches.train_batches`."""
        return batches.train_batches(
            self,
            batch_size,
            seed,
            first_epoch,
            first_step,
            num_shards,
            shard_index,
        )

    def eval_batches(self, batch_size: int = 1000) -> tf.data.Dataset:
        """See `batches.eval_batches`."""
        return batches.eval_batches(self, batch_size)

    def restricted(
        self, image_size: int | None, train_examples: int | None
    ) -> "Images":
        """Returns the set with only its first training images.

        Mean and standard deviation are still those of the whole set.

        Args:
            image_size: Height and width that the images must have; None for
                any.
            train_examples: How many, from 1 to `num_train`; None for all.

        Raises:
            ValueError: If the set has another image size or fewer training
                images.
        """
        if image_size is not None:
            self._check_images("image_size", image_size)
            self._check_size(image_size)
        check_train_examples(train_examples, self.num_train)
        return replace(
            self,
            train_images=self.train_images[:train_examples],
            train_labels=self.train_labels[:train_examples],
        )

    def _check_size(self, image_size: int) -> None:
        height, width = self.image_shape[:2]
        if not height == width == image_size:
            raise ValueError(
                f"`image_size` must be None for '{self.name}', whose images "
                f"are of {height}×{width} pixels. "
                f"Received: image_size={image_size}"
            )

    def prepared(self, augment: bool | None, standardize: bool) -> "Images":
        """Returns the set with another preparation of its batches.

        Args:
            augment: As in `Images`; None for the set's own.
            standardize: Whether batches are normalised; otherwise they hold the
                values of the images as they are.
        """
        changes: dict[str, Any] = {}
        if augment is not None:
            changes["augment"] = augment
        if not standardize:
            channels = self.image_shape[-1]
            changes |= {"mean": (0.0,) * channels, "stddev": (1.0,) * channels}
        return replace(self, **changes)


def _checked_array(name: str, value: Any, ranks: tuple[int, ...]) -> np.ndarray:
    if isinstance(value, np.ndarray) and value.ndim in ranks:
        return value
    raise ValueError(
        f"`{name}` must be an array with {' or '.join(map(str, ranks))} axes. "
        f"Received: {name}={getattr(value, 'shape', repr(value))}"
    )


def _check_moments(name: str, value: Any, channels: int) -> None:
    is_list = isinstance(value, list | tuple) and len(value) == channels
    if not is_list or not all(map(_is_number, value)):
        raise ValueError(
            f"`{name}` must be a number for each channel, {channels} in all. "
            f"Received: {name}={value!r}"
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and math.isfinite(value)


def channel_moments(
    images: np.ndarray,
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns mean and standard deviation of each channel, over all pixels.

    The standard deviation of a channel that is constant is 1, so that it can be
    divided by.
    """
    flat = images.reshape(-1, images.shape[-1])
    mean = flat.mean(axis=0, dtype=np.float64)
    stddev = flat.std(axis=0, dtype=np.float64)
    # A mean of equal values may be rounded to another one.
    constant = flat.min(axis=0) == flat.max(axis=0)
    mean = np.where(constant, flat[0], mean)
    stddev = np.where(constant, 1.0, stddev)
    return tuple(mean.tolist()), tuple(stddev.tolist())
