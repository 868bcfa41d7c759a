import importlib
import json
import shutil

import keras
import pytest

from dsr_tf import runs
from dsr_tf.data import load_images
from dsr_tf.layers import sparse_layers
from dsr_tf.schedules import Linear
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


def test_an_interrupted_run_goes_on_and_says_from_where(folder, whole, capsys):
    summary = runs.run(config(folder))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        f"resuming after epoch 2/4, step 30 of the run, "
        f"from {folder / 'checkpoints'}"
    )
    assert lines[1].startswith("epoch 3/4")
    expected = json.loads((whole / "summary.json").read_text())
    for name in ("train_seconds", "reallocation_seconds"):
        assert summary.pop(name) > 0 and expected.pop(name) > 0
    assert summary == expected
    metrics = (whole / "metrics.csv").read_bytes()
    assert (folder / "metrics.csv").read_bytes() == metrics
    # The last one alone stays, for more epochs.
    (index,) = (folder / "checkpoints").glob("*.index")
    assert index.name == "checkpoint-4.index"


def test_an_interrupted_run_of_blocks_goes_on(tmp_path, monkeypatch, capsys):
    blocks = {"granularity": "16x16", "num_pruned": 3, "jit": "auto"}
    monkeypatch.setattr(run_module, "EpochLine", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        runs.run(config(tmp_path / "run", **blocks))
    monkeypatch.undo()
    summary = runs.run(config(tmp_path / "run", **blocks))
    assert "resuming after epoch 2/4" in capsys.readouterr().out
    whole = runs.run(config(tmp_path / "whole", **blocks))
    for name in ("train_seconds", "reallocation_seconds"):
        assert summary.pop(name) > 0 and whole.pop(name) > 0
    assert summary == whole and whole["weights_moved"] > 0
    model = keras.models.load_model(tmp_path / "run" / "model.keras")
    for layer, size in zip(sparse_layers(model), (240, 150, 100), strict=True):
        units = layer.kernel_units
        assert units.size == size and str(units.granularity) == "16x16"
        units.of_mask(layer.kernel_mask.numpy())


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


@pytest.mark.parametrize("name", ["r[1]", "a *?\\\n[!b] ü,%s#'\"-=;$(c)"])
def test_any_characters_in_paths(tmp_path, interrupted, name, capsys):
    shutil.copytree(interrupted, tmp_path / name)
    # What a pattern would find instead.
    sibling = tmp_path / "r1" / "checkpoints"
    sibling.mkdir(parents=True)
    for path in (interrupted / "checkpoints").glob("checkpoint-1.*"):
        shutil.copy(path, sibling / path.name.replace("-1.", "-2."))
    runs.run(config(tmp_path / name))
    assert capsys.readouterr().out.startswith("resuming after epoch 2/4")
    assert len(list(sibling.iterdir())) == 2


@pytest.mark.parametrize(
    "content", [None, b"", b"\xff\x00\x13", b"foreign,text\r\n1,2\r\n"]
)
def test_rows_of_metrics_belong_to_the_checkpoint(folder, whole, content):
    path = folder / "metrics.csv"
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    runs.run(config(folder))
    assert path.read_bytes() == (whole / "metrics.csv").read_bytes()


@pytest.mark.parametrize("damage", [b"", b"\xff\xfe", b"--seed=7\n"])
def test_damaged_flags_are_named_and_nothing_is_changed(folder, damage):
    (folder / "flags.cfg").write_bytes(damage)
    before = {p: p.stat().st_mtime_ns for p in folder.glob("**/*")}
    with pytest.raises(ValueError, match="`run_dir` .*(flags.cfg|--dataset)"):
        runs.run(config(folder))
    assert {p: p.stat().st_mtime_ns for p in folder.glob("**/*")} == before


@pytest.mark.parametrize("name", ["checkpoints", "metrics.csv", "tensorboard"])
def test_a_run_does_not_go_on_through_links(folder, tmp_path, name):
    if name != "tensorboard":
        (folder / name).rename(tmp_path / "elsewhere")
    (folder / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=f"its files itself.*{name}, a link"):
        runs.run(config(folder))


def test_a_checkpoint_of_another_network_is_passed_over(folder, capsys):
    other = folder.parent / "other"
    runs.run(configs.config(other, epochs=1, method="static"))
    for path in (other / "checkpoints").glob("checkpoint-1.*"):
        name = path.name.replace("-1.", "-9.")
        shutil.copy(path, folder / "checkpoints" / name)
    capsys.readouterr()
    runs.run(config(folder))
    lines = capsys.readouterr().out.splitlines()
    assert "checkpoint-9 does not fit (its method is none, here" in lines[0]
    assert lines[1].startswith("resuming after epoch 2/4")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "whole"
    runs.run(config(path))
    return path


def flags_of(epochs):
    return f"--dataset=digits\n--epochs={epochs}\n"


@pytest.mark.parametrize("ends", [True, False])
def test_more_epochs_go_on(tmp_path, whole, capsys, ends, monkeypatch):
    path = tmp_path / "run"
    if ends:
        runs.run(configs.config(path, epochs=2, flags=flags_of(2)))
    else:
        monkeypatch.setattr(run_module, "EpochLine", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            runs.run(configs.config(path, epochs=3, flags=flags_of(3)))
        monkeypatch.undo()
    capsys.readouterr()
    summary = runs.run(config(path, flags=flags_of(4)))
    assert capsys.readouterr().out.startswith("resuming after epoch 2/4")
    assert summary["epochs"] == 4
    assert (path / "flags.cfg").read_text() == flags_of(4)
    for name in ("metrics.csv", "model.keras"):
        assert content(path / name) == content(whole / name)


def test_fewer_epochs_do_not_replace_a_finished_run(tmp_path):
    runs.run(configs.config(tmp_path, epochs=2, flags=flags_of(2)))
    for epochs, message in (
        (1, "--epochs=2 there and 1 here"), (2, "Give more --epochs"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            flags = flags_of(epochs)
            runs.run(configs.config(tmp_path, epochs=epochs, flags=flags))


def test_shares_of_the_training_keep_its_length(tmp_path):
    ramp = {"period": Linear(15, 30)}
    runs.run(configs.config(tmp_path, epochs=1, flags=flags_of(1), **ramp))
    with pytest.raises(ValueError, match="settings that follow it: --period$"):
        runs.run(configs.config(tmp_path, epochs=2, flags=flags_of(2), **ramp))


def test_a_finished_run_without_a_checkpoint_says_so(tmp_path):
    runs.run(configs.config(tmp_path, epochs=1, flags=flags_of(1)))
    shutil.rmtree(tmp_path / "checkpoints")
    with pytest.raises(ValueError, match="must hold a checkpoint, so that"):
        runs.run(configs.config(tmp_path, epochs=2, flags=flags_of(2)))


def test_a_folder_belongs_to_one_run_at_a_time(folder):
    with run_module.RunFolder(folder).owned():
        before = {p: p.stat().st_mtime_ns for p in folder.glob("**/*")}
        with pytest.raises(ValueError, match="is in use by another"):
            runs.run(config(folder))
        assert {p: p.stat().st_mtime_ns for p in folder.glob("**/*")} == before
    runs.run(config(folder))


def test_a_folder_that_is_written_is_not_exported(whole):
    with run_module.RunFolder(whole).owned():
        with pytest.raises(ValueError, match="is in use by another"):
            runs.export_run(str(whole), "npz")
    assert runs.export_run(str(whole), "npz").exists()


def test_a_run_that_began_meanwhile_is_left_alone(tmp_path, interrupted):
    folder = run_module.RunFolder(tmp_path / "run")
    with folder.owned():
        assert not folder.resumes(configs.CONFIG.flags)
        shutil.copytree(interrupted, folder.path)
        with pytest.raises(ValueError, match="where one has just begun"):
            folder.begin(configs.CONFIG.flags)
    assert (folder.path / "metrics.csv").exists()


def content(path):
    """Returns what a file holds; of a network its weights."""
    if path.suffix != ".keras":
        return path.read_bytes()
    model = keras.models.load_model(path)
    return [x.numpy().tolist() for x in model.variables]
