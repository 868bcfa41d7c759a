"""Crops of encoded images of any size, as usual for ImageNet.

JPEG is decoded accurately and images are resized with antialiasing, as in
Pillow. So networks that other frameworks trained get the same pixels.
"""

import tensorflow as tf

# The defaults of torchvision's `RandomResizedCrop`.
_AREA = (0.08, 1.0)
_ASPECT = (3 / 4, 4 / 3)

# The shorter side is resized to 256 pixels for crops of 224.
_MARGIN = 256 / 224


def random_resized_crop(
    encoded: tf.Tensor, size: int, seed: tf.Tensor
) -> tf.Tensor:
    """Crops a random part of an image, resizes it, and mirrors half of them.

    The part has 8 to 100 % of the area and an aspect ratio from 3/4 to 4/3.
    Within these bounds ratio and height are uniform, so that small parts are
    somewhat more likely than with a uniform area. Only this part of a JPEG file
    is decoded.

    Args:
        encoded: Scalar string: a JPEG, PNG, GIF or BMP file. A grey image gets
            three equal channels.
        size: Height and width of the result, in pixels.
        seed: Two integers. The result is a pure function of file and seed.

    Returns:
        Shape `(size, size, 3)`, float32, from 0 to 255.
    """
    crop_seed, flip_seed = tf.unstack(tf.random.split(seed))

    def crop_jpeg() -> tf.Tensor:
        shape = tf.io.extract_jpeg_shape(encoded)
        return tf.io.decode_and_crop_jpeg(
            encoded,
            tf.concat(_window(shape, crop_seed), axis=0),
            channels=3,
            dct_method="INTEGER_ACCURATE",
        )

    def crop_other() -> tf.Tensor:
        image = _decode_other(encoded)
        offset, extent = _window(tf.shape(image), crop_seed)
        return image[
            offset[0] : offset[0] + extent[0], offset[1] : offset[1] + extent[1]
        ]

    part = tf.cond(tf.io.is_jpeg(encoded), crop_jpeg, crop_other)
    image = _resize(part, (size, size))
    return tf.image.stateless_random_flip_left_right(image, flip_seed)


def central_crop(encoded: tf.Tensor, size: int) -> tf.Tensor:
    """Resizes an image and crops its centre.

    The shorter side becomes `round(size * 256 / 224)` pixels and the longer
    one keeps the proportion, rounded down. An odd margin is halved to the
    nearest even number of pixels.

    Args:
        encoded: As in `random_resized_crop`.
        size: Height and width of the result, in pixels.

    Returns:
        Shape `(size, size, 3)`, float32, from 0 to 255.
    """
    image = tf.cond(
        tf.io.is_jpeg(encoded),
        lambda: tf.io.decode_jpeg(
            encoded, channels=3, dct_method="INTEGER_ACCURATE"
        ),
        lambda: _decode_other(encoded),
    )
    shape = tf.shape(image)[:2]
    shorter = round(size * _MARGIN)
    # In integers: a float may fall short of a whole number.
    shape = shorter * shape // tf.reduce_min(shape)
    margin = tf.cast(shape - size, tf.float32)
    top, left = tf.unstack(tf.cast(tf.round(margin / 2), tf.int32))
    image = _resize(image, shape)[top : top + size, left : left + size]
    return tf.ensure_shape(image, (size, size, 3))


def _window(shape: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    offset, extent, _ = tf.image.stateless_sample_distorted_bounding_box(
        shape,
        tf.zeros([1, 0, 4]),
        seed,
        # No object must be in the crop, as none is known.
        min_object_covered=0.0,
        aspect_ratio_range=_ASPECT,
        area_range=_AREA,
        use_image_if_no_bounding_boxes=True,
    )
    return offset[:2], extent[:2]


def _decode_other(encoded: tf.Tensor) -> tf.Tensor:
    return tf.io.decode_image(encoded, channels=3, expand_animations=False)


def _resize(image: tf.Tensor, shape: tuple[int, int] | tf.Tensor) -> tf.Tensor:
    return tf.image.resize(image, shape, antialias=True)
