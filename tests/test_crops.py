import numpy as np
import pytest
import tensorflow as tf

from dsr_tf.data.crops import central_crop
from dsr_tf.data.crops import random_resized_crop

HEIGHT, WIDTH = 180, 240


@pytest.fixture(scope="module")
def positions():
    """A PNG file that holds each pixel's row in red and column in green."""
    rows, columns = np.indices((HEIGHT, WIDTH), dtype=np.uint8)
    return tf.io.encode_png(np.stack([rows, columns, columns], axis=-1))


def noise(height, width, channels=3):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (height, width, channels), dtype=np.uint8)


def random_crops(encoded, count, size=100):
    seeds = tf.data.Dataset.range(count).map(lambda i: tf.stack([7, i]))
    crops = seeds.map(lambda seed: random_resized_crop(encoded, size, seed))
    return list(crops.as_numpy_iterator())


def test_random_crops_keep_to_their_bounds(positions):
    areas, ratios, flips, tops = [], [], [], []
    for image in random_crops(positions, 1000):
        assert image.shape == (100, 100, 3) and image.dtype == np.float32
        rows, columns = image[..., 0], image[..., 1]
        flips.append(columns[0, 0] > columns[0, -1])
        # From centre to centre of the outer pixels is one pixel less.
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        areas.append(height * width / (HEIGHT * WIDTH))
        ratios.append(width / height)
        tops.append(rows.min())
    assert 0.075 < min(areas) < 0.1 and 0.9 < max(areas) <= 1
    assert 0.73 < min(ratios) < 0.78 and 1.28 < max(ratios) < 1.37
    assert 450 < sum(flips) < 550
    assert min(tops) == 0 and max(tops) > 90


def test_random_crop_is_a_function_of_the_seed(positions):
    first, other = random_crops(positions, 2)
    assert (first == random_crops(positions, 1)[0]).all()
    assert (first != other).any()


def test_crops_of_jpeg_and_of_other_files_are_the_same(positions):
    pixels = tf.io.decode_png(positions)
    jpeg = tf.io.encode_jpeg(pixels, quality=100, chroma_downsampling=False)
    bmp = tf.constant(as_bmp(pixels.numpy()))
    for png_crop, jpeg_crop, bmp_crop in zip(
        random_crops(positions, 20),
        random_crops(jpeg, 20),
        random_crops(bmp, 20),
        strict=True,
    ):
        assert np.abs(png_crop - jpeg_crop).max() < 4
        assert (png_crop == bmp_crop).all()
    whole = central_crop(positions, 100) - central_crop(jpeg, 100)
    assert np.abs(whole).max() < 4


def as_bmp(pixels):
    """A BMP file: rows from the bottom up, blue first."""
    height, width, _ = pixels.shape
    head = np.array([40, width, height, 1 + (24 << 16)] + [0] * 6, "<u4")
    body = pixels[::-1, :, ::-1].tobytes()
    file_head = np.array([54 + len(body), 0, 54], "<u4")
    return b"BM" + file_head.tobytes() + head.tobytes() + body


def test_central_crop_worked_by_hand():
    # 64 = 56 · 256 / 224: the shorter side stays as it is.
    image = noise(64, 101)
    crop = central_crop(tf.io.encode_png(image), 56)
    # Margins of 8 and 45 pixels: 4 above, and 22.5 to the left, made 22.
    assert (crop.numpy() == image[4:60, 22:78]).all()


@pytest.mark.parametrize(
    ("shape", "resized", "offset"),
    [
        ((500, 375), (341, 256), (58, 16)),  # Margins 117 and 32.
        ((128, 300), (256, 600), (16, 188)),  # Enlarged.
        ((256, 256), (256, 256), (16, 16)),
    ],
)
def test_central_crop_resizes_the_shorter_side(shape, resized, offset):
    encoded = tf.io.encode_jpeg(noise(*shape))
    decoded = tf.io.decode_jpeg(encoded, dct_method="INTEGER_ACCURATE")
    top, left = offset
    expected = tf.image.resize(decoded, resized, antialias=True)
    expected = expected[top : top + 224, left : left + 224]
    assert (central_crop(encoded, 224) == expected).numpy().all()


def test_resizing_does_not_alias():
    # Rows in turn black and white, at a third of their number: grey.
    image = np.zeros((192, 192, 3), np.uint8)
    image[::2] = 255
    crop = central_crop(tf.io.encode_png(image), 56)
    assert np.abs(crop - 127.5).max() < 15


@pytest.mark.parametrize("crop", [central_crop, random_resized_crop])
@pytest.mark.parametrize("encode", [tf.io.encode_jpeg, tf.io.encode_png])
def test_grey_images_get_three_channels(crop, encode):
    more = {"seed": [0, 0]} if crop is random_resized_crop else {}
    grey = crop(encode(noise(50, 60, channels=1)), 32, **more).numpy()
    assert grey.shape == (32, 32, 3)
    assert (grey == grey[..., :1]).all() and np.ptp(grey) > 0
