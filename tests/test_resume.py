import importlib
import shutil

import keras
import pytest

from dsr_tf import runs
from dsr_tf.data import load_images
from tests import configs
from tests.event_file import read

pytestmark = pytest.mark.slow

# `runs.run` is the function of the same name.
run_module = importlib.import_module("dsr_tf.runs.run")


class Interrupted(run_module.EpochLine):
    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        if epoch == 2:
            raise KeyboardInterrupt


def config(path, **changes):
    return configs.config(path, epochs=4, **changes)


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """Returns the folder of a run that was interrupted in its third epoch."""
    path = tmp_path_factory.mktemp("runs") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_module, "EpochLine", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            runs.run(config(path))
    return path


@pytest.fixture
def folder(tmp_path, interrupted):
    shutil.copytree(interrupted, tmp_path / "run")
    return tmp_path / "run"


def test_an_interrupted_run_goes_on_and_says_from_where(
    folder, tmp_path, capsys
):
    summary = runs.run(config(folder))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        f"resuming after epoch 2/4, step 30 of the run, "
        f"from {folder / 'checkpoints'}"
    )
    assert lines[1].startswith("epoch 3/4")
    whole = runs.run(config(tmp_path / "whole"))
    for name in ("train_seconds", "reallocation_seconds"):
        assert summary.pop(name) > 0 and whole.pop(name) > 0
    assert summary == whole
    metrics = (tmp_path / "whole" / "metrics.csv").read_bytes()
    assert (folder / "metrics.csv").read_bytes() == metrics
    assert not (folder / "checkpoints").exists()


def test_a_run_of_other_flags_is_refused_with_the_differences(folder):
    flags = "--dataset=mnist\n--seed=1\n"
    before = {p: p.stat().st_mtime_ns for p in folder.glob("**/*")}
    with pytest.raises(
        ValueError,
        match="other flags.*with --dataset=digits there and mnist here, "
        r"--seed=\(not given\) there and 1 here",
    ):
        runs.run(config(folder, flags=flags))
    assert {p: p.stat().st_mtime_ns for p in folder.glob("**/*")} == before


def test_overwrite_replaces_a_run_of_other_flags(folder, capsys):
    flags = "--dataset=digits\n--seed=1\n"
    runs.run(config(folder, flags=flags, seed=1, overwrite=True))
    assert capsys.readouterr().out.startswith("epoch 1/4")
    assert (folder / "flags.cfg").read_text() == flags


def test_overwrite_goes_on_with_a_run_of_the_same_flags(folder, capsys):
    runs.run(config(folder, overwrite=True))
    assert capsys.readouterr().out.startswith("resuming after epoch 2/4")


def test_a_damaged_checkpoint_is_told(folder, capsys):
    newest = folder / "checkpoints" / "checkpoint-2.data-00000-of-00001"
    newest.write_bytes(newest.read_bytes()[:1000])
    runs.run(config(folder))
    lines = capsys.readouterr().out.splitlines()
    assert "checkpoint-2 cannot be read (" in lines[0]
    assert lines[0].endswith("; the one before it is used")
    assert lines[1].startswith("resuming after epoch 1/4, step 15 ")


@pytest.mark.parametrize("metric", ["val_accuracy", "val_loss"])
def test_the_network_of_the_best_epoch_is_kept(tmp_path, metric):
    # At such a rate the last epoch is not the best.
    rates = {0: 0.1, 3: 4.0}
    runs.run(config(tmp_path, keep_best=metric, learning_rate=rates))
    rows = run_module.RunFolder(tmp_path, True).metrics()
    values = [float(row[metric]) for row in rows]
    best = min(values) if metric == "val_loss" else max(values)
    assert values[-1] != best
    model = keras.models.load_model(tmp_path / "best.keras")
    batches = load_images("digits").eval_batches()
    result = model.evaluate(batches, verbose=0, return_dict=True)
    assert result[metric.removeprefix("val_")] == pytest.approx(best, rel=1e-6)
    runs.run(config(tmp_path, overwrite=True, learning_rate=rates))
    assert not (tmp_path / "best.keras").exists()


def test_a_resumed_run_goes_on_writing_for_tensorboard(tmp_path, monkeypatch):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    runs.run(config(whole, tensorboard=True))
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "EpochLine", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            runs.run(config(stopped, tensorboard=True))
    runs.run(config(stopped, tensorboard=True))
    expected, found = read(whole / "tensorboard"), read(stopped / "tensorboard")
    assert sorted(found) == sorted(expected)
    for tag, rows in expected.items():
        assert sorted(found[tag]) == sorted(rows)
        assert all((found[tag][step] == rows[step]).all() for step in rows)
