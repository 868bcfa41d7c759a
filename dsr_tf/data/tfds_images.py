"""Image-classification sets of TensorFlow Datasets."""

import contextlib
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from dsr_tf.data.images import DatasetUnavailableError
from dsr_tf.data.images import Images
from dsr_tf.data.images import channel_moments

# Mean and standard deviation that the paper's experiments use, in units of a
# pixel's value.
_MOMENTS = {"mnist": ((0.1307 * 255,), (0.3081 * 255,))}


def load_tfds(name: str, data_dir: str | Path | None = None) -> Images:
    """Loads a TFDS set into memory, and prepares it first where need be.

    Args:
        name: Name in TFDS, such as `"mnist"` or `"cifar10"`.
        data_dir: Where TFDS keeps prepared sets; None for its default.

    Raises:
        ValueError: If TFDS has no such set, or it is not image classification
            with images of one size.
        DatasetUnavailableError: If the set is not prepared and cannot be
            downloaded.
    """
    builder = _builder(name, data_dir)
    _check_features(name, builder.info.features)
    _prepare(builder, name)
    train_images, train_labels = _split(builder, "train")
    test_images, test_labels = _split(builder, _test_split(builder))
    mean, stddev = _MOMENTS.get(builder.name) or channel_moments(train_images)
    return Images(
        name=name,
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        mean=mean,
        stddev=stddev,
        num_classes=builder.info.features["label"].num_classes,
    )


def _builder(name: str, data_dir: str | Path | None) -> Any:
    try:
        return tfds.builder(name, data_dir=data_dir, try_gcs=False)
    except (tfds.core.DatasetNotFoundError, ValueError) as error:
        raise ValueError(
            "`dataset` must be 'digits' or the name of an image-classification "
            "set of TensorFlow Datasets, such as 'mnist' or 'cifar10'. "
            f"Received: dataset={name}"
        ) from error


def _check_features(name: str, features: Any) -> None:
    # Most sets have named features; a few are one feature.
    named = isinstance(features, tfds.features.FeaturesDict)
    found = dict(features) if named else {}
    image = found.get("image")
    if image is None or not hasattr(found.get("label"), "num_classes"):
        raise ValueError(
            "`dataset` must have an `image` and a class `label`. "
            f"Received: dataset={name} with features {sorted(found)}"
        )
    if None in image.shape:
        raise ValueError(
            "`dataset` must have images of one size. "
            f"Received: dataset={name} with images of shape {image.shape}"
        )


def _prepare(builder: Any, name: str) -> None:
    if builder.is_prepared():
        return
    try:
        _check_network(builder)
        builder.download_and_prepare()
    # Broad, as TFDS passes on whatever its downloaders raise.
    except Exception as error:
        raise DatasetUnavailableError(
            f"Data set '{name}' is not at {builder.data_path} and could not "
            f"be prepared ({_first_line(error)}). Run `tfds build {name}` on a "
            "machine with a network and copy the folder, or name the folder "
            "that holds it by --data_dir."
        ) from error


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"


def _check_network(builder: Any) -> None:
    """Raises OSError if the host of the download does not answer.

    TFDS itself tries again and again, for minutes.
    """
    for url in list(builder.url_infos)[:1]:
        request = urllib.request.Request(url, method="HEAD")
        # Any answer will do, an error of the server's own included.
        with contextlib.suppress(urllib.error.HTTPError):
            urllib.request.urlopen(request, timeout=10).close()


def _test_split(builder: Any) -> str:
    for split in ("test", "validation"):
        if split in builder.info.splits:
            return split
    raise ValueError(
        "`dataset` must have a split `test` or `validation`. "
        f"Received: dataset={builder.name} with {sorted(builder.info.splits)}"
    )


def _split(builder: Any, split: str) -> tuple[np.ndarray, np.ndarray]:
    batch = tfds.as_numpy(
        builder.as_dataset(split=split, batch_size=-1, shuffle_files=False)
    )
    return batch["image"], batch["label"].astype(np.int64)
