"""The examples of one's own data that are tested."""

import math
from typing import Any

import numpy as np

# The share of each class that is tested, where the data does not say it.
USUAL = "0.2"
# The draw is fixed, like that of `digits`: runs of all seeds test the same.
_SEED = 0


def checked_share(name: str, value: str | None) -> float:
    """Returns the share of the examples to test, read from its text form.

    Args:
        name: Name of the data set, for the message.
        value: A number between 0 and 1; None for a fifth.

    Raises:
        ValueError: If it is no such number.
    """
    try:
        share = float(USUAL if value is None else value)
    except ValueError:
        share = math.nan
    if 0.0 < share < 1.0:
        return share
    raise ValueError(
        "`test_split` must be a share of the examples, such as 0.2, for data "
        f"that has no test part. Received: test_split={value} for "
        f"dataset={name}"
    )


def check_no_split(name: str, part: str, **splits: Any) -> None:
    """Refuses a split of data that is already split.

    Args:
        name: Name of the data set, for the message.
        part: Where its own test part is, in words.
        **splits: The splits that were asked for, by argument.

    Raises:
        ValueError: If there is one.
    """
    for argument, value in splits.items():
        if value is not None:
            raise ValueError(
                f"`{argument}` must be left out for data that {part}. "
                f"Received: {argument}={value} for dataset={name}"
            )


def held_out(
    name: str, labels: np.ndarray, share: float
) -> tuple[np.ndarray, np.ndarray]:
    """Draws the examples that are tested: a share of each class.

    Each class gives `round(share * count)` examples to the test, at least 1.
    The draw is a pure function of the labels.

    Args:
        name: Name of the data set, for the message.
        labels: Class of each example.
        share: Share of each class to test, between 0 and 1.

    Returns:
        Indices of the examples to train, and of those to test, both in an
        order that is drawn.

    Raises:
        ValueError: If nothing of a class is left to train.
    """
    rng = np.random.default_rng(_SEED)
    order = rng.permutation(len(labels))
    tested = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        own = order[labels[order] == label]
        count = max(1, round(share * len(own)))
        if count >= len(own):
            raise ValueError(
                "`dataset` must have at least two examples of each class, and "
                "`test_split` must leave one of them to train. Received: "
                f"dataset={name} with {len(own)} of class {label}, and "
                f"test_split={share:g}"
            )
        tested[own[:count]] = True
    return order[~tested[order]], order[tested[order]]
