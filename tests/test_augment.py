import numpy as np
import pytest
import tensorflow as tf

from dsr_tf.data import Images
from dsr_tf.data.augment import PADDING
from dsr_tf.data.augment import crop_and_flip
from dsr_tf.data.augment import draw_crops


def cifar_like(num_train=60, num_test=25, augment=True):
    """Colour images whose pixels all differ, so that a crop shows."""
    rng = np.random.default_rng(0)
    size = (num_train + num_test, 32, 32, 3)
    images = rng.integers(0, 256, size, dtype=np.uint8)
    labels = np.arange(num_train + num_test)
    return Images(
        name="cifar-like",
        train_images=images[:num_train],
        train_labels=labels[:num_train],
        test_images=images[num_train:],
        test_labels=labels[num_train:],
        mean=(125.3, 123.0, 113.9),
        stddev=(63.0, 62.1, 66.7),
        num_classes=num_train + num_test,
        augment=augment,
    )


def arrays(batches):
    images, labels = zip(*batches, strict=True)
    return np.concatenate(images), np.concatenate(labels)


def raw(images, batch):
    """Undoes the normalisation."""
    pixels = batch * np.array(images.stddev) + np.array(images.mean)
    return np.rint(pixels).astype(np.uint8)


def crop(image, down, right, flip):
    """The same crop as one would write it: pad, then cut."""
    pads = ((PADDING, PADDING), (PADDING, PADDING), (0, 0))
    padded = np.pad(image, pads, mode="reflect")
    top, left = PADDING + down, PADDING + right
    height, width, _ = image.shape
    cut = padded[top : top + height, left : left + width]
    return cut[:, ::-1] if flip else cut


def test_crop_worked_by_hand():
    # Row r, column c holds 10 r + c. Two down and one to the left: the rows
    # are 2 3 4 and, reflected at row 4, 3 2; the columns 1, reflected at
    # column 0, and 0 1 2 3.
    image = 10 * np.arange(5)[:, None] + np.arange(5)
    shifts, flips = tf.constant([[2, -1]] * 2), tf.constant([False, True])
    stacked = tf.constant(np.stack([image] * 2)[..., None])
    straight, mirrored = crop_and_flip(stacked, shifts, flips)[..., 0]
    expected = [
        [21, 20, 21, 22, 23],
        [31, 30, 31, 32, 33],
        [41, 40, 41, 42, 43],
        [31, 30, 31, 32, 33],
        [21, 20, 21, 22, 23],
    ]
    assert straight.numpy().tolist() == expected
    assert mirrored.numpy().tolist() == [row[::-1] for row in expected]


def test_crops_are_those_of_a_padded_image():
    images = cifar_like(162).train_images
    grid = np.arange(-PADDING, PADDING + 1)
    shifts = np.array([(y, x) for y in grid for x in grid] * 2, np.int32)
    flips = np.arange(162) < 81
    found = crop_and_flip(tf.constant(images), shifts, tf.constant(flips))
    for image, result, shift, flip in zip(
        images, found.numpy(), shifts, flips, strict=True
    ):
        np.testing.assert_array_equal(result, crop(image, *shift, flip))


def test_draws_are_even_and_a_function_of_the_seed():
    shifts, flips = draw_crops(81_000, tf.constant([3, 1]))
    grid = (shifts.numpy() + PADDING) @ [9, 1]
    # Each of the 81 crops 1,000 times, give or take 5 standard deviations.
    assert np.abs(np.bincount(grid, minlength=81) - 1000).max() < 160
    assert len(np.bincount(grid)) == 81
    for part in (flips.numpy(), flips.numpy()[grid == 0]):
        assert abs(part.mean() - 0.5) < 2.5 / np.sqrt(len(part))
    again = draw_crops(81_000, tf.constant([3, 1]))
    other = draw_crops(81_000, tf.constant([3, 2]))
    assert (again[0] == shifts).numpy().all()
    assert (again[1] == flips).numpy().all()
    assert (other[0] != shifts).numpy().any()
    assert (other[1] != flips).numpy().any()


def test_images_too_small_to_reflect_are_refused():
    with pytest.raises(ValueError, match=r"more than 4 rows.*\(1, 4, 9, 1\)"):
        crop_and_flip(
            tf.zeros([1, 4, 9, 1]), tf.zeros([1, 2], tf.int32), tf.ones([1]) > 0
        )


def test_training_batches_hold_crops_of_their_images():
    images = cifar_like()
    batch, labels = arrays(images.train_batches(20, seed=0).take(3))
    assert batch.shape == (60, 32, 32, 3) and batch.dtype == np.float32
    assert sorted(labels) == list(range(60))
    seen = set()
    for pixels, label in zip(raw(images, batch), labels, strict=True):
        (found,) = [
            (down, right, flip)
            for down in range(-PADDING, PADDING + 1)
            for right in range(-PADDING, PADDING + 1)
            for flip in (False, True)
            if (
                crop(images.train_images[label], down, right, flip) == pixels
            ).all()
        ]
        seen.add(found)
    assert len(seen) > 40


def test_augmentation_leaves_the_order_and_the_normalisation_alone():
    plain = cifar_like(augment=False)
    batch, labels = arrays(plain.train_batches(20, seed=5).take(3))
    expected = (
        plain.train_images[labels] - np.array(plain.mean)
    ) / plain.stddev
    np.testing.assert_allclose(batch, expected, atol=1e-5)
    assert (
        labels == arrays(cifar_like().train_batches(20, 5).take(3))[1]
    ).all()


def test_epochs_are_a_function_of_seed_and_epoch():
    images = cifar_like()
    run = arrays(images.train_batches(25, seed=0).take(6))[0]
    late = arrays(images.train_batches(25, 0, first_epoch=2).take(2))[0]
    np.testing.assert_array_equal(run[100:], late)
    later = images.train_batches(25, 0, first_epoch=1, first_step=1)
    np.testing.assert_array_equal(run[75:], arrays(later.take(3))[0])
    other = arrays(images.train_batches(25, seed=1).take(6))[0]
    assert (run != other).any()


def test_every_epoch_crops_anew():
    images = cifar_like(num_train=8)
    batch, labels = arrays(images.train_batches(8, seed=0).take(12))
    for label in range(8):
        assert len({x.tobytes() for x in batch[labels == label]}) > 9


@pytest.mark.parametrize("num_shards", [2, 4])
@pytest.mark.parametrize("augment", [True, False])
def test_shards_make_up_the_batch_of_one_process(num_shards, augment):
    images = cifar_like(augment=augment)
    whole = list(images.train_batches(24, seed=0, first_epoch=1).take(5))
    shards = [
        list(images.train_batches(24, 0, 1, 0, num_shards, i).take(5))
        for i in range(num_shards)
    ]
    for step, (batch, labels) in enumerate(whole):
        for i, shard in enumerate(shards):
            np.testing.assert_array_equal(shard[step][0], batch[i::num_shards])
            np.testing.assert_array_equal(shard[step][1], labels[i::num_shards])


def test_test_images_are_not_augmented():
    images = cifar_like()
    batch, labels = arrays(images.eval_batches(10))
    assert (raw(images, batch) == images.test_images).all()
    assert (labels == images.test_labels).all()
