"""Data sets of one's own, in a file of NumPy arrays."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dsr_tf.checks import first_line
from dsr_tf.data.held_out import check_no_split
from dsr_tf.data.held_out import checked_share
from dsr_tf.data.held_out import held_out
from dsr_tf.data.images import Images
from dsr_tf.data.images import channel_moments

_SPLIT = ("x_train", "y_train", "x_test", "y_test")
_WHOLE = ("x", "y")
_FORMS = "x_train, y_train, x_test and y_test, as Keras' mnist.npz, or x and y"


def load_arrays(
    name: str, train_split: str | None = None, test_split: str | None = None
) -> Images:
    """Loads images, or vectors of features, from an `.npz` file.

    The file holds `x_train`, `y_train`, `x_test` and `y_test`; or `x` and `y`,
    of which a share of each class is tested. Images have the shape
    `(n, height, width, channels)`, or `(n, height, width)` if they are grey;
    vectors `(n, features)`. Labels are the integers from 0 on.

    Args:
        name: Path of the file.
        train_split: Must be None: all that is not tested is trained.
        test_split: Share of the examples to test, as text, for a file of `x`
            and `y`; None for a fifth. Must be None for others.

    Raises:
        ValueError: If the file cannot be read, or holds something else.
    """
    arrays = _read(name)
    check_no_split(name, "trains all it does not test", train_split=train_split)
    if set(_SPLIT) <= set(arrays):
        check_no_split(name, "has x_test and y_test", test_split=test_split)
        x, y, test_x, test_y = (arrays[key] for key in _SPLIT)
        x, y = _checked(name, "train", x, y)
        test_x, test_y = _checked(name, "test", test_x, test_y)
    else:
        x, y = _checked(name, "", arrays["x"], arrays["y"])
        share = checked_share(name, test_split)
        train, test = held_out(name, y, share)
        x, y, test_x, test_y = x[train], y[train], x[test], y[test]
    _check_alike(name, x, test_x)
    mean, stddev = channel_moments(x)
    return Images(
        name=name,
        train_images=x,
        train_labels=y,
        test_images=test_x,
        test_labels=test_y,
        mean=mean,
        stddev=stddev,
        num_classes=_num_classes(name, y, test_y),
    )


def _read(name: str) -> Mapping[str, np.ndarray]:
    if not Path(name).is_file():
        raise ValueError(
            "`dataset` must be a file that exists, if its name ends with .npz. "
            f"Received: dataset={name}"
        )
    try:
        # Pickled objects could run any code.
        with np.load(name, allow_pickle=False) as file:
            found = set(file.files)
            for keys in (_SPLIT, _WHOLE):
                if set(keys) <= found:
                    return {key: file[key] for key in keys}
    # Broad, as a foreign file may fail in any way.
    except Exception as error:
        raise ValueError(
            "`dataset` must be an .npz file of arrays of numbers, without "
            f"objects. Received: dataset={name} ({first_line(error)})"
        ) from error
    raise ValueError(
        f"`dataset` must be an .npz file with the arrays {_FORMS}. "
        f"Received: dataset={name} with {sorted(found)}"
    )


def _checked(name: str, part: str, x: Any, y: Any) -> tuple[Any, Any]:
    """Returns examples and labels in the form that `Images` takes."""
    keys = [f"{key}_{part}" if part else key for key in ("x", "y")]
    x = _examples(name, keys[0], x)
    y = _labels(name, keys[1], y)
    if not 0 < len(x) == len(y):
        raise ValueError(
            "`dataset` must have a label for each example, and at least one. "
            f"Received: dataset={name} with {len(x)} examples in {keys[0]} and "
            f"{len(y)} labels in {keys[1]}"
        )
    return x, y


def _examples(name: str, key: str, x: np.ndarray) -> np.ndarray:
    kinds = (np.integer, np.floating, np.bool_)
    is_number = any(np.issubdtype(x.dtype, kind) for kind in kinds)
    if not is_number or x.ndim not in (2, 3, 4) or 0 in x.shape[1:]:
        raise ValueError(
            "`dataset` must hold vectors of numbers, of shape (n, features), "
            "or images, of shape (n, height, width, channels) or "
            f"(n, height, width). Received: dataset={name} with {key} of "
            f"shape {x.shape} and type {x.dtype}"
        )
    if x.dtype != np.uint8:
        x = x.astype(np.float32)
        if not np.isfinite(x).all():
            raise ValueError(
                "`dataset` must hold finite numbers. Received: "
                f"dataset={name}, with NaN or infinite values in {key}"
            )
    return x[..., None] if x.ndim == 3 else x


def _labels(name: str, key: str, y: np.ndarray) -> np.ndarray:
    # Keras' CIFAR-10 has a column of labels.
    flat = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if flat.ndim != 1 or not np.issubdtype(flat.dtype, np.integer):
        raise ValueError(
            "`dataset` must have a class for each example, an integer. "
            f"Received: dataset={name} with {key} of shape {y.shape} and type "
            f"{y.dtype}"
        )
    return flat.astype(np.int64)


def _check_alike(name: str, x: np.ndarray, test_x: np.ndarray) -> None:
    if x.shape[1:] != test_x.shape[1:]:
        raise ValueError(
            "`dataset` must have examples of one shape. Received: "
            f"dataset={name} with examples of {x.shape[1:]} to train and of "
            f"{test_x.shape[1:]} to test"
        )


def _num_classes(name: str, y: np.ndarray, test_y: np.ndarray) -> int:
    trained, tested = np.unique(y), np.unique(test_y)
    if len(trained) < 2 or not np.array_equal(trained, np.arange(len(trained))):
        raise ValueError(
            "`dataset` must have examples of at least two classes to train, "
            "the integers from 0 on, without a gap. Received: "
            f"dataset={name} with {len(trained)} of them, from {trained[0]} to "
            f"{trained[-1]}"
        )
    unknown = sorted(set(tested.tolist()) - set(trained.tolist()))
    if unknown:
        raise ValueError(
            "`dataset` must test classes that are trained. Received: "
            f"dataset={name}, which tests class {unknown[0]} and does not "
            "train it"
        )
    return len(trained)
