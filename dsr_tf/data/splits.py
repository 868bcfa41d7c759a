"""The parts of a TFDS set that are trained and tested."""

from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow_datasets as tfds

from dsr_tf.checks import first_line

_FORM = "a split of the set or a part of one, such as train[:80%]"


@dataclass(frozen=True)
class Range:
    """Examples of a split of TFDS that follow each other.

    Args:
        split: Name of the split.
        begin: The first.
        end: The one behind the last.
    """

    split: str
    begin: int
    end: int


def train_and_test(
    name: str,
    splits: Mapping[str, Any],
    train_split: str | None,
    test_split: str | None,
) -> tuple[str, str]:
    """Returns what is trained and what is tested, as TFDS takes it.

    Args:
        name: Name of the set, for messages.
        splits: The splits of the set, by name.
        train_split: What to train; None for the part of `train` that is not
            tested.
        test_split: What to test.

    Raises:
        ValueError: If there is no such part, or it is empty, or the two have an
            example in common.
    """
    tested = _ranges("test_split", name, splits, test_split)
    if train_split is not None:
        trained = _ranges("train_split", name, splits, train_split)
        common = [x for x in trained if _without(x, tested) != [x]]
        if common:
            raise ValueError(
                "`train_split` and `test_split` must have no example in "
                f"common. Received: train_split={train_split} and test_split="
                f"{test_split} for dataset={name}, both with some of "
                f"{_written(common, splits)}"
            )
        return train_split, str(test_split)
    if "train" not in splits:
        raise ValueError(
            "`train_split` must be given for a set that has no split `train`. "
            f"Received: dataset={name} with {sorted(splits)}"
        )
    whole = Range("train", 0, splits["train"].num_examples)
    left = _without(whole, tested)
    if not left:
        raise ValueError(
            "`test_split` must leave something of `train` to train. Received: "
            f"test_split={test_split} for dataset={name}"
        )
    return _written(left, splits), str(test_split)


def first_of(splits: Mapping[str, Any], spec: str, count: int) -> str:
    """Returns the first examples of a part, as TFDS takes it."""
    kept = []
    for each in _absolute(splits, spec):
        end = min(each.end, each.begin + count)
        count -= end - each.begin
        kept += [Range(each.split, each.begin, end)] if end > each.begin else []
    return _written(kept, splits)


def split_names(splits: Mapping[str, Any], *specs: str) -> list[str]:
    """Returns the names of the splits that parts are of."""
    return sorted({x.split for spec in specs for x in _absolute(splits, spec)})


def _ranges(
    argument: str, name: str, splits: Mapping[str, Any], spec: str | None
) -> list[Range]:
    try:
        ranges = _absolute(splits, str(spec))
    # Broad, as TFDS raises whatever it meets in a text that it cannot read.
    except Exception as error:
        raise ValueError(
            f"`{argument}` must be {_FORM}. Received: {argument}={spec} for "
            f"dataset={name} with {sorted(splits)} ({first_line(error)})"
        ) from error
    if any(x.begin >= x.end for x in ranges):
        raise ValueError(
            f"`{argument}` must be {_FORM}, that has an example. "
            f"Received: {argument}={spec} for dataset={name}, which is empty"
        )
    return ranges


def _absolute(splits: Mapping[str, Any], spec: str) -> list[Range]:
    read = tfds.core.ReadInstruction.from_spec(spec).to_absolute(splits)
    found = []
    for each in read:
        count = splits[each.splitname].num_examples
        end = count if each.to is None else min(each.to, count)
        found.append(Range(each.splitname, each.from_ or 0, end))
    return found


def _without(whole: Range, others: Iterable[Range]) -> list[Range]:
    """Returns what is left of a range without others."""
    left = [whole]
    for other in others:
        if other.split == whole.split:
            left = [
                Range(whole.split, begin, end)
                for x in left
                for begin, end in (
                    (x.begin, min(x.end, other.begin)),
                    (max(x.begin, other.end), x.end),
                )
                if begin < end
            ]
    return left


def _written(ranges: Iterable[Range], splits: Mapping[str, Any]) -> str:
    """Returns ranges as TFDS takes them; a whole split by its name alone."""
    return "+".join(
        x.split
        if (x.begin, x.end) == (0, splits[x.split].num_examples)
        else f"{x.split}[{x.begin}:{x.end}]"
        for x in ranges
    )
