"""Loads a data set by its name."""

from pathlib import Path

from dsr_tf.checks import checked_count
from dsr_tf.checks import checked_kind
from dsr_tf.data.image_set import ImageSet


def load_images(
    name: str,
    data_dir: str | Path | None = None,
    image_size: int | None = None,
    train_examples: int | None = None,
    train_split: str | None = None,
    test_split: str | None = None,
) -> ImageSet:
    """Loads a data set by name.

    Images of one size are held in memory. Images of many sizes are read from
    disk, and cropped to one size.

    Args:
        name: `"digits"`, the 1,797 images of 8×8 pixels of scikit-learn, or any
            image-classification set of TFDS, such as `"mnist"`, `"cifar10"` or
            `"imagenet2012"`.
        data_dir: Folder of the prepared sets of TFDS; None for its default.
        image_size: Height and width of the images in a batch, in pixels, at
            least 1. None means the set's own size, or 224 for images of many
            sizes. If all images have one size, it must be that size.
        train_examples: How many training images to use, the first ones, at
            least 1; None for all.
        train_split: What to train on, a split of the set or a part of one, such
            as `"train[:80%]"`; None for the part of `train` that is not tested.
        test_split: What to test on, in the same form; None for `test`, or for
            `validation` if `test` is missing or has no labels.

    Raises:
        ValueError: If an argument is out of its range, or TFDS has no such set,
            or the set is not for image classification, or has another image
            size, fewer training images or no such splits, or an image would be
            trained and tested.
        DatasetUnavailableError: If the set is not prepared and cannot be
            downloaded.
    """
    checked_kind("name", name, str, "the name of a data set")
    if data_dir is not None:
        # May be a remote one: it is TFDS that reads it.
        checked_kind("data_dir", data_dir, str | Path, "a path")
    checked_count("image_size", image_size, optional=True)
    checked_count("train_examples", train_examples, optional=True)
    for argument, value in (
        ("train_split", train_split),
        ("test_split", test_split),
    ):
        checked_kind(argument, value, str, "a text", optional=True)
        if name == "digits" and value is not None:
            raise ValueError(
                f"`{argument}` must be left out for 'digits', whose split is "
                f"fixed. Received: {argument}={value!r}"
            )
    # Each source is slow to import, and only one is needed.
    if name == "digits":
        from dsr_tf.data.digits import load_digits

        return load_digits().restricted(image_size, train_examples)
    from dsr_tf.data.tfds_images import load_tfds

    return load_tfds(
        name, data_dir, image_size, train_examples, train_split, test_split
    )
