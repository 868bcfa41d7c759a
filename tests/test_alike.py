import dataclasses
import time

import numpy as np
import pytest

from dsr_tf.data.images import Images
from dsr_tf.runs.alike import facts
from tests.configs import config

PIXELS = np.arange(6 * 5 * 5, dtype=np.uint8).reshape(6, 5, 5, 1)
LABELS = np.arange(6) % 3
IMAGES = Images(
    "few", PIXELS, LABELS, PIXELS[:2], LABELS[:2], (9.0,), (2.0,), 3
)
FLAGS = "# a remark\n--dataset=few\n--seed=0\n--nosparse_logits\n"


@dataclasses.dataclass
class File:
    filename: str
    skip: int
    take: int


class Files:
    """Images on disk, as far as they are looked at."""

    name = "many"
    num_train = 3
    num_classes = 2
    image_shape = (8, 8, 3)

    def __init__(self, train_files, test_files):
        self.train_files, self.test_files = train_files, test_files


def differing(one, other):
    """Returns the names of the facts that differ."""
    assert one.keys() == other.keys()
    return {name for name in one if one[name] != other[name]}


def of(images=IMAGES, flags=FLAGS, **changes):
    return facts(config("run", flags=flags, **changes), images)


def test_the_same_run_has_the_same_facts():
    copy = dataclasses.replace(IMAGES, train_images=PIXELS.copy())
    assert of() == of(copy)
    assert all(isinstance(x, str) and x for x in of().values())


def test_the_preparation_of_many_features_is_a_checksum():
    rows = np.arange(6 * 99, dtype=np.float32).reshape(6, 99)
    moments = (9.0,) * 99, (2.0,) * 99
    table = Images("t", rows, LABELS, rows[:2], LABELS[:2], *moments, 3)
    other = dataclasses.replace(table, mean=(9.0,) * 98 + (8.0,))
    assert differing(of(table), of(other)) == {"their preparation"}
    assert len(of(table)["their preparation"]) < 50


def test_flags_are_facts():
    found = of(checkpoint_steps=5)
    assert found["--seed"] == "0"
    assert found["--sparse_logits"] == "False"
    assert found["--checkpoint_steps"] == "5"
    on = of(flags=FLAGS.replace("--no", "--"), checkpoint_steps=5)
    assert differing(found, on) == {"--sparse_logits"}


@pytest.mark.parametrize(
    "name, value",
    [
        ("checkpoint_steps", 5),
        ("keep_best", "val_loss"),
        ("tensorboard", True),
    ],
)
def test_what_workers_do_together_is_a_fact(name, value):
    assert differing(of(), of(**{name: value})) == {f"--{name}"}


@pytest.mark.parametrize(
    "changes", [{"run_dir": "other"}, {"keep_checkpoints": 9}]
)
def test_what_the_chief_does_alone_is_none(changes):
    settings = config("run", flags=FLAGS)
    execution = dataclasses.replace(settings.execution, **changes)
    other = dataclasses.replace(settings, execution=execution)
    assert facts(settings, IMAGES) == facts(other, IMAGES)


def test_the_same_data_may_be_in_another_folder():
    one = of(flags=FLAGS + "--data_dir=/here\n")
    assert one == of(flags=FLAGS + "--data_dir=/there\n") == of()


def changed(name, index):
    values = getattr(IMAGES, name).copy()
    values[index] += 1
    return {name: values}


@pytest.mark.parametrize(
    "changes, names",
    [
        (
            changed("train_images", (5, 4, 4, 0)),
            {"the checksum of its training images"},
        ),
        (changed("train_labels", 0), {"the checksum of its training images"}),
        (changed("test_images", 0), {"the checksum of its test images"}),
        (changed("test_labels", 1), {"the checksum of its test images"}),
        ({"augment": True}, {"their preparation"}),
        ({"mean": (8.0,)}, {"their preparation"}),
        ({"name": "other"}, {"the data set"}),
        (
            {"test_images": PIXELS, "test_labels": LABELS},
            {"its number of test images", "the checksum of its test images"},
        ),
    ],
)
def test_other_data_differ(changes, names):
    assert differing(of(), of(dataclasses.replace(IMAGES, **changes))) == names


def test_the_same_files_may_be_in_another_folder(tmp_path):
    found = []
    for folder, text in (("a", "x"), ("b", "x"), ("c", "xy")):
        path = tmp_path / folder / "5.1.0" / "images-0"
        path.parent.mkdir(parents=True)
        path.write_text(text)
        found.append(of(Files([File(str(path), 0, 3)], [])))
    assert found[0] == found[1]
    assert differing(found[0], found[2]) == {"the list of its files"}


def test_files_read_otherwise_differ():
    found = [
        of(Files([File(f"gs://b/few/{version}/images-0", 0, take)], []))
        for version, take in (("5.1.0", 3), ("5.1.1", 3), ("5.1.0", 2))
    ]
    assert differing(found[0], found[1]) == {"the list of its files"}
    assert differing(found[0], found[2]) == {"the list of its files"}


@pytest.mark.parametrize(
    "name, file",
    [
        ("init_from", "model.keras"),
        ("masks_from", "model.keras"),
        ("weights_from", "initial.keras"),
    ],
)
def test_files_to_start_from_are_compared_by_what_they_hold(
    tmp_path, name, file
):
    written = tmp_path / file
    written.write_text("one")
    one = of(**{name: str(tmp_path)})
    written.write_text("two")
    assert differing(one, of(**{name: str(tmp_path)})) == {
        f"the file of --{name}"
    }
    written.unlink()
    assert f"the file of --{name}" not in of(**{name: str(tmp_path)})


def test_a_file_to_start_from_may_be_named_itself(tmp_path):
    path = tmp_path / "net.keras"
    path.write_text("one")
    one = of(init_from=str(path))
    path.write_text("two")
    assert differing(one, of(init_from=str(path))) == {
        "the file of --init_from"
    }


def test_random_weights_have_no_file():
    assert of(weights_from="random") == of()


def test_facts_of_mnist_take_little_time():
    pixels = np.zeros((60_000, 28, 28, 1), np.uint8)
    labels = np.zeros(60_000, np.int64)
    images = Images(
        "big", pixels, labels, pixels[:10_000], labels[:10_000], (0.0,), (1.0,),
        10,
    )  # fmt: skip
    begin = time.process_time()
    of(images)
    assert time.process_time() - begin < 1.0
