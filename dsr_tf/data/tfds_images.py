"""Image-classification sets of TensorFlow Datasets."""

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from dsr_tf.checks import first_line
from dsr_tf.data.image_files import ImageFiles
from dsr_tf.data.image_set import ImageSet
from dsr_tf.data.image_set import check_train_examples
from dsr_tf.data.images import Images
from dsr_tf.data.images import channel_moments
from dsr_tf.data.prepare import prepare

# Mean and standard deviation that the paper's experiments use, in units of a
# pixel's value.
_MOMENTS = {
    "mnist": ((0.1307 * 255,), (0.3081 * 255,)),
    "cifar10": ((125.3, 123.0, 113.9), (63.0, 62.1, 66.7)),
}

# Sets whose training images are cropped and mirrored at random.
_AUGMENTED = ("cifar10", "cifar100")

# Height and width for images that are of many sizes.
_IMAGE_SIZE = 224


def load_tfds(
    name: str,
    data_dir: str | Path | None = None,
    image_size: int | None = None,
    train_examples: int | None = None,
) -> ImageSet:
    """Opens a TFDS set, and prepares it first if necessary.

    Args:
        name: Name in TFDS, such as `"mnist"` or `"imagenet2012"`.
        data_dir: Where TFDS keeps prepared sets; None for its default.
        image_size: As in `load_images`.
        train_examples: As in `load_images`.

    Returns:
        `Images` if they are of one size, else `ImageFiles`.

    Raises:
        ValueError: If TFDS has no such set, or it is not for image
            classification, or has another image size or fewer training images.
        DatasetUnavailableError: If the set is not prepared and cannot be
            downloaded.
    """
    builder = _builder(name, data_dir)
    _check_features(name, builder.info.features)
    prepare(builder, name)
    _check_format(builder, name)
    test_split = _test_split(builder)
    if None in builder.info.features["image"].shape:
        return _image_files(
            builder, name, test_split, image_size, train_examples
        )
    images = _images(builder, name, test_split)
    return images.restricted(image_size, train_examples)


def _images(builder: Any, name: str, test_split: str) -> Images:
    train_images, train_labels = _split(builder, "train")
    test_images, test_labels = _split(builder, test_split)
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
        augment=builder.name in _AUGMENTED,
    )


def _image_files(
    builder: Any,
    name: str,
    test_split: str,
    image_size: int | None,
    train_examples: int | None,
) -> ImageFiles:
    splits = builder.info.splits
    check_train_examples(train_examples, splits["train"].num_examples)
    train = splits[f"train[:{train_examples}]" if train_examples else "train"]
    return ImageFiles(
        name=name,
        features=builder.info.features,
        train_files=train.file_instructions,
        test_files=splits[test_split].file_instructions,
        image_size=_IMAGE_SIZE if image_size is None else image_size,
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
    # Broad, as the files of a prepared set may be damaged in any way.
    except Exception as error:
        raise ValueError(
            "`data_dir` must hold sets as TensorFlow Datasets has prepared "
            f"them. Received: data_dir={data_dir}, where '{name}' cannot be "
            f"opened ({first_line(error)})"
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
    if None in image.shape and not _is_encoded(image):
        raise ValueError(
            "`dataset` must have images of one size, or encoded ones of 8-bit "
            f"channels. Received: dataset={name} with {image}"
        )


def _is_encoded(image: Any) -> bool:
    return isinstance(image, tfds.features.Image) and image.np_dtype == np.uint8


def _check_format(builder: Any, name: str) -> None:
    file_format = builder.info.file_format
    if file_format != tfds.core.FileFormat.TFRECORD:
        raise ValueError(
            "`dataset` must be stored as TFRecord files. "
            f"Received: dataset={name}, stored as {file_format.value}"
        )


def _test_split(builder: Any) -> str:
    splits = sorted(builder.info.splits)
    for split in ("test", "validation"):
        if {"train", split} <= set(splits) and _is_labeled(builder, split):
            return split
    raise ValueError(
        "`dataset` must have a split `train`, and a split `test` or "
        "`validation` with labels. "
        f"Received: dataset={builder.name} with {splits}"
    )


def _is_labeled(builder: Any, split: str) -> bool:
    # TFDS gives -1 where labels are kept secret: the first example tells.
    examples = tfds.as_numpy(builder.as_dataset(split=f"{split}[:1]"))
    return all(example["label"] >= 0 for example in examples)


def _split(builder: Any, split: str) -> tuple[np.ndarray, np.ndarray]:
    batch = tfds.as_numpy(
        builder.as_dataset(split=split, batch_size=-1, shuffle_files=False)
    )
    return batch["image"], batch["label"].astype(np.int64)
