"""Parts of a data set that are trained and tested."""

import numpy as np
import pytest
import tensorflow_datasets as tfds

from dsr_tf.data import load_images
from tests.own_sets import write_set

ANY_SIZE = tfds.features.Image(shape=(None, None, 3), encoding_format="png")


@pytest.fixture(scope="module", params=["memory", "files"])
def folder(request, tmp_path_factory):
    """A set of 50 images without a test split, in 3 files."""
    path = tmp_path_factory.mktemp("sets")
    kind = {} if request.param == "memory" else {"image": ANY_SIZE}
    return write_set(
        path,
        {"train": [i % 3 for i in range(50)]},
        num_shards=3,
        **kind,
    )


def numbers(folder, train_examples=None, **splits):
    """Returns which images are trained and which are tested."""
    found = load_images("own_set", folder, 4, train_examples, **splits)
    batches = found.train_batches(found.num_train, 0).take(1)
    return tuple(
        sorted(x for images, _ in part for x in _values(images, found))
        for part in (batches, found.eval_batches(7))
    )


def _values(images, found):
    """All values of an image are its number."""
    if hasattr(found, "mean"):
        mean, stddev = found.mean, found.stddev
    else:
        mean = (123.675, 116.28, 103.53)
        stddev = (58.395, 57.12, 57.375)
    pixels = np.asarray(images)[:, 0, 0] * stddev + mean
    return np.rint(pixels[:, 0]).astype(int).tolist()


@pytest.mark.parametrize(
    "test_split, tested",
    [
        ("train[80%:]", range(40, 50)),
        ("train[:20%]", range(10)),
        ("train[20:-20]", range(20, 30)),
        ("train[:3]+train[47:]", [0, 1, 2, 47, 48, 49]),
    ],
)
def test_what_is_not_tested_is_trained(folder, test_split, tested):
    trained = sorted(set(range(50)) - set(tested))
    assert numbers(folder, test_split=test_split) == (trained, list(tested))


def test_both_parts_can_be_chosen(folder):
    splits = {"train_split": "train[:40%]", "test_split": "train[90%:]"}
    assert numbers(folder, **splits) == ([*range(20)], [*range(45, 50)])
    assert numbers(folder, 7, **splits) == ([*range(7)], [*range(45, 50)])
    splits["train_split"] = "train[:5]+train[10:20]"
    assert numbers(folder, 7, **splits)[0] == [0, 1, 2, 3, 4, 10, 11]


@pytest.mark.parametrize(
    "splits, message",
    [
        ({}, "`test_split` must be given.*--test_split=train.80%:..*'train'"),
        ({"train_split": "train[:9]"}, "`test_split` must be given for a set"),
        (
            {"train_split": "train", "test_split": "train[80%:]"},
            "no example in common.*both with some of train",
        ),
        (
            {"train_split": "train[:41]", "test_split": "train[40:]"},
            r"no example in common.*both with some of train\[0:41\]",
        ),
        ({"test_split": "train"}, "must leave something of `train`"),
        ({"test_split": "train[:0]"}, "`test_split` must be .* is empty"),
        ({"test_split": "train[30:20]"}, "`test_split` must be .* is empty"),
        ({"test_split": "test"}, "`test_split` must be a split of the set or"),
        ({"test_split": "train[80%:"}, "`test_split` must be a split of the"),
        ({"test_split": "train[900:]"}, "`test_split` must be a split of the"),
        ({"test_split": "train[a:]"}, "`test_split` must be a split of the"),
        ({"test_split": ""}, "`test_split` must be a split of the set or a"),
        (
            {"train_split": "x", "test_split": "train[1:]"},
            "`train_split` must be a split of the set or a part of one",
        ),
    ],
)
def test_wrong_splits_are_refused(folder, splits, message):
    with pytest.raises(ValueError, match=message) as raised:
        load_images("own_set", folder, **splits)
    assert len(str(raised.value).splitlines()) == 1


def test_splits_of_other_names_and_kinds(tmp_path):
    write_set(
        tmp_path,
        {"all_of_it": [0, 1, 2, 1], "validation": [0], "test": [-1]},
    )
    # That named test has no labels.
    train = {"train_split": "all_of_it"}
    assert numbers(tmp_path, **train) == ([0, 1, 2, 3], [0])
    with pytest.raises(ValueError, match="`train_split` must be given.*'test'"):
        load_images("own_set", tmp_path)
    with pytest.raises(ValueError, match="`test_labels` must be integers"):
        load_images("own_set", tmp_path, test_split="test", **train)


def test_a_split_of_its_own_is_the_default(tmp_path):
    write_set(tmp_path, {"train": [0, 1, 2], "test": [2, 1]})
    assert numbers(tmp_path) == ([0, 1, 2], [0, 1])
    # What is tested instead is left out of what is trained.
    assert numbers(tmp_path, test_split="train[2:]") == ([0, 1], [2])
    assert numbers(tmp_path, train_split="train+test[:1]",
                   test_split="test[1:]") == ([0, 0, 1, 2], [1])  # fmt: skip
    with pytest.raises(ValueError, match="must have no example in common"):
        load_images("own_set", tmp_path, train_split="train+test")


@pytest.mark.parametrize("name", ["train_split", "test_split"])
def test_digits_have_their_own(name):
    with pytest.raises(ValueError, match=f"`{name}` must be left out for 'di"):
        load_images("digits", **{name: "train"})
