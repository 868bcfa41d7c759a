"""Writes data of one's own: folders of images, and files of arrays."""

import numpy as np
import tensorflow as tf
from sklearn import datasets


def digits(count=None):
    """Returns the digits of scikit-learn, as bytes, and their classes."""
    found = datasets.load_digits()
    images = np.round(found.images * 255 / 16).astype(np.uint8)
    return images[:count], found.target[:count].astype(np.int64)


def write_image(path, image):
    """Writes a PNG file, and the folders that it is in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = image[..., None] if image.ndim == 2 else image
    path.write_bytes(tf.io.encode_png(pixels).numpy())


def write_folder(folder, count, num_classes=10):
    """Writes the first digits of some classes, a subfolder for each class."""
    images, labels = digits(count)
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        if label < num_classes:
            write_image(folder / f"digit_{label}" / f"{i:04}.png", image)
    return folder


def write_vectors(path, count=600):
    """Writes vectors of 20 features, of 3 classes, that are easy to tell."""
    rng = np.random.default_rng(0)
    y = np.arange(count) % 3
    x = rng.normal(size=(count, 20)) + 2 * np.eye(3, 20)[y]
    np.savez(path, x=x, y=y)
    return path
