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
from dsr_tf.data.labels import count_classes
from dsr_tf.data.labels import is_class
from dsr_tf.data.prepare import prepare
from dsr_tf.data.splits import first_of
from dsr_tf.data.splits import split_names
from dsr_tf.data.splits import train_and_test

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
    train_split: str | None = None,
    test_split: str | None = None,
) -> ImageSet:
    """Opens a TFDS set, and prepares it first if necessary.

    Args:
        name: Name in TFDS, such as `"mnist"` or `"imagenet2012"`.
        data_dir: Where TFDS keeps prepared sets; None for its default.
        image_size: As in `load_images`.
        train_examples: As in `load_images`.
        train_split: As in `load_images`.
        test_split: As in `load_images`.

    Returns:
        `Images` if they are of one size, else `ImageFiles`.

    Raises:
        ValueError: If TFDS has no such set, or it is not for image
            classification, or has another image size or fewer training images,
            or no such splits.
        DatasetUnavailableError: If the set is not prepared and cannot be
            downloaded.
    """
    builder = _builder(name, data_dir)
    _check_features(name, builder.info.features)
    prepare(builder, name)
    _check_format(builder, name)
    splits = builder.info.splits
    if test_split is None:
        test_split = _test_split(builder, name)
    parts = train_and_test(name, splits, train_split, test_split)
    names = split_names(splits, *parts)
    num_classes = count_classes(builder, name, names)
    if None in builder.info.features["image"].shape:
        return _image_files(
            builder, name, parts, num_classes, image_size, train_examples
        )
    images = _images(builder, name, parts, num_classes)
    return images.restricted(image_size, train_examples)


def _images(
    builder: Any, name: str, parts: tuple[str, str], num_classes: int
) -> Images:
    (train_images, train_labels), (test_images, test_labels) = (
        _examples(builder, part) for part in parts
    )
    mean, stddev = _MOMENTS.get(builder.name) or channel_moments(train_images)
    return Images(
        name=name,
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        mean=mean,
        stddev=stddev,
        num_classes=num_classes,
        augment=builder.name in _AUGMENTED,
    )


def _image_files(
    builder: Any,
    name: str,
    parts: tuple[str, str],
    num_classes: int,
    image_size: int | None,
    train_examples: int | None,
) -> ImageFiles:
    splits, (train, test) = builder.info.splits, parts
    if not _is_labeled(builder, test):
        raise ValueError(
            "`test_split` must have labels. "
            f"Received: test_split={test} for dataset={name}, without"
        )
    check_train_examples(train_examples, splits[train].num_examples)
    if train_examples is not None:
        train = first_of(splits, train, train_examples)
    return ImageFiles(
        name=name,
        features=builder.info.features,
        train_files=splits[train].file_instructions,
        test_files=splits[test].file_instructions,
        num_classes=num_classes,
        image_size=_IMAGE_SIZE if image_size is None else image_size,
    )


def _builder(name: str, data_dir: str | Path | None) -> Any:
    try:
        return tfds.builder(name, data_dir=data_dir, try_gcs=False)
    except (tfds.core.DatasetNotFoundError, ValueError) as error:
        own = f", a folder: write it as {name}/" if Path(name).is_dir() else ""
        raise ValueError(
            "`dataset` must be 'digits', the name of an image-classification "
            "set of TensorFlow Datasets, such as 'mnist' or 'cifar10', an .npz "
            f"file, or a folder of images, such as photos/. Received: "
            f"dataset={name}{own}"
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
    if not {"image", "label"} <= set(found):
        raise ValueError(
            "`dataset` must have an `image` and a class `label`. "
            f"Received: dataset={name} with features {sorted(found)}"
        )
    image, label = found["image"], found["label"]
    if not is_class(label):
        raise ValueError(
            "`dataset` must have one class for each image, as a `label` that "
            "is a ClassLabel, or an integer. "
            f"Received: dataset={name}, whose `label` is {_in_words(label)}"
        )
    if not _is_image(image):
        raise ValueError(
            "`dataset` must have an `image` of numbers, with height, width and "
            f"channels. Received: dataset={name}, whose `image` is "
            f"{_in_words(image)}"
        )
    if None in image.shape and not _is_encoded(image):
        raise ValueError(
            "`dataset` must have images of one size, or encoded ones of 8-bit "
            f"channels. Received: dataset={name}, whose `image` is "
            f"{_in_words(image)}"
        )


def _in_words(feature: Any) -> str:
    """Returns a feature as TFDS shows it, in one line."""
    return " ".join(repr(feature).split())


def _is_image(image: Any) -> bool:
    known = tfds.features.Image | tfds.features.Tensor
    if not isinstance(image, known) or len(image.shape) != 3:
        return False
    kinds = (np.integer, np.floating, np.bool_)
    return any(np.issubdtype(image.np_dtype, kind) for kind in kinds)


def _is_encoded(image: Any) -> bool:
    return isinstance(image, tfds.features.Image) and image.np_dtype == np.uint8


def _check_format(builder: Any, name: str) -> None:
    file_format = builder.info.file_format
    if file_format != tfds.core.FileFormat.TFRECORD:
        raise ValueError(
            "`dataset` must be stored as TFRecord files. "
            f"Received: dataset={name}, stored as {file_format.value}"
        )


def _test_split(builder: Any, name: str) -> str:
    splits = sorted(builder.info.splits)
    for split in ("test", "validation"):
        has_any = split in splits and builder.info.splits[split].num_examples
        if has_any and _is_labeled(builder, split):
            return split
    raise ValueError(
        "`test_split` must be given for a set without a split `test` or "
        "`validation` with labels: with --test_split=train[80%:], the last "
        "fifth of `train` is tested, and the others are trained. "
        f"Received: dataset={name} with {splits}, and no test_split"
    )


def _is_labeled(builder: Any, split: str) -> bool:
    # TFDS gives -1 where labels are kept secret: the first example tells.
    examples = builder.as_dataset(
        split=first_of(builder.info.splits, split, 1),
        decoders=tfds.decode.PartialDecoding({"label": True}),
    )
    return all(x["label"] >= 0 for x in tfds.as_numpy(examples))


def _examples(builder: Any, split: str) -> tuple[np.ndarray, np.ndarray]:
    # Nothing else, as what varies in length makes no batch.
    wanted = tfds.decode.PartialDecoding({"image": True, "label": True})
    batch = tfds.as_numpy(
        builder.as_dataset(
            split=split, batch_size=-1, shuffle_files=False, decoders=wanted
        )
    )
    return batch["image"], batch["label"].astype(np.int64)
