"""Writes a few photographs in the TFDS form of ImageNet."""

import io
from importlib import resources

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

NUM_TRAIN = 50
NUM_TEST = 12


def photographs():
    """Two photographs that scikit-learn brings, of 427×640 pixels, uint8."""
    folder = resources.files("sklearn.datasets.images")
    files = [folder / "china.jpg", folder / "flower.jpg"]
    return [tf.io.decode_jpeg(file.read_bytes()).numpy() for file in files]


def jpegs(count, seed):
    """Yields JPEG files of parts of the photographs; every fifth is grey.

    Sides are from 40 to 300 pixels, odd ones among them.
    """
    rng = np.random.default_rng(seed)
    images = photographs()
    for i in range(count):
        image = images[i % 2]
        height, width = rng.integers(40, 300, 2)
        top = rng.integers(0, image.shape[0] - height)
        left = rng.integers(0, image.shape[1] - width)
        part = image[top : top + height, left : left + width]
        if i % 5 == 4:
            part = part.mean(axis=2, keepdims=True).astype(np.uint8)
        yield tf.io.encode_jpeg(part, quality=95).numpy()


def write_imagenet(data_dir):
    """Writes 50 images to train in 4 files, 12 to validate, 5 unlabelled.

    Image `i` of a split has label `i`; the test split is unlabelled, as that
    of ImageNet is.
    """

    def examples(count, seed, labeled=True):
        for i, jpeg in enumerate(jpegs(count, seed)):
            yield (
                i,
                {
                    "image": io.BytesIO(jpeg),
                    "label": i if labeled else -1,
                    "file_name": f"{i}.JPEG",
                },
            )

    builder = tfds.builder("imagenet2012", data_dir=data_dir)
    builder._split_generators = lambda *_: {
        "train": examples(NUM_TRAIN, 0),
        "validation": examples(NUM_TEST, 1),
        "test": examples(5, 2, labeled=False),
    }
    config = tfds.download.DownloadConfig(num_shards=4)
    builder.download_and_prepare(download_config=config)
