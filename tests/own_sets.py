"""Writes small data sets of one's own in the form of TFDS."""

import numpy as np
import tensorflow_datasets as tfds

IMAGE = tfds.features.Image(shape=(4, 4, 3))
CLASS = tfds.features.ClassLabel(num_classes=3)


def image_of(feature, number):
    """Returns an image that tells which it is: all its values are a number."""
    shape = [n or 5 + number % 4 for n in feature.shape]
    return np.full(shape, number, feature.np_dtype)


def write_set(
    folder,
    labels,
    name="own_set",
    image=IMAGE,
    label=CLASS,
    images=image_of,
    num_shards=1,
    **more,
):
    """Writes a set with an image for each label.

    Args:
        folder: The `data_dir` to write to.
        labels: Labels of the examples of each split, by its name.
        name: Name of the set.
        image: The feature of the images.
        label: The feature of the labels.
        images: Makes an image of its feature and its number in the split.
        num_shards: Number of files of a split.
        **more: Other features, and the value of each.
    """
    features = {"image": image, "label": label}
    features |= {key: feature for key, (feature, _) in more.items()}
    values = {key: value for key, (_, value) in more.items()}
    tfds.dataset_builders.store_as_tfds_dataset(
        name=name,
        version="1.0.0",
        features=tfds.features.FeaturesDict(features),
        split_datasets={
            split: [
                (i, {"image": images(image, i), "label": each, **values})
                for i, each in enumerate(own)
            ]
            for split, own in labels.items()
        },
        data_dir=folder,
        download_config=tfds.download.DownloadConfig(num_shards=num_shards),
        disable_shuffling=True,
    )
    return folder
