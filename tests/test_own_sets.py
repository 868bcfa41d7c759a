"""Data sets of one's own, with labels and images of many kinds."""

import numpy as np
import pytest
import tensorflow_datasets as tfds

from dsr_tf.data import Images
from dsr_tf.data import load_images
from dsr_tf.data.images import channel_moments
from tests.own_sets import CLASS
from tests.own_sets import IMAGE
from tests.own_sets import write_set

F = tfds.features
INTEGER = F.Scalar(np.int32)
ANY_SIZE = F.Image(shape=(None, None, 3), encoding_format="png")


def labels_of(batches):
    return sorted(np.concatenate([y for _, y in batches]).tolist())


@pytest.mark.parametrize("image", [IMAGE, ANY_SIZE])
def test_classes_of_integers_are_counted(tmp_path, image):
    # One of them is in neither part.
    write_set(tmp_path, {"train": [0, 2, 1, 3]}, image=image, label=INTEGER)
    parts = {"train_split": "train[:2]", "test_split": "train[2:3]"}
    found = load_images("own_set", tmp_path, **parts)
    assert found.num_classes == 4
    batches = found.train_batches(2, 0)
    assert batches.element_spec[1].dtype == "int64"
    assert labels_of(batches.take(1)) == [0, 2]
    assert labels_of(found.eval_batches()) == [1]


@pytest.mark.parametrize("image", [IMAGE, ANY_SIZE])
@pytest.mark.parametrize(
    "train, shown",
    [
        ([0, 1, -1], "3 integers from -1 to 1"),
        ([1, 2, 3], "3 integers from 1 to 3"),
        ([0, 7, 900], "3 integers from 0 to 900"),
    ],
)
def test_integers_that_are_no_classes_are_refused(
    tmp_path, image, train, shown
):
    write_set(tmp_path, {"train": train}, image=image, label=INTEGER)
    with pytest.raises(
        ValueError, match=f"from 0 on, without a gap.*own_set.*{shown}"
    ):
        load_images("own_set", tmp_path, test_split="train[2:]")


@pytest.mark.parametrize(
    "label, value, shown",
    [
        (F.Sequence(CLASS), [0, 2], r"Sequence\(ClassLabel"),
        (F.Text(), "cat", "Text"),
        (F.Scalar(np.float32), 0.5, "Scalar.*float32"),
        (F.Scalar(np.bool_), True, "Scalar.*bool"),
        (F.Tensor(shape=(1,), dtype=np.int64), [1], r"Tensor\(shape=\(1,\)"),
        ({"a": CLASS, "b": CLASS}, {"a": 0, "b": 1}, "FeaturesDict.*'a'"),
    ],
)
def test_labels_that_are_no_class_are_refused(tmp_path, label, value, shown):
    write_set(tmp_path, {"train": [value]}, label=label)
    with pytest.raises(
        ValueError, match=f"one class for each image.*`label` is {shown}"
    ) as raised:
        load_images("own_set", tmp_path)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("part", ["train", "test"])
def test_images_without_a_label_are_refused(tmp_path, part):
    labels = {"train": [0, 1], "test": [2, 1]}
    labels[part][1] = -1
    write_set(tmp_path, labels)
    with pytest.raises(
        ValueError, match=f"`{part}_labels` must be.*0 to 2.*: -1"
    ):
        load_images("own_set", tmp_path)


def test_files_that_are_tested_without_labels_are_refused(tmp_path):
    write_set(tmp_path, {"train": [0], "test": [-1]}, image=ANY_SIZE)
    with pytest.raises(ValueError, match="`test_split` must have labels"):
        load_images("own_set", tmp_path, test_split="test")


@pytest.mark.parametrize(
    "image",
    [
        F.Image(shape=(4, 4, 1)),
        F.Image(shape=(4, 4, 4)),
        F.Image(shape=(4, 4, 3), dtype=np.uint16),
        F.Image(shape=(4, 4, 1), dtype=np.float32),
        F.Tensor(shape=(4, 4, 2), dtype=np.uint8),
        F.Tensor(shape=(4, 3, 5), dtype=np.float64),
        F.Tensor(shape=(4, 4, 1), dtype=np.int8),
        F.Tensor(shape=(4, 4, 1), dtype=np.bool_),
    ],
)
def test_images_of_numbers_are_taken(tmp_path, image):
    rng = np.random.default_rng(0)

    def images(feature, number):
        return rng.integers(0, 2, feature.shape).astype(feature.np_dtype)

    write_set(
        tmp_path,
        {"train": [0, 1, 2, 0], "test": [1]},
        image=image,
        images=images,
        # What varies in length makes no batch, and is not read.
        boxes=(F.Sequence(F.BBoxFeature()), []),
    )
    found = load_images("own_set", tmp_path)
    assert found.image_shape == image.shape
    ((batch, _),) = found.train_batches(4, 0).take(1)
    assert batch.dtype == "float32"
    np.testing.assert_allclose(np.mean(batch, (0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(np.std(batch, (0, 1, 2)), 1, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_images_of_many_sizes_have_three_channels(tmp_path, channels):
    image = F.Image(shape=(None, None, channels), encoding_format="png")
    write_set(tmp_path, {"train": [0, 1, 2, 0], "test": [1, 2]}, image=image)
    found = load_images("own_set", tmp_path, image_size=6)
    for batches in (found.train_batches(4, 0), found.eval_batches(2)):
        ((batch, _),) = batches.take(1)
        assert batch.shape[1:] == (6, 6, 3)


@pytest.mark.parametrize(
    "image, value, shown",
    [
        (F.Video(shape=(2, 4, 4, 3)), np.zeros((2, 4, 4, 3)), "Video"),
        (F.Audio(), np.zeros(5), "Audio"),
        (F.Tensor(shape=(4, 4), dtype=np.uint8), np.zeros((4, 4)), "Tensor"),
        (F.Text(), "x", "Text"),
        (F.Sequence(IMAGE), np.zeros((2, 4, 4, 3)), "Sequence"),
        (
            F.Tensor(shape=(1, 1, 1), dtype=np.str_),
            np.full((1, 1, 1), "x", object),
            "Tensor",
        ),
    ],
)
def test_what_is_no_image_is_refused(tmp_path, image, value, shown):
    def images(feature, number):
        is_array = isinstance(value, np.ndarray) and value.dtype == float
        return value.astype(feature.np_dtype) if is_array else value

    write_set(tmp_path, {"train": [0]}, image=image, images=images)
    with pytest.raises(
        ValueError, match=f"an `image` of numbers.*`image` is {shown}"
    ) as raised:
        load_images("own_set", tmp_path)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("value", [255, 0.1, 1e-30, 0])
def test_a_constant_channel_becomes_zero(value):
    rng = np.random.default_rng(0)
    dtype = np.uint8 if isinstance(value, int) else np.float32
    images = rng.integers(0, 9, (20, 8, 8, 2)).astype(dtype)
    images[..., 1] = value
    mean, stddev = channel_moments(images)
    assert mean[1] == np.asarray(value, dtype) and stddev[1] == 1
    assert stddev[0] == pytest.approx(np.std(images[..., 0], dtype=np.float64))
    labels = np.zeros(20, np.int64)
    found = Images(
        "own", images, labels, images, labels, mean, stddev, 1, augment=True
    )
    for batches in (found.train_batches(20, 0), found.eval_batches()):
        ((batch, _),) = batches.take(1)
        assert np.isfinite(batch).all()
        assert not np.any(batch[..., 1]) and np.any(batch[..., 0])


@pytest.mark.parametrize("stddev", [0.0, -1.0])
def test_images_cannot_be_divided_by_nothing(stddev):
    images, labels = np.zeros((2, 4, 4, 1)), np.zeros(2, int)
    with pytest.raises(ValueError, match="`stddev` must be a number above 0"):
        Images("own", images, labels, images, labels, (0.0,), (stddev,), 1)


@pytest.mark.parametrize(
    "labels, shown",
    [
        ([0.0, 1.0], "float64"),
        (["a", "b"], "<U1"),
        ([0, 2], "2 in"),
        ([-1, 0], "-1 in"),
    ],
)
def test_labels_must_be_classes(labels, shown):
    images, right = np.zeros((2, 4, 4, 1)), np.zeros(2, int)
    moments = (0.0,), (1.0,), 2
    with pytest.raises(ValueError, match=f"`test_labels` must.* 1, .*{shown}"):
        Images("own", images, right, images, np.array(labels), *moments)
