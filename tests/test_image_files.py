import shutil

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from dsr_tf.data import DatasetUnavailableError
from dsr_tf.data import load_images
from dsr_tf.data.crops import central_crop
from tests.imagenet_form import NUM_TEST
from tests.imagenet_form import NUM_TRAIN
from tests.imagenet_form import jpegs
from tests.imagenet_form import write_imagenet

MEAN = np.array([123.675, 116.28, 103.53], np.float32)
STDDEV = np.array([58.395, 57.12, 57.375], np.float32)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    write_imagenet(folder)
    return folder


@pytest.fixture(scope="module")
def imagenet(data_dir):
    return load_images("imagenet2012", data_dir, image_size=32)


def arrays(batches):
    images, labels = zip(*batches, strict=True)
    return np.concatenate(images), np.concatenate(labels)


def test_set_says_what_it_holds(imagenet, data_dir):
    assert imagenet.name == "imagenet2012"
    assert imagenet.num_classes == 1000
    assert imagenet.num_train == NUM_TRAIN
    assert imagenet.image_shape == (32, 32, 3)
    assert len(imagenet.train_files) == 4
    assert load_images("imagenet2012", data_dir).image_shape == (224, 224, 3)


def test_training_batches_have_static_shapes(imagenet):
    batches = imagenet.train_batches(10, seed=0, num_shards=2)
    images, labels = batches.element_spec
    assert images == tf.TensorSpec((5, 32, 32, 3), tf.float32)
    assert labels == tf.TensorSpec((5,), tf.int64)


def test_an_epoch_holds_every_image_once(imagenet):
    images, labels = arrays(imagenet.train_batches(10, seed=0).take(5))
    assert images.shape == (50, 32, 32, 3)
    assert sorted(labels) == list(range(NUM_TRAIN))


def test_epochs_leave_out_what_makes_no_batch(imagenet):
    labels = arrays(imagenet.train_batches(20, seed=0).take(4))[1]
    first, second = labels[:40], labels[40:]
    assert len(set(first)) == len(set(second)) == 40


def test_training_images_are_parts_of_their_files(imagenet):
    images, labels = arrays(imagenet.train_batches(50, seed=0).take(10))
    crops = images * STDDEV + MEAN
    files = [
        tf.io.decode_jpeg(jpeg, channels=3, dct_method="INTEGER_ACCURATE")
        for jpeg in jpegs(NUM_TRAIN, 0)
    ]
    for crop, label in zip(crops, labels, strict=True):
        assert crop.min() > files[label].numpy().min() - 0.01
        assert crop.max() < files[label].numpy().max() + 0.01
    ours = [crops[labels == label].mean() for label in range(NUM_TRAIN)]
    theirs = [file.numpy().mean() for file in files]
    assert np.corrcoef(ours, theirs)[0, 1] > 0.95


def test_epochs_are_a_function_of_seed_and_epoch(imagenet):
    run = arrays(imagenet.train_batches(15, seed=3).take(9))
    late = arrays(imagenet.train_batches(15, 3, first_epoch=1).take(6))
    np.testing.assert_array_equal(run[0][45:], late[0])
    np.testing.assert_array_equal(run[1][45:], late[1])
    later = imagenet.train_batches(15, 3, first_epoch=1, first_step=2)
    np.testing.assert_array_equal(run[0][75:], arrays(later.take(4))[0])
    assert (run[1][:45] != run[1][45:90]).any()
    other = arrays(imagenet.train_batches(15, seed=4).take(3))
    assert (run[1][:45] != other[1]).any()


@pytest.mark.parametrize("global_seed", [0, 1])
def test_epochs_do_not_depend_on_the_global_seed(imagenet, global_seed):
    tf.random.set_seed(2)
    expected = arrays(imagenet.train_batches(25, seed=0).take(2))
    tf.random.set_seed(global_seed)
    found = arrays(imagenet.train_batches(25, seed=0).take(2))
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


def test_every_epoch_crops_anew(imagenet):
    images, labels = arrays(imagenet.train_batches(50, seed=0).take(4))
    for label in range(NUM_TRAIN):
        assert len({x.tobytes() for x in images[labels == label]}) == 4


@pytest.mark.parametrize("num_shards", [2, 5])
def test_shards_make_up_the_batch_of_one_process(imagenet, num_shards):
    # 50 images make two batches of 20: 10 are left over for no shard.
    whole = list(imagenet.train_batches(20, seed=0, first_epoch=1).take(5))
    shards = [
        list(imagenet.train_batches(20, 0, 1, 0, num_shards, i).take(5))
        for i in range(num_shards)
    ]
    for step, (images, labels) in enumerate(whole):
        for i, shard in enumerate(shards):
            np.testing.assert_array_equal(shard[step][0], images[i::num_shards])
            np.testing.assert_array_equal(shard[step][1], labels[i::num_shards])


def test_batches_must_fit_the_data(imagenet):
    with pytest.raises(ValueError, match="`batch_size` must be from 1 to"):
        imagenet.train_batches(51, seed=0)
    with pytest.raises(ValueError, match="`num_shards` must"):
        imagenet.train_batches(10, seed=0, num_shards=3)


def test_test_images_are_the_validation_split_cropped_at_the_centre(imagenet):
    images, labels = arrays(imagenet.eval_batches(5))
    # The split named test has no labels.
    assert sorted(labels) == list(range(NUM_TEST))
    files = list(jpegs(NUM_TEST, 1))
    expected = np.stack([central_crop(files[y], 32) for y in labels])
    np.testing.assert_allclose(images, (expected - MEAN) / STDDEV, atol=1e-5)
    again = arrays(imagenet.eval_batches())
    np.testing.assert_array_equal(again[0], images)
    np.testing.assert_array_equal(again[1], labels)


def test_grey_files_have_three_equal_channels(imagenet):
    images, labels = arrays(imagenet.eval_batches())
    pixels = images[labels % 5 == 4] * STDDEV + MEAN
    assert len(pixels) == 2
    np.testing.assert_allclose(pixels, pixels[..., :1].repeat(3, -1), atol=1e-3)


def test_train_examples_are_the_first_of_the_files(data_dir, imagenet):
    builder = tfds.builder("imagenet2012", data_dir=data_dir)
    stored = tfds.as_numpy(builder.as_dataset(split="train[:30]"))
    few = load_images(
        "imagenet2012", data_dir, image_size=32, train_examples=30
    )
    assert few.num_train == 30
    labels = arrays(few.train_batches(30, seed=0).take(1))[1]
    assert set(labels) == {example["label"] for example in stored}
    assert len(arrays(few.eval_batches())[1]) == NUM_TEST


@pytest.mark.parametrize("train_examples", [0, 51])
def test_train_examples_must_be_there(data_dir, train_examples):
    with pytest.raises(ValueError, match="`train_examples` must be from 1 to"):
        load_images("imagenet2012", data_dir, None, train_examples)


def test_image_size_must_be_positive(data_dir):
    with pytest.raises(ValueError, match="`image_size` must be at least 1"):
        load_images("imagenet2012", data_dir, image_size=0)


def test_imagenet_is_downloaded_by_hand(tmp_path):
    with pytest.raises(DatasetUnavailableError, match="by hand") as error:
        load_images("imagenet2012", tmp_path)
    assert "tfds build imagenet2012" in str(error.value)
    assert "\n" not in str(error.value)


def test_sets_that_are_not_of_tfrecords_are_refused(data_dir, monkeypatch):
    other = tfds.core.FileFormat.ARRAY_RECORD
    monkeypatch.setattr(tfds.core.DatasetInfo, "file_format", other)
    with pytest.raises(ValueError, match="TFRecord.*stored as array_record"):
        load_images("imagenet2012", data_dir)


class ManyDepths(tfds.core.GeneratorBasedBuilder):
    """Images of many sizes whose channels have 16 bits."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        image = tfds.features.Image(shape=(None, None, 1), dtype=np.uint16)
        label = tfds.features.ClassLabel(num_classes=2)
        features = tfds.features.FeaturesDict({"image": image, "label": label})
        return self.dataset_info_from_configs(features=features)

    def _split_generators(self, dl_manager):
        return {}

    def _generate_examples(self):
        yield


def test_images_that_are_not_of_8_bits_are_refused(tmp_path):
    with pytest.raises(ValueError, match="must have images of one size, or"):
        load_images("many_depths", tmp_path)


@pytest.mark.parametrize(
    "content, error",
    [
        (b"", "ParseError"),
        (b"[]", "AssertionError"),
        (b'{"name": 1}', "Error"),
        (bytes(range(256)), "UnicodeDecodeError"),
        (b'{"splits": [{"shardLengths": ["99999999999999999999"]}]}', "Error"),
    ],
)
def test_a_damaged_description_is_one_line(data_dir, tmp_path, content, error):
    shutil.copytree(data_dir, tmp_path / "sets")
    (path,) = (tmp_path / "sets").rglob("dataset_info.json")
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match="'imagenet2012' cannot be opened"
    ) as raised:
        load_images("imagenet2012", tmp_path / "sets")
    message = str(raised.value)
    assert message.startswith("`data_dir` must hold sets as")
    assert len(message.splitlines()) == 1 and error in message
