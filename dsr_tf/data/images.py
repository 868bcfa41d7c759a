"""Image-classification data sets, held in memory."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np


class DatasetUnavailableError(RuntimeError):
    """A data set is not on this machine and could not be fetched."""


@dataclass(frozen=True)
class Images:
    """A data set of images of one size.

    Args:
        name: Name of the data set.
        train_images: Shape `(n, height, width, channels)`, uint8.
        train_labels: Shape `(n,)`, int64, in `[0, num_classes)`.
        test_images: Like `train_images`.
        test_labels: Like `train_labels`.
        mean: Mean of each channel, in units of a pixel's value; the pipeline
            gives `(image - mean) / stddev`.
        stddev: Standard deviation of each channel, in the same unit.
        num_classes: Number of classes.
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    mean: tuple[float, ...]
    stddev: tuple[float, ...]
    num_classes: int

    @property
    def image_shape(self) -> tuple[int, ...]:
        return self.train_images.shape[1:]


def load_images(name: str, data_dir: str | Path | None = None) -> Images:
    """Loads a data set by name.

    Args:
        name: `"digits"`, the 1,797 images of 8×8 that scikit-learn brings, or
            any image-classification set of TFDS, such as `"mnist"`.
        data_dir: Where TFDS keeps prepared sets; None for its default.

    Raises:
        ValueError: If TFDS has no such set, or it is not image classification
            with images of one size.
        DatasetUnavailableError: If the set is not prepared and cannot be
            downloaded.
    """
    # Each source is slow to import, and only one is needed.
    if name == "digits":
        from dsr_tf.data.digits import load_digits

        return load_digits()
    from dsr_tf.data.tfds_images import load_tfds

    return load_tfds(name, data_dir)


def channel_moments(
    images: np.ndarray,
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns mean and standard deviation of each channel, over all pixels."""
    flat = images.reshape(-1, images.shape[-1])
    mean = flat.mean(axis=0, dtype=np.float64)
    stddev = flat.std(axis=0, dtype=np.float64)
    return tuple(mean.tolist()), tuple(stddev.tolist())
