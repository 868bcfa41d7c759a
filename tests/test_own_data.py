"""Data of one's own: folders of images, and files of arrays."""

import re

import numpy as np
import pytest
import tensorflow as tf

from dsr_tf.data import load_images
from dsr_tf.data.held_out import held_out
from tests.own_data import digits
from tests.own_data import write_folder
from tests.own_data import write_image
from tests.own_data import write_vectors


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("data") / "photos", 200)


def load(path, **arguments):
    return load_images(f"{path}/", **arguments)


def test_folder_gives_its_images_and_classes(folder):
    found = load(folder)
    assert found.image_shape == (8, 8, 3)
    assert found.num_classes == 10
    assert found.num_train + len(found.test_labels) == 200
    images, labels = digits(200)
    known = {x.tobytes(): y for x, y in zip(images, labels, strict=True)}
    for x, y in (
        (found.train_images, found.train_labels),
        (found.test_images, found.test_labels),
    ):
        assert [known[i[..., 0].tobytes()] for i in x] == y.tolist()
        assert (x == x[..., :1]).all()
    again = load(folder)
    assert (found.train_images == again.train_images).all()
    # Not class by class: `train_examples` takes the first ones.
    assert len(set(load(folder, train_examples=30).train_labels)) > 5


def test_a_share_of_each_class_is_tested(folder):
    labels = np.repeat([0, 1], [10, 5])
    train, test = held_out("x", labels, 0.2)
    assert sorted([*train, *test]) == list(range(15))
    assert np.bincount(labels[test]).tolist() == [2, 1]
    found = load(folder, test_split="0.5")
    assert abs(found.num_train - 100) <= 5
    assert set(found.test_labels) == set(range(10))


@pytest.mark.parametrize("name", ["test", "val"])
def test_folder_may_have_a_test_part(tmp_path, name):
    images, _ = digits(8)
    for i, part in enumerate(["train"] * 5 + [name] * 3):
        for label in ("a", "b"):
            write_image(tmp_path / part / label / f"{i}.png", images[i])
    (tmp_path / "train" / ".hidden").mkdir()
    (tmp_path / "train" / "a" / "notes.txt").touch()
    found = load(tmp_path)
    assert np.bincount(found.train_labels).tolist() == [5, 5]
    assert np.bincount(found.test_labels).tolist() == [3, 3]
    with pytest.raises(ValueError, match=f"has {name}/. Received: test_split"):
        load(tmp_path, test_split="0.2")
    (tmp_path / name / "b").rename(tmp_path / name / "c")
    with pytest.raises(ValueError, match=f"{name}/ has no folder 'b'"):
        load(tmp_path)


def test_images_of_many_sizes_are_cropped_and_resized(tmp_path):
    halves = np.zeros((20, 40, 3), np.uint8)
    halves[:, 20:] = 200
    for label in ("a", "b"):
        write_image(tmp_path / label / "1.png", halves)
        write_image(tmp_path / label / "2.png", halves[:10, 15:25])
    assert load(tmp_path).image_shape == (224, 224, 3)
    found = load(tmp_path, image_size=10)
    for image in (*found.train_images, *found.test_images):
        # The border between the halves is in the middle.
        assert (image[:, :4] == 0).all() and (image[:, 6:] == 200).all()
    photo = np.zeros((300, 300, 3), np.uint8)
    for path in tmp_path.rglob("*.png"):
        write_image(path, photo)
    assert load(tmp_path).image_shape == (224, 224, 3)


def test_formats_of_images_are_read(tmp_path):
    image = tf.constant(np.full((8, 8, 3), 100, np.uint8))
    write_image(tmp_path / "a" / "1.png", image.numpy())
    write_image(tmp_path / "a" / "2.PNG", image.numpy())
    write_image(tmp_path / "b" / "1.png", image.numpy())
    jpeg = tf.io.encode_jpeg(image, quality=100).numpy()
    (tmp_path / "b" / "2.jpeg").write_bytes(jpeg)
    found = load(tmp_path)
    assert (np.abs(found.train_images.astype(int) - 100) <= 2).all()


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda x: None, "that exists, if its name is a path"),
        (lambda x: x.mkdir(), "has no subfolder"),
        (lambda x: write_folder(x, 100, 1), r"has \['digit_0'\]"),
        (
            lambda x: (write_folder(x, 100) / "empty").mkdir(),
            "where .*/empty has none",
        ),
        (
            lambda x: (write_folder(x, 100) / "digit_3/0.png").write_text("x"),
            "where digit_3/0.png cannot be decoded",
        ),
        (
            lambda x: write_image(
                write_folder(x, 100) / "one" / "1.png", digits(1)[0][0]
            ),
            "two examples of each class.*with 1 of class 10",
        ),
    ],
)
def test_folders_of_another_form_are_refused(tmp_path, damage, message):
    damage(tmp_path / "photos")
    with pytest.raises(ValueError, match=message) as raised:
        load(tmp_path / "photos")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("share", ["1", "0", "train[:80%]", "nan"])
def test_share_to_test_must_be_one(folder, share):
    with pytest.raises(ValueError, match="`test_split` must be a share of"):
        load(folder, test_split=share)


def test_all_that_is_not_tested_is_trained(folder):
    with pytest.raises(ValueError, match="`train_split` must be left out"):
        load(folder, train_split="0.5")


def test_a_folder_is_told_from_a_set_of_tfds(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    assert load_images("photos/").num_classes == 10
    assert load_images("./photos").num_classes == 10
    assert load_images("../" + folder.parent.name + "/photos").num_train
    with pytest.raises(
        ValueError, match="photos, a folder: write it as photos/"
    ):
        load_images("photos")


def test_images_that_memory_cannot_hold_are_refused(folder):
    with pytest.raises(ValueError, match="`image_size` must be so small.*GiB"):
        load(folder, image_size=10_000)


def test_vectors_are_trained(tmp_path):
    path = write_vectors(tmp_path / "table.npz")
    found = load_images(str(path))
    assert found.image_shape == (20,) and found.num_classes == 3
    assert (found.num_train, len(found.test_labels)) == (480, 120)
    (x, y), *_ = found.train_batches(480, 0).take(1)
    assert x.shape == (480, 20) and x.dtype == tf.float32
    assert np.abs(x.numpy().mean(0)).max() < 1e-5
    assert np.abs(x.numpy().std(0) - 1).max() < 1e-4
    raw = load_images(str(path), standardize=False)
    (x, _), *_ = raw.eval_batches(200).take(1)
    assert (x.numpy() == raw.test_images).all()
    for name, value in (("augment", True), ("image_size", 8)):
        with pytest.raises(ValueError, match=f"`{name}` must be left out.*vec"):
            load_images(str(path), **{name: value})


def test_arrays_in_the_form_of_keras_mnist(tmp_path):
    images, labels = digits(100)
    path = tmp_path / "mnist.npz"
    np.savez(
        path,
        x_train=images[:80],
        y_train=labels[:80],
        x_test=images[80:],
        y_test=labels[80:, None],
    )
    found = load_images(str(path))
    assert found.image_shape == (8, 8, 1)
    assert (found.train_images[..., 0] == images[:80]).all()
    assert (found.test_labels == labels[80:]).all()
    augmented = load_images(str(path), augment=True)
    pairs = [next(iter(x.train_batches(10, 0)))[0] for x in (found, augmented)]
    assert (pairs[0].numpy() != pairs[1].numpy()).any()
    with pytest.raises(ValueError, match="`test_split` must be left out"):
        load_images(str(path), test_split="0.2")


ROWS = {"x": np.zeros((6, 2)), "y": np.arange(6) % 2}
SPLIT = {
    f"{k}_{part}": x for part in ("train", "test") for k, x in ROWS.items()
}


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"a": np.zeros(3)}, r"x_train, y_train.* or x and y.*with \['a'\]"),
        (ROWS | {"x": np.zeros(6)}, r"with x of shape \(6,\) and type float64"),
        (ROWS | {"x": np.full((6, 2), "a")}, "vectors of numbers.*type <U1"),
        (ROWS | {"x": np.full((6, 2), None)}, "without objects"),
        (ROWS | {"x": np.full((6, 2), np.nan)}, "NaN or infinite values in x"),
        (ROWS | {"y": np.zeros((6, 2), int)}, r"class.*y of shape \(6, 2\)"),
        (ROWS | {"y": np.zeros(6)}, "an integer.*type float64"),
        (ROWS | {"y": np.zeros(5, int)}, "6 examples in x and 5 labels in y"),
        (
            ROWS | {"y": 1 + np.arange(6) % 2},
            "without a gap.*2 of them, from 1",
        ),
        (ROWS | {"y": np.zeros(6, int)}, "at least two classes"),
        (
            SPLIT | {"x_test": np.zeros((6, 3))},
            r"\(2,\) to train and of \(3,\)",
        ),
        (SPLIT | {"y_test": np.arange(6)}, "tests class 2 and does not train"),
    ],
)
def test_arrays_of_another_form_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "own.npz", **arrays)
    with pytest.raises(ValueError, match=message) as raised:
        load_images(str(tmp_path / "own.npz"))
    assert re.match("`dataset` must", str(raised.value))


def test_files_that_are_no_arrays_are_refused(tmp_path):
    path = tmp_path / "own.npz"
    with pytest.raises(ValueError, match="must be a file that exists"):
        load_images(str(path))
    path.write_text("x")
    with pytest.raises(ValueError, match="`dataset` must be an .npz file of"):
        load_images(str(path))


def test_preparation_of_images_read_from_tfds_files_is_fixed(tmp_path):
    from tests.imagenet_form import write_imagenet

    write_imagenet(tmp_path)
    for name in ("augment", "standardize"):
        with pytest.raises(ValueError, match=f"`{name}` must not be turned"):
            load_images("imagenet2012", tmp_path, **{name: False})
    assert load_images("imagenet2012", tmp_path, augment=True).num_train
