"""Loads a data set by its name."""

from pathlib import Path

from dsr_tf.checks import checked_count
from dsr_tf.checks import checked_kind
from dsr_tf.checks import checked_switch
from dsr_tf.data.image_set import ImageSet
from dsr_tf.data.images import Images


def load_images(
    name: str,
    data_dir: str | Path | None = None,
    image_size: int | None = None,
    train_examples: int | None = None,
    train_split: str | None = None,
    test_split: str | None = None,
    augment: bool | None = None,
    standardize: bool = True,
) -> ImageSet:
    """Loads a data set by name.

    Images of one size are held in memory. Images of many sizes are read from
    disk, and cropped to one size.

    Args:
        name: `"digits"`, the 1,797 images of 8×8 pixels of scikit-learn; any
            image-classification set of TFDS, such as `"mnist"`, `"cifar10"` or
            `"imagenet2012"`; the path of an `.npz` file, as `load_arrays`
            takes it; or the path of a folder of images, with a `/`, as
            `load_folder` takes it.
        data_dir: Folder of the prepared sets of TFDS; None for its default.
        image_size: Height and width of the images in a batch, in pixels, at
            least 1. None means the set's own size, or 224 for images of many
            sizes. If all images of a TFDS set have one size, it must be that
            size. In `load_folder` it has a default of its own.
        train_examples: How many training images to use, the first ones, at
            least 1; None for all.
        train_split: What to train on, a split of the set or a part of one, such
            as `"train[:80%]"`; None for the part of `train` that is not tested.
        test_split: What to test on, in the same form; None for `test`, or for
            `validation` if `test` is missing or has no labels. Of one's own
            data without a test part, the share to test, such as `"0.2"`.
        augment: Whether training images are cropped and mirrored at random,
            as in `Images`; None for the set's own: TFDS' CIFAR sets are, and
            images of many sizes always.
        standardize: Whether mean and standard deviation of the channels are
            taken out of the images. It must be True for images of many sizes.

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
    if augment is not None:
        checked_switch("augment", augment)
    checked_switch("standardize", standardize)
    if is_own(name):
        found: ImageSet = _own(name, image_size, train_split, test_split)
        image_size = None
    elif name == "digits":
        from dsr_tf.data.digits import load_digits

        found = load_digits()
    else:
        # Each source is slow to import, and only one is needed.
        from dsr_tf.data.tfds_images import load_tfds

        found = load_tfds(
            name, data_dir, image_size, train_examples, train_split, test_split
        )
        train_examples = None
    if isinstance(found, Images):
        found = found.restricted(image_size, train_examples)
        return found.prepared(augment, standardize)
    return _as_they_are(found, augment, standardize)


def is_own(name: str) -> bool:
    """Tells whether a name is that of a file or folder of one's own."""
    return name.endswith(".npz") or _is_folder(name)


def _is_folder(name: str) -> bool:
    # A TFDS set with a config has a `/`, too.
    if name.endswith("/") or name.startswith(("/", "./", "../", "~")):
        return True
    return "/" in name and Path(name).is_dir()


def _own(
    name: str,
    image_size: int | None,
    train_split: str | None,
    test_split: str | None,
) -> Images:
    if not name.endswith(".npz"):
        from dsr_tf.data.folders import load_folder

        return load_folder(name, image_size, train_split, test_split)
    from dsr_tf.data.array_files import load_arrays

    found = load_arrays(name, train_split, test_split)
    return found.restricted(image_size, None)


def _as_they_are(
    images: ImageSet, augment: bool | None, standardize: bool
) -> ImageSet:
    """Refuses other preparations of images that are read from TFDS' files."""
    wrong = {"augment": augment is False, "standardize": not standardize}
    for argument, is_wrong in wrong.items():
        if is_wrong:
            raise ValueError(
                f"`{argument}` must not be turned off for images of many "
                "sizes, which are cropped at random and normalised. "
                f"Received: {argument}=False for dataset={images.name}"
            )
    return images
