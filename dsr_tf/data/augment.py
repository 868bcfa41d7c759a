"""Random crops and flips of a batch of images of one size.

The random numbers of a whole epoch are drawn at once, apart from the images. So
an image gets the same numbers in every process.
"""

import tensorflow as tf

PADDING = 4

# Keeps these numbers apart from others that are drawn from the same seed.
_SALT = 1


def draw_crops(num_images: int, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws the crop of each image, and whether it is mirrored.

    Args:
        num_images: Number of images, at least 1.
        seed: Two integers. The result is a pure function of them.

    Returns:
        Shifts down and to the right, int32 of shape `(num_images, 2)`, from
        `-PADDING` to `PADDING`; and flips, bool of shape `(num_images,)`.
        All values are equally likely.
    """
    seed = tf.random.experimental.stateless_fold_in(seed, _SALT)
    draws = tf.random.stateless_uniform(
        (num_images, 2), seed, -PADDING, PADDING + 1, tf.int32
    )
    seed = tf.random.experimental.stateless_fold_in(seed, _SALT)
    flips = tf.random.stateless_uniform((num_images,), seed, 0, 2, tf.int32)
    return draws, flips == 1


def crop_and_flip(
    images: tf.Tensor, shifts: tf.Tensor, flips: tf.Tensor
) -> tf.Tensor:
    """Pads images by reflection, crops them back to their size, mirrors them.

    The padding is never built: a crop is two gathers whose indices are
    reflected at the border. A row `0 1 2 3`, reflected, is
    `.. 2 1 0 1 2 3 2 1 ..`; shifted by 1 it becomes `1 2 3 2`, and shifted by
    -1 it becomes `1 0 1 2`.

    Args:
        images: Shape `(n, height, width, channels)`, height and width static
            and above `PADDING`.
        shifts: Shape `(n, 2)`: rows down and columns to the right by which
            the crop lies off the image's centre, negative for up and left.
        flips: Shape `(n,)`, bool: which crops to mirror left to right.

    Returns:
        Shape and type of `images`.

    Raises:
        ValueError: If the images are too small to be reflected.
    """
    height, width = images.shape[1:3]
    if min(height, width) <= PADDING:
        raise ValueError(
            f"`images` must have more than {PADDING} rows and columns. "
            f"Received: images of shape {tuple(images.shape)}"
        )
    rows = _reflected(height, shifts[:, :1])
    columns = _reflected(width, shifts[:, 1:])
    columns = tf.where(flips[:, None], columns[:, ::-1], columns)
    images = tf.gather(images, rows, axis=1, batch_dims=1)
    return tf.gather(images, columns, axis=2, batch_dims=1)


def _reflected(size: int, shift: tf.Tensor) -> tf.Tensor:
    index = tf.abs(tf.range(size) + shift)
    return size - 1 - tf.abs(size - 1 - index)
