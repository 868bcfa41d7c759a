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
    """A folder that holds a few images in the TFDS form of other sets."""
    data_dir = tmp_path_factory.mktemp("tfds")
    rng = np.random.default_rng(0)
    for name, shape, more in [
        ("mnist", (28, 28, 1), {}),
        ("cifar10", (32, 32, 3), {"id": "0"}),
        ("cifar100", (32, 32, 3), {"id": "0", "coarse_label": 0}),
    ]:

        def examples(count, shape=shape, more=more):
            for i in range(count):
                image = rng.integers(0, 256, shape, dtype=np.uint8)
                yield i, {"image": image, "label": i % 10, **more}

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


@pytest.mark.parametrize("num_shards", [0, 3])
def test_shards_must_divide_the_batch(digits, num_shards):
    with pytest.raises(ValueError, match="`num_shards` must.*divide.*100"):
        digits.train_batches(100, seed=0, num_shards=num_shards)


@pytest.mark.parametrize("shard_index", [-1, 2])
def test_shard_must_be_one_of_them(digits, shard_index):
    with pytest.raises(ValueError, match="`shard_index` must be from 0 to 1"):
        digits.train_batches(100, 0, num_shards=2, shard_index=shard_index)


def test_methods_are_the_functions(digits):
    for ours, theirs in [
        (
            digits.train_batches(99, 1, 2, 4, 3, 1),
            train_batches(digits, 99, 1, 2, 4, 3, 1),
        ),
        (digits.eval_batches(50), eval_batches(digits, 50)),
    ]:
        for a, b in zip(ours.take(5), theirs.take(5), strict=True):
            np.testing.assert_array_equal(a[0], b[0])
            np.testing.assert_array_equal(a[1], b[1])


def test_train_examples_are_the_first(digits):
    few = load_images("digits", train_examples=300)
    assert few.num_train == 300 and digits.num_train == 1500
    assert (few.train_images == digits.train_images[:300]).all()
    assert (few.test_images == digits.test_images).all()
    assert few.mean == digits.mean
    labels = epoch(few, seed=0, number=0)
    assert (np.bincount(labels) == np.bincount(few.train_labels)).all()


@pytest.mark.parametrize("train_examples", [0, 1501])
def test_train_examples_must_be_there(train_examples):
    with pytest.raises(ValueError, match="`train_examples` must be.*1500"):
        load_images("digits", train_examples=train_examples)


def test_image_size_must_be_that_of_the_set(tiny_tfds):
    assert load_images("digits", image_size=8).image_shape == (8, 8, 1)
    with pytest.raises(ValueError, match="`image_size` must be None.*8×8"):
        load_images("digits", image_size=16)
    with pytest.raises(ValueError, match="`image_size` must be None.*32×32"):
        load_images("cifar10", tiny_tfds, image_size=64)


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
    assert not mnist.augment
    assert load_images("mnist:3.0.1", tiny_tfds).mean == mnist.mean
    assert load_images("mnist", tiny_tfds, train_examples=7).num_train == 7


def test_cifar_has_the_moments_and_augmentation_of_the_paper(tiny_tfds):
    cifar = load_images("cifar10", tiny_tfds)
    assert cifar.image_shape == (32, 32, 3)
    assert cifar.mean == (125.3, 123.0, 113.9)
    assert cifar.stddev == (63.0, 62.1, 66.7)
    assert cifar.augment


def test_cifar100_has_its_own_moments(tiny_tfds):
    cifar = load_images("cifar100", tiny_tfds)
    assert cifar.num_classes == 100 and cifar.augment
    pixels = cifar.train_images.reshape(-1, 3)
    assert cifar.mean == pytest.approx(pixels.mean(axis=0))
    assert cifar.stddev == pytest.approx(pixels.std(axis=0))


@pytest.mark.slow
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


def test_set_without_labeled_test_images_is_refused(tmp_path):
    builder = tfds.builder("fashion_mnist", data_dir=tmp_path)
    example = {"image": np.zeros((28, 28, 1), np.uint8), "label": 0}
    builder._split_generators = lambda *_: {
        "train": [(0, example)],
        "test": [(0, {**example, "label": -1})],
    }
    builder.download_and_prepare()
    with pytest.raises(ValueError, match=r"`validation` with labels.*'test'"):
        load_images("fashion_mnist", tmp_path)


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
