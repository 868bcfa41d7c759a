import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from dsr_tf.data import DatasetUnavailableError
from dsr_tf.data import eval_batches
from dsr_tf.data import load_images
from dsr_tf.data import train_batches


@pytest.fixture(scope="module")
def digits():
    return load_images("digits")


@pytest.fixture(scope="module")
def tiny_tfds(tmp_path_factory):
    """A folder that holds a few images in MNIST's and CIFAR-10's TFDS form."""
    data_dir = tmp_path_factory.mktemp("tfds")
    rng = np.random.default_rng(0)
    for name, shape in [("mnist", (28, 28, 1)), ("cifar10", (32, 32, 3))]:

        def examples(count, name=name, shape=shape):
            for i in range(count):
                image = rng.integers(0, 256, shape, dtype=np.uint8)
                example = {"image": image, "label": i % 10}
                if name == "cifar10":
                    example["id"] = str(i)
                yield i, example

        builder = tfds.builder(name, data_dir=data_dir)
        builder._split_generators = lambda *_, examples=examples: {
            "train": examples(50),
            "test": examples(20),
        }
        builder.download_and_prepare()
    return data_dir


def test_digits_have_a_fixed_split(digits):
    again = load_images("digits")
    assert digits.train_images.shape == (1500, 8, 8, 1)
    assert digits.test_images.shape == (297, 8, 8, 1)
    assert digits.num_classes == 10
    assert digits.train_images.max() == 16
    assert (digits.train_images == again.train_images).all()
    assert set(np.unique(digits.test_labels)) == set(range(10))


def test_digits_are_those_of_scikit_learn(digits):
    from sklearn.datasets import load_digits

    ours = np.concatenate([digits.train_images, digits.test_images])
    theirs = load_digits().images.astype(np.uint8)
    order = np.lexsort(ours.reshape(1797, -1).T)
    expected = np.lexsort(theirs.reshape(1797, -1).T)
    assert (ours[order, ..., 0] == theirs[expected]).all()


def test_batches_are_normalized(digits):
    batch, labels = next(iter(train_batches(digits, 1500, seed=0)))
    assert batch.shape == (1500, 8, 8, 1) and batch.dtype == tf.float32
    assert labels.dtype == tf.int64
    assert abs(batch.numpy().mean()) < 1e-4
    assert batch.numpy().std() == pytest.approx(1, abs=1e-4)


def epoch(images, seed, number, batch_size=100):
    steps = len(images.train_labels) // batch_size
    batches = train_batches(images, batch_size, seed, first_epoch=number)
    return np.concatenate([y for _, y in batches.take(steps)])


def test_order_is_a_function_of_seed_and_epoch(digits):
    assert (epoch(digits, 0, 0) == epoch(digits, 0, 0)).all()
    assert (epoch(digits, 0, 0) != epoch(digits, 1, 0)).any()
    assert (epoch(digits, 0, 0) != epoch(digits, 0, 1)).any()
    both = train_batches(digits, 100, seed=0).skip(15).take(15)
    assert (np.concatenate([y for _, y in both]) == epoch(digits, 0, 1)).all()


def test_an_epoch_holds_every_image_once(digits):
    labels = epoch(digits, 0, 3)
    assert (np.bincount(labels) == np.bincount(digits.train_labels)).all()


def test_images_and_labels_stay_together(digits):
    order = {x.tobytes(): y for x, y in zip(
        digits.train_images, digits.train_labels, strict=True)}  # fmt: skip
    batch, labels = next(iter(train_batches(digits, 200, seed=3)))
    pixels = batch * digits.stddev[0] + digits.mean[0]
    pixels = np.rint(pixels).astype(np.uint8)
    assert [order[x.tobytes()] for x in pixels] == labels.numpy().tolist()


def test_test_batches_hold_all_images_in_order(digits):
    pairs = list(eval_batches(digits, batch_size=100))
    assert [len(y) for _, y in pairs] == [100, 100, 97]
    labels = np.concatenate([y for _, y in pairs])
    assert (labels == digits.test_labels).all()


@pytest.mark.parametrize("batch_size", [0, 1501])
def test_batch_size_must_fit_the_data(digits, batch_size):
    with pytest.raises(ValueError, match="`batch_size` must be from 1 to"):
        train_batches(digits, batch_size, seed=0)


def test_tfds_sets_load_by_name(tiny_tfds):
    mnist = load_images("mnist", tiny_tfds)
    assert mnist.image_shape == (28, 28, 1)
    assert len(mnist.train_labels) == 50 and len(mnist.test_labels) == 20
    # The paper's .1307 and .3081, of pixels scaled to [0, 1].
    assert mnist.mean[0] == pytest.approx(0.1307 * 255)
    assert mnist.stddev[0] == pytest.approx(0.3081 * 255)
    cifar = load_images("cifar10", tiny_tfds)
    assert cifar.image_shape == (32, 32, 3) and len(cifar.mean) == 3
    assert load_images("mnist:3.0.1", tiny_tfds).mean == mnist.mean


def test_mnist_is_the_published_one():
    if not tfds.builder("mnist").is_prepared():
        pytest.skip("MNIST is not prepared on this machine")
    mnist = load_images("mnist")
    assert mnist.train_images.shape == (60_000, 28, 28, 1)
    assert len(mnist.test_labels) == 10_000
    scaled = mnist.train_images / 255
    assert scaled.mean() == pytest.approx(0.1307, abs=1e-4)
    assert scaled.std() == pytest.approx(0.3081, abs=1e-4)


def test_unknown_name_is_refused(tmp_path):
    with pytest.raises(ValueError, match="Received: dataset=no_such_set"):
        load_images("no_such_set", tmp_path)


def test_set_without_labels_is_refused(tmp_path):
    with pytest.raises(ValueError, match="must have an `image` and a class"):
        load_images("div2k", tmp_path)


def test_set_of_many_sizes_is_refused(tmp_path):
    with pytest.raises(ValueError, match="must have images of one size"):
        load_images("cats_vs_dogs", tmp_path)


def test_set_that_cannot_be_had_names_the_remedy(tmp_path, monkeypatch):
    def unreachable(*args, **kwargs):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(
        tfds.core.DatasetBuilder, "download_and_prepare", unreachable
    )
    with pytest.raises(DatasetUnavailableError, match="tfds build") as error:
        load_images("fashion_mnist", tmp_path)
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)
