"""Runs on a data set of one's own, without a test split."""

import json

import pytest

from dsr_tf import runs
from tests.configs import config
from tests.own_sets import write_set

PART = "train[80%:]"


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    return str(write_set(folder, {"train": [i % 3 for i in range(50)]}))


@pytest.fixture(scope="module")
def finished(sets, tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "run"
    data = {"dataset": "own_set", "data_dir": sets, "test_split": PART}
    summary = runs.run(
        config(path, **data, batch_size=10, epochs=1, period={0: 2}, width=0.1)
    )
    return path, summary


def test_a_run_is_tested_on_what_it_was_not_trained_on(finished, sets, capsys):
    path, summary = finished
    assert summary["test_split"] == PART and summary["train_split"] is None
    # 4 steps of 10 images.
    assert summary["reallocations"] == 2
    result = runs.evaluate(str(path), data_dir=sets)
    assert result["num_images"] == 10 and result["test_split"] == PART
    assert result["accuracy"] == pytest.approx(
        summary["test_accuracy"], abs=1e-6
    )
    printed = capsys.readouterr().out
    assert f"on the 10 test examples of own_set, {PART}" in printed


def test_a_file_of_a_run_is_tested_on_any_part(finished, sets):
    file = str(finished[0] / "model.keras")
    result = runs.evaluate(file, "own_set", sets, "train[:8]", "train[8:20]")
    assert result["num_images"] == 12
    with pytest.raises(ValueError, match="`test_split` must be given"):
        runs.evaluate(file, "own_set", sets)


def test_a_run_has_a_part_of_its_own(finished, sets):
    with pytest.raises(ValueError, match="`test_split` must be that of the r"):
        runs.evaluate(str(finished[0]), data_dir=sets, test_split="train[:5]")


def test_a_run_is_exported_with_images_that_it_trained_on(finished, sets):
    path = runs.export_run(str(finished[0]), "tflite", "int8", sets)
    assert path.exists()


def test_a_part_that_is_no_text_is_a_damage(finished, sets, tmp_path):
    (tmp_path / "model.keras").touch()
    summary = {**finished[1], "test_split": 5}
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    with pytest.raises(ValueError, match="it has no valid `test_split`"):
        runs.evaluate(str(tmp_path), data_dir=sets)
