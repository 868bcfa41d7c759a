"""Reads image files of any size into one array."""

from collections.abc import Iterator
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

# The size that images are resized to where they have none in common.
_USUAL = 224
# Larger ones are photographs, and are resized too.
_MOST = 256
# Bytes that the images of a set may take in memory.
_MOST_BYTES = 8 * 2**30


def usual_size(name: str, root: Path, files: Sequence[Path]) -> int | None:
    """Returns the size to resize images to; None if they have a usual one.

    Args:
        name: Name of the data set, for messages.
        root: Folder of the data set.
        files: Its image files.

    Raises:
        ValueError: If a file that is looked at cannot be read.
    """
    first = None
    for image in _read(name, root, files, tf.shape):
        shape = tuple(image.tolist())
        first = first or shape
        if shape != first or max(shape) > _MOST:
            return _USUAL
    return None


def decode_images(
    name: str, root: Path, files: Sequence[Path], size: int | None
) -> np.ndarray:
    """Reads image files into one array.

    Args:
        name: Name of the data set, for messages.
        root: Folder of the data set.
        files: Its image files, at least one.
        size: Height and width to crop and resize to; None where all images
            have the same.

    Returns:
        Shape `(n, height, width, 3)`, uint8, in the order of `files`.

    Raises:
        ValueError: If a file cannot be read, or all of them take too much
            memory.
    """
    if size is not None:
        _check_memory(name, len(files), size)
    pixels = _read(name, root, files, lambda x: _fitted(x, size))
    first = next(pixels)
    found = np.empty((len(files), *first.shape), np.uint8)
    found[0] = first
    for i, image in enumerate(pixels, start=1):
        found[i] = image
    return found


def _check_memory(name: str, count: int, size: int) -> None:
    needed = count * size * size * 3
    if needed > _MOST_BYTES:
        raise ValueError(
            "`image_size` must be so small that all images fit into "
            f"{_MOST_BYTES // 2**30} GiB of memory. Received: "
            f"image_size={size} for dataset={name} with {count:,} images, "
            f"which take {needed / 2**30:.1f} GiB"
        )


def _read(
    name: str, root: Path, files: Sequence[Path], function: Any
) -> Iterator[np.ndarray]:
    """Yields a function of each image, in order."""
    paths = tf.data.Dataset.from_tensor_slices([str(x) for x in files])
    values = paths.map(
        lambda path: function(_decoded(path)),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    count = 0
    try:
        for value in values.prefetch(tf.data.AUTOTUNE).as_numpy_iterator():
            yield value
            count += 1
    except tf.errors.OpError as error:
        raise ValueError(
            "`dataset` must hold image files that can be read, JPEG, PNG, GIF "
            f"or BMP. Received: dataset={name}, where "
            f"{files[count].relative_to(root)} cannot be decoded"
        ) from error


def _decoded(path: tf.Tensor) -> tf.Tensor:
    # Of an animation the first picture.
    return tf.io.decode_image(
        tf.io.read_file(path), channels=3, expand_animations=False
    )


def _fitted(image: tf.Tensor, size: int | None) -> tf.Tensor:
    """Crops the square in the middle, and resizes it."""
    if size is None:
        return image
    height, width = tf.unstack(tf.shape(image)[:2])
    side = tf.minimum(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top : top + side, left : left + side]
    resized = tf.image.resize(square, (size, size), antialias=True)
    return tf.cast(tf.round(resized), tf.uint8)
