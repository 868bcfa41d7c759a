"""The labels of a TFDS set."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow_datasets as tfds


def is_class(feature: Any) -> bool:
    """Tells whether a feature is one class, or one integer that may be."""
    # Not by what it has: a sequence passes on what its elements have.
    if not isinstance(feature, tfds.features.Tensor):
        return False
    return feature.shape == () and np.issubdtype(feature.np_dtype, np.integer)


def count_classes(builder: Any, name: str, splits: Iterable[str]) -> int:
    """Returns the number of classes of a set.

    Where the set does not say it, all labels of the splits are read.

    Args:
        builder: The set's TFDS builder.
        name: Name that the user gave.
        splits: Names of the splits that are used.

    Raises:
        ValueError: If labels are not the integers from 0 to one below their
            number.
    """
    known = getattr(builder.info.features["label"], "num_classes", None)
    if known is not None:
        return int(known)
    found = np.unique(np.concatenate([_labels(builder, x) for x in splits]))
    if not np.array_equal(found, np.arange(len(found))):
        raise ValueError(
            "`dataset` must have classes from 0 on, without a gap, as its "
            "`label`, or a `label` that is a ClassLabel. "
            f"Received: dataset={name}, whose `label` is one of {len(found)} "
            f"integers from {found[0]} to {found[-1]}"
        )
    return len(found)


def _labels(builder: Any, split: str) -> np.ndarray:
    examples = builder.as_dataset(
        split=split,
        batch_size=4096,
        decoders=tfds.decode.PartialDecoding({"label": True}),
    )
    found = [np.unique(x["label"]) for x in tfds.as_numpy(examples)]
    return np.concatenate([np.zeros(0, np.int64), *found])
