"""Data sets of one's own: folders of images, one subfolder for each class.

They have the form that `keras.utils.image_dataset_from_directory` takes.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dsr_tf.data.decode import decode_images
from dsr_tf.data.decode import usual_size
from dsr_tf.data.held_out import check_no_split
from dsr_tf.data.held_out import checked_share
from dsr_tf.data.held_out import held_out
from dsr_tf.data.images import Images
from dsr_tf.data.images import channel_moments

_ENDINGS = (".jpg", ".jpeg", ".png", ".gif", ".bmp")
_TEST = ("test", "validation", "valid", "val")

Listed = tuple[list[Path], np.ndarray]


def load_folder(
    name: str,
    image_size: int | None = None,
    train_split: str | None = None,
    test_split: str | None = None,
) -> Images:
    """Loads a folder of images, with a subfolder for each class.

    Its subfolders are the classes, in alphabetic order. Or it has two
    subfolders, `train` and `test`, with the classes in each; `validation`,
    `valid` or `val` may stand for `test`. Files are JPEG, PNG, GIF or BMP;
    others, and hidden ones, are left out.

    Images get three channels. They are cropped to the square in their middle
    and resized, unless they all have the size that is wanted.

    Args:
        name: Path of the folder.
        image_size: Height and width of the images, in pixels; None for their
            own size, if all have one of at most 256 pixels, else 224.
        train_split: Must be None: all that is not tested is trained.
        test_split: Share of each class to test, as text, in a folder without
            a test part; None for a fifth. Must be None for others.

    Raises:
        ValueError: If the folder has another form, or an image that cannot be
            read.
    """
    check_no_split(name, "trains all it does not test", train_split=train_split)
    root = Path(name).expanduser()
    if not root.is_dir():
        raise ValueError(
            "`dataset` must be a folder that exists, if its name is a path. "
            f"Received: dataset={name}"
        )
    train, test, num_classes = _parts(name, root, test_split)
    files = [*train[0], *test[0]]
    size = usual_size(name, root, files) if image_size is None else image_size
    images = decode_images(name, root, files, size)
    count = len(train[0])
    mean, stddev = channel_moments(images[:count])
    return Images(
        name=name,
        train_images=images[:count],
        train_labels=train[1],
        test_images=images[count:],
        test_labels=test[1],
        mean=mean,
        stddev=stddev,
        num_classes=num_classes,
    )


def _parts(
    name: str, root: Path, test_split: str | None
) -> tuple[Listed, Listed, int]:
    """Returns files and labels to train and to test, and counts classes."""
    found = _subfolders(root)
    tests = [root / part for part in _TEST if root / part in found]
    if root / "train" not in found or not tests:
        classes = _classes(name, root)
        files, labels = _listed(name, root, classes)
        share = checked_share(name, test_split)
        split = held_out(name, labels, share)
        train, test = (([files[i] for i in x], labels[x]) for x in split)
        return train, test, len(classes)
    check_no_split(name, f"has {tests[0].name}/", test_split=test_split)
    classes = _classes(name, root / "train")
    _check_classes(name, classes, tests[0])
    files, labels = _listed(name, root / "train", classes)
    # By class they would be trained in part by `train_examples`.
    order = np.random.default_rng(0).permutation(len(files))
    train = [files[i] for i in order], labels[order]
    return train, _listed(name, tests[0], classes), len(classes)


def _subfolders(folder: Path) -> list[Path]:
    found = (x for x in folder.iterdir() if x.name[0] != "." and x.is_dir())
    return sorted(found)


def _classes(name: str, folder: Path) -> list[str]:
    classes = [x.name for x in _subfolders(folder)]
    if len(classes) < 2:
        raise ValueError(
            "`dataset` must have a subfolder for each of at least two classes. "
            f"Received: dataset={name}, where {folder} has "
            f"{classes or 'no subfolder'}"
        )
    return classes


def _check_classes(name: str, classes: Sequence[str], test: Path) -> None:
    tested = [x.name for x in _subfolders(test)]
    differing = sorted(set(classes) ^ set(tested))
    if differing:
        where = test.name if differing[0] in classes else "train"
        raise ValueError(
            "`dataset` must have the same classes to train and to test. "
            f"Received: dataset={name}, where {where}/ has no folder "
            f"'{differing[0]}'"
        )


def _listed(name: str, folder: Path, classes: Sequence[str]) -> Listed:
    """Returns the files of all classes, sorted, and their labels."""
    files, labels = [], []
    for label, each in enumerate(classes):
        own = sorted(
            x
            for x in (folder / each).rglob("*")
            if x.name[0] != "." and x.suffix.lower() in _ENDINGS
        )
        if not own:
            raise ValueError(
                "`dataset` must have an image in each folder of a class: "
                f"{', '.join(_ENDINGS)}. Received: dataset={name}, where "
                f"{folder / each} has none"
            )
        files += own
        labels += [label] * len(own)
    return files, np.array(labels, np.int64)
