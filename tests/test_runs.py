import csv
import dataclasses
import json
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from dsr_tf import runs
from dsr_tf.layers import sparse_layers
from dsr_tf.models import lenet_300_100
from dsr_tf.runs import build
from dsr_tf.runs.flagfile import parsed_flags
from dsr_tf.runs.folder import RunFolder
from dsr_tf.runs.optimizers import build_optimizer
from dsr_tf.runs.start import start_models
from dsr_tf.schedules import Constant
from dsr_tf.schedules import FromEpoch
from dsr_tf.schedules import Linear
from tests.configs import CONFIG
from tests.configs import config
from tests.event_file import read
from tests.imagenet_form import write_imagenet


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "dsr"
    return path, runs.run(config(path, jit="auto"))


def test_run_writes_its_files(finished):
    path, summary = finished
    assert sorted(p.name for p in path.iterdir()) == [
        ".lock", "checkpoints", "flags.cfg", "history.json", "initial.keras",
        "metrics.csv", "model.keras", "summary.json",
    ]  # fmt: skip
    assert json.loads((path / "summary.json").read_text()) == summary
    assert (path / "flags.cfg").read_text() == CONFIG.flags


def _masks(layers):
    return [layer.kernel_mask.numpy() for layer in layers]


def test_summary_agrees_with_the_model(finished):
    path, summary = finished
    model = keras.models.load_model(path / "model.keras")
    layers = sparse_layers(model)
    active = sum(int(x.kernel_mask.numpy().sum()) for x in layers)
    # 8x8 images: 64*300 + 300*100 + 100*10 weights, a tenth of each kept.
    assert summary["num_weights"] == 50_200
    assert summary["budget"] == summary["num_active"] == active == 5020
    assert summary["sparsity"] == pytest.approx(0.9)
    assert summary["model_parameters"] == 5020 + 820
    assert summary["model_sparsity"] == pytest.approx(45_180 / 51_020)
    assert [x["shape"] for x in summary["layers"]] == [
        [64, 300], [300, 100], [100, 10],
    ]  # fmt: skip
    assert [x["num_active"] for x in summary["layers"]] == [
        x.num_active for x in layers
    ]
    dead = [[(~m.any(axis=i)).sum() for i in (1, 0)] for m in _masks(layers)]
    assert [
        [x["dead_inputs"], x["dead_outputs"]] for x in summary["layers"]
    ] == dead
    assert sum(inputs for inputs, _ in dead) > 0
    assert summary["method"] == "dsr" and summary["seed"] == 0
    assert summary["reallocations"] == 3
    assert summary["weights_moved"] > 0
    assert summary["train_seconds"] > summary["reallocation_seconds"] > 0


def test_metrics_have_a_row_an_epoch(finished):
    path, summary = finished
    rows = list(csv.DictReader((path / "metrics.csv").open()))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert float(rows[-1]["val_accuracy"]) == summary["test_accuracy"]
    assert float(rows[-1]["threshold"]) == summary["threshold"]
    moved = sum(int(row["weights_moved"]) for row in rows)
    assert moved == summary["weights_moved"]
    ever = [float(row["ever_active"]) for row in rows]
    # Some of those that moved were active before.
    assert 0.1 < ever[0] < ever[2] < 0.1 + moved / 50_200
    assert ever[2] == summary["ever_active"]


def test_run_learns(finished):
    assert finished[1]["test_accuracy"] > 0.8


@pytest.mark.slow
def test_run_repeats_bit_for_bit(finished, tmp_path):
    runs.run(config(tmp_path / "again", jit="auto"))
    runs.run(config(tmp_path / "other", jit="auto", seed=1))
    models = [
        keras.models.load_model(p / "model.keras").get_weights()
        for p in (finished[0], tmp_path / "again", tmp_path / "other")
    ]
    assert all((a == b).all() for a, b in zip(*models[:2], strict=True))
    assert any((a != b).any() for a, b in zip(*models[::2], strict=True))


def test_static_run_keeps_its_masks(tmp_path):
    summary = runs.run(config(tmp_path, method="static"))
    model = keras.models.load_model(tmp_path / "model.keras")
    fresh = build.build_model(CONFIG, (8, 8, 1), 10)
    for old, new in zip(
        sparse_layers(fresh), sparse_layers(model), strict=True
    ):
        assert (old.kernel_mask.numpy() == new.kernel_mask.numpy()).all()
        assert (old.kernel.numpy() != new.kernel.numpy()).any()
    assert summary["reallocations"] == summary["weights_moved"] == 0
    assert summary["ever_active"] == 0.1
    assert summary["threshold"] is None


def test_finished_run_is_not_replaced(finished):
    path, summary = finished
    with pytest.raises(
        ValueError, match="a finished run. Give more.*add --overwrite"
    ):
        runs.run(config(path))
    assert json.loads((path / "summary.json").read_text()) == summary


@pytest.mark.slow
def test_overwrite_replaces_a_finished_run(tmp_path):
    runs.run(config(tmp_path, epochs=1))
    summary = runs.run(config(tmp_path, epochs=2, overwrite=True))
    assert json.loads((tmp_path / "summary.json").read_text()) == summary
    assert len((tmp_path / "metrics.csv").read_text().splitlines()) == 3


@pytest.mark.slow
def test_failed_run_does_not_count_as_finished(tmp_path):
    with pytest.raises(FloatingPointError, match="optimizer step"):
        runs.run(config(tmp_path, learning_rate={0: 1e30}))
    assert not (tmp_path / "summary.json").exists()
    runs.run(config(tmp_path, epochs=1))
    assert (tmp_path / "summary.json").exists()


def test_refused_settings_write_nothing(tmp_path):
    path = tmp_path / "run"
    with pytest.raises(ValueError, match="`batch_size` must be"):
        runs.run(config(path, batch_size=2000))
    assert not path.exists()


def test_budget_is_checked_before_anything_is_written(tmp_path):
    path = tmp_path / "run"
    with pytest.raises(ValueError, match="budget=5020"):
        runs.run(config(path, num_pruned=5020))
    assert not path.exists()


@pytest.mark.slow
def test_refused_settings_leave_a_finished_run(tmp_path):
    summary = runs.run(config(tmp_path, epochs=1))
    with pytest.raises(ValueError, match="budget=5020"):
        runs.run(config(tmp_path, num_pruned=5020, overwrite=True))
    assert json.loads((tmp_path / "summary.json").read_text()) == summary


def test_a_run_in_a_thread_that_moves_nothing_says_so(tmp_path, capsys):
    found = []
    settings = config(tmp_path, epochs=1, period=Constant(1000))
    # Where Python hears no signals.
    thread = threading.Thread(target=lambda: found.append(runs.run(settings)))
    thread.start()
    thread.join()
    assert (tmp_path / "summary.json").exists()
    assert found[0]["reallocations"] == found[0]["weights_moved"] == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("in this run no weight moves: masks may change")
    assert "step 15, and" in lines[0] and "period is 1000" in lines[0]
    assert any(x.endswith("0 reallocations, as none was due") for x in lines)


@pytest.mark.parametrize("method", ["dsr", "static"])
def test_non_finite_loss_is_no_finished_run(tmp_path, method):
    with pytest.raises(FloatingPointError, match="finite"):
        runs.run(config(tmp_path, method=method, learning_rate={0: 1e30}))
    assert not (tmp_path / "summary.json").exists()


def test_interrupted_writing_leaves_the_old_file(tmp_path, monkeypatch):
    folder = RunFolder(tmp_path)
    folder.write_text("flags.cfg", "old")

    def full(*args):
        raise OSError("No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space left"):
        folder.write_text("flags.cfg", "new")
    assert (tmp_path / "flags.cfg").read_text() == "old"


def test_writing_leaves_what_a_link_leads_to(tmp_path):
    foreign = tmp_path / "foreign"
    foreign.write_text("foreign")
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    for name in (".partial.flags.cfg", "flags.cfg"):
        (folder.path / name).symlink_to(foreign)
    folder.write_text("flags.cfg", "new")
    assert foreign.read_text() == "foreign"
    assert [x.name for x in folder.path.iterdir()] == ["flags.cfg"]
    assert (folder.path / "flags.cfg").read_text() == "new"


@pytest.mark.parametrize("name", ["checkpoints", "tensorboard"])
def test_linked_folders_of_an_old_run_are_left_alone(tmp_path, name):
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "checkpoint-3.index").write_text("of another run")
    folder = RunFolder(tmp_path / "run", overwrite=True)
    folder.path.mkdir()
    (folder.path / name).symlink_to(foreign)
    with folder.owned():
        folder.begin("new")
    assert not (folder.path / name).exists()
    assert not folder.resumes("new")
    assert [x.name for x in foreign.iterdir()] == ["checkpoint-3.index"]


def test_the_last_checkpoint_of_a_finished_run_alone_is_kept(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    for name in ("4.index", "5.index", "4.data-00000-of-00001"):
        (tmp_path / "checkpoints" / f"checkpoint-{name}").touch()
    write_run(tmp_path)
    with pytest.raises(ValueError, match="a finished run"):
        RunFolder(tmp_path).resumes("--seed=0")
    (left,) = (tmp_path / "checkpoints").iterdir()
    assert left.name == "checkpoint-5.index"


def test_linked_checkpoints_of_a_finished_run_are_left_alone(tmp_path):
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    for name in ("checkpoint-3.index", "checkpoint-4.index"):
        (foreign / name).touch()
    path = tmp_path / "run"
    path.mkdir()
    write_run(path)
    (path / "checkpoints").symlink_to(foreign)
    with pytest.raises(ValueError, match="a finished run"):
        RunFolder(path).resumes("--seed=0")
    assert len(list(foreign.iterdir())) == 2


def write_run(path, summary='{"epochs": 3}', flags="--seed=0"):
    (path / "summary.json").write_text(summary)
    (path / "flags.cfg").write_text(flags)
    (path / "model.keras").touch()


def test_a_damaged_summary_is_no_finished_run(tmp_path):
    write_run(tmp_path, summary="[]")
    folder = RunFolder(tmp_path)
    # Nor is the network of a run given up for it.
    with pytest.raises(ValueError, match="must hold a checkpoint, so that"):
        folder.resumes("--seed=0")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "checkpoint-5.index").touch()
    assert folder.resumes("--seed=0")


def test_an_unfinished_run_without_checkpoints_is_not_replaced(tmp_path):
    (tmp_path / "flags.cfg").write_text("--seed=0")
    with pytest.raises(ValueError, match="--seed=0 there and 1 here"):
        RunFolder(tmp_path).resumes("--seed=1")
    assert not RunFolder(tmp_path).resumes("--seed=0")
    assert not RunFolder(tmp_path, overwrite=True).resumes("--seed=1")


def test_a_new_run_leaves_no_export_of_the_old_one(tmp_path):
    own = {"weights_of_mine.npz", "model.txt"}
    for name in (*own, "weights.npz", "model_int8_dense.tflite"):
        (tmp_path / name).touch()
    (tmp_path / "saved_model").mkdir()
    folder = RunFolder(tmp_path, overwrite=True)
    with folder.owned():
        folder.begin("--seed=0")
    assert {x.name for x in tmp_path.iterdir()} == {*own, ".lock", "flags.cfg"}


@pytest.mark.parametrize("name", ["model.keras", "checkpoints", "metrics.csv"])
def test_what_is_no_run_is_not_replaced(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(ValueError, match=f"with {name}, and no flags.cfg"):
        RunFolder(tmp_path).resumes("--seed=1")
    assert not RunFolder(tmp_path, overwrite=True).resumes("--seed=1")
    (tmp_path / name).rmdir()
    (tmp_path / "notes.txt").touch()
    assert not RunFolder(tmp_path).resumes("--seed=1")


def test_a_folder_of_classes_is_no_place_for_a_run(tmp_path):
    (tmp_path / ".hidden").mkdir()
    assert not RunFolder(tmp_path).resumes("--seed=1")
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
    message = "`run_dir` must be a new folder.*holds no run.*2 folders.*cat"
    with pytest.raises(ValueError, match=message):
        RunFolder(tmp_path).resumes("--seed=1")


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    message = "`run_dir` must be a folder that can be made.*Not a directory"
    with pytest.raises(ValueError, match=message):
        RunFolder(tmp_path / "file" / "run").begin("--seed=1")


def test_run_dir_must_be_a_folder(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ValueError, match="`run_dir` must be a folder"):
        RunFolder(file)


def test_learning_rate_changes_with_the_epoch():
    optimizer = build_optimizer(CONFIG.training, steps_per_epoch=15)
    rates = []
    for step in (0, 29, 30, 44):
        optimizer.iterations.assign(step)
        rates.append(float(optimizer.learning_rate))
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01])


def test_steps_are_executed_up_to_the_next_reallocation():
    period = {0: 100, 25: 200, 50: 400}
    mnist = config("", period=period)
    assert build.steps_per_execution(mnist, 600) == 100
    assert build.steps_per_execution(config("", period={0: 15}), 15) == 15
    begins = config("", period={0: 15}, begin_step=6)
    assert build.steps_per_execution(begins, 15) == 3
    # Periods that never come into force do not count.
    unused = config("", epochs=2, period={0: 15, 25: 7})
    assert build.steps_per_execution(unused, 15) == 15
    assert build.steps_per_execution(config("", period=Constant(15)), 15) == 15
    # Where the period is another one at each step, so is what it divides.
    ramp = config("", period=Linear(10, 30))
    assert build.steps_per_execution(ramp, 600) == 1
    # Nor do those of methods that move nothing.
    still = config("", method="static", period=Linear(10, 30))
    assert build.steps_per_execution(still, 600) == 100
    # So few that a signal is heard in time.
    for method in ("static", "dense", "hashed"):
        assert build.steps_per_execution(config("", method=method), 600) == 100
        assert build.steps_per_execution(config("", method=method), 101) == 1
    assert build.steps_per_execution(config("", method="deepr"), 600) == 1
    wide = config("", model="wide_resnet", method="dense")
    has_gpu = bool(tf.config.list_physical_devices("GPU"))
    assert build.steps_per_execution(wide, 600) == (10 if has_gpu else 1)


def test_callback_of_a_method_is_built_from_its_record():
    changes = {"period": Constant(7), "stop_epoch": 2, "seed": 3}
    for method in ("dsr", "set", "compressed"):
        moves = build.build_reallocation(config("", method=method, **changes))
        assert moves.period == Constant(7)
        assert (moves.stop, moves.seed) == (FromEpoch(2), 3)
    assert build.build_reallocation(config("", method="deepr")).every_step
    for method in ("static", "hashed", "thin_dense", "dense"):
        assert build.build_reallocation(config("", method=method)) is None


def test_distribution_reaches_the_model(monkeypatch):
    given = []

    def network(**arguments):
        given.append(arguments.get("distribution"))

    monkeypatch.setitem(build.MODELS, "lenet_300_100", network)
    for distribution in ("uniform", "erk"):
        begin = config("", distribution=distribution)
        build.build_dense(begin, (8, 8, 1), 10)
        build.build_model(begin, (8, 8, 1), 10)
    assert given == [None, None, None, "erk"]


def test_settings_of_another_method_are_refused():
    with pytest.raises(ValueError, match="`settings` must be an .*Settings"):
        dataclasses.replace(CONFIG, settings=None)
    with pytest.raises(ValueError, match="`method` must be one of .*dsr"):
        budget = dataclasses.replace(CONFIG.budget, method="snip")
        dataclasses.replace(CONFIG, budget=budget)


def test_settings_of_other_methods_are_no_part_of_a_run():
    older = "--method=compressed\n--num_pruned=150\n--num_prunes=3\n"
    flags = parsed_flags(older + "--noprune_across_tensors\n--seed=0\n")
    assert flags == {
        "--method": "compressed",
        "--num_prunes": "3",
        "--noprune_across_tensors": "",
        "--seed": "0",
    }
    unknown = parsed_flags("--method=own\n--num_pruned=150\n")
    assert set(unknown) == {"--method", "--num_pruned"}


@pytest.mark.slow
def test_schedule_of_a_setting_changes_a_run(tmp_path):
    moved = [
        runs.run(config(tmp_path / str(i), method="set", drop_fraction=value))
        for i, value in enumerate((0.2, Linear(0.2, 0.0)))
    ]
    assert 0 < moved[1]["weights_moved"] < moved[0]["weights_moved"]


@pytest.mark.slow
def test_stop_epoch_ends_reallocation(tmp_path):
    summary = runs.run(config(tmp_path, stop_epoch=1))
    assert summary["reallocations"] == 1


def test_momentum_and_penalties_reach_the_optimizer_and_the_model():
    optimizer = build_optimizer(config("", momentum=0.5).training, 15)
    assert optimizer.momentum == 0.5 and optimizer.nesterov
    model = build.build_model(config("", l1=0.5, l2=0.25), (8, 8, 1), 10)
    weights = np.concatenate(
        [x.kernel.numpy().ravel() for x in sparse_layers(model)]
    )
    expected = 0.5 * np.abs(weights).sum() + 0.125 * (weights**2).sum()
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("method", ["dense", "thin_dense"])
def test_dense_runs_have_no_budget(tmp_path, method):
    summary = runs.run(config(tmp_path, method=method, width=0.1, epochs=1))
    assert summary["num_weights"] == summary["budget"] == 0
    # 8x8 images: 64*30 + 30*10 + 10*10 weights, and 2 * 50 of normalisation.
    assert summary["model_parameters"] == 2320 + 100
    assert summary["model_sparsity"] == summary["sparsity"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("method", ["set", "deepr"])
def test_rewiring_runs_keep_the_count_of_each_layer(tmp_path, method):
    summary = runs.run(config(tmp_path, method=method, epochs=1))
    active = [layer["num_active"] for layer in summary["layers"]]
    assert active == [1920, 3000, 100]
    assert summary["weights_moved"] > 0


@pytest.mark.slow
def test_hashed_runs_count_their_banks(tmp_path):
    summary = runs.run(config(tmp_path, method="hashed", epochs=1))
    assert summary["num_weights"] == 50_200
    assert summary["budget"] == summary["num_active"] == 5020
    assert summary["model_parameters"] == 5020 + 820
    assert not (tmp_path / "initial.keras").exists()
    assert summary["ever_active"] is None
    assert {x["dead_inputs"] for x in summary["layers"]} == {None}


@pytest.fixture(scope="module")
def dense(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "dense"
    runs.run(config(path, method="dense", epochs=2))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("file", ["", "model.keras"])
def test_compressed_run_reaches_its_budget_exactly(dense, tmp_path, file):
    begin = config(tmp_path, method="compressed", init_from=str(dense / file))
    summary = runs.run(begin)
    assert summary["budget"] == summary["num_active"] == 5020
    assert summary["reallocations"] == 3 and summary["prunes"] == 2
    first = keras.models.load_model(tmp_path / "initial.keras")
    trained = keras.models.load_model(dense / "model.keras")
    pairs = zip(first.get_weights(), trained.get_weights(), strict=True)
    assert all((a == b).all() for a, b in pairs)
    # What it was, it hardly forgot.
    rows = list(csv.DictReader((tmp_path / "metrics.csv").open()))
    assert float(rows[0]["accuracy"]) > 0.9


def test_too_short_a_compression_is_refused(dense, tmp_path):
    path = tmp_path / "run"
    begin = config(path, method="compressed", init_from=str(dense), epochs=1)
    message = "end at optimizer step 30 or later, the training ends at step 15"
    with pytest.raises(ValueError, match=message):
        runs.run(begin)
    # So that the same folder takes it with more epochs.
    assert not path.exists()


def test_first_weights_are_kept_whole(finished):
    path, _ = finished
    initial = keras.models.load_model(path / "initial.keras")
    twin = build.build_dense(CONFIG, (8, 8, 1), 10)
    pairs = zip(initial.get_weights(), twin.get_weights(), strict=True)
    assert all((a == b).all() for a, b in pairs)


@pytest.mark.parametrize("weights", ["first", "random"])
def test_structure_of_a_run_with_its_weights_or_fresh_ones(finished, weights):
    path, _ = finished
    begin = config(
        "",
        method="static",
        masks_from=str(path),
        weights_from=str(path) if weights == "first" else "random",
    )
    model, initial = start_models(begin, (8, 8, 1), 10)
    run = keras.models.load_model(path / "model.keras")
    first = keras.models.load_model(path / "initial.keras")
    for layer, old in zip(
        sparse_layers(model), sparse_layers(run), strict=True
    ):
        mask = old.kernel_mask.numpy()
        assert (layer.kernel_mask.numpy() == mask).all()
        kernel = first.get_layer(layer.name).kernel.numpy() * mask
        same = (layer.kernel.numpy() == kernel)[mask == 1]
        assert same.all() if weights == "first" else not same.any()
        # A structure that was found differs from the one it began with.
        assert np.count_nonzero(kernel) == mask.sum()


def test_masks_of_another_budget_are_refused(finished):
    begin = config(
        "",
        method="static",
        sparsity=0.8,
        masks_from=str(finished[0]),
        weights_from="random",
    )
    with pytest.raises(ValueError, match="10040: give the --sparsity of that"):
        start_models(begin, (8, 8, 1), 10)


def test_a_run_may_have_left_less_than_a_block_unspent(tmp_path):
    model = lenet_300_100(
        (8, 8, 1), sparsity=0.9, granularity=(10, 10), storage="blocks"
    )
    first = model.get_layer("dense_1")
    # Blocks of 8x10 beside blocks of 10x10.
    assert first.unit_size == 80
    begin = config(
        "",
        method="static",
        granularity="10x10",
        storage="blocks",
        init_from=str(tmp_path / "model.keras"),
    )
    positions = first.kernel_positions.numpy()
    first.kernel_blocks.move(positions[1:])
    model.save(tmp_path / "model.keras")
    started, _ = start_models(begin, (8, 8, 1), 10)
    found = started.get_layer("dense_1").kernel_positions.numpy()
    assert (found == positions[1:]).all()
    first.kernel_blocks.move(positions[2:])
    model.save(tmp_path / "model.keras")
    # Two blocks less is another budget: so many are drawn as it leaves free.
    started, _ = start_models(begin, (8, 8, 1), 10)
    found, kept = (
        [x.num_active for x in sparse_layers(each)]
        for each in (started, lenet_300_100((8, 8, 1), sparsity=0.9))
    )
    largest = max(layer.unit_size for layer in sparse_layers(started))
    assert 0 <= sum(kept) - sum(found) < largest
    mask = model.get_layer("dense_1").kernel_mask.numpy()
    assert started.get_layer("dense_1").kernel_mask.numpy()[mask].all()


@pytest.mark.parametrize("method", ["static", "dsr", "set", "deepr"])
@pytest.mark.parametrize("file", ["", "model.keras"])
def test_trained_weights_keep_their_masks(finished, method, file):
    path = finished[0] / file
    begin = config("", method=method, init_from=str(path), seed=1)
    model, initial = start_models(begin, (8, 8, 1), 10)
    run = keras.models.load_model(finished[0] / "model.keras")
    for new, old in zip(model.weights, run.weights, strict=True):
        assert (np.asarray(new) == np.asarray(old)).all()
    # That is all of them.
    for layer in sparse_layers(run):
        kernel = initial.get_layer(layer.name).kernel.numpy()
        assert (kernel == layer.kernel.numpy()).all()


def test_trained_weights_that_are_not_sparse_get_masks(finished, dense):
    for source, method in (
        (dense, "static"),
        (finished[0], "compressed"),
        (finished[0], "dense"),
    ):
        begin = config("", method=method, init_from=str(source))
        model, _ = start_models(begin, (8, 8, 1), 10)
        own = build.build_model(begin, (8, 8, 1), 10)
        for layer, fresh in zip(
            sparse_layers(model), sparse_layers(own), strict=True
        ):
            assert np.array_equal(layer.kernel_mask, fresh.kernel_mask)


@pytest.mark.parametrize(
    "method, more, first",
    [
        ("granet", {"initial_sparsity": 0.7}, 0.7),
        ("mest", {"soft": True}, 0.85),
    ],
)
def test_trained_weights_of_what_begins_denser_are_as_many(
    finished, method, more, first
):
    path = str(finished[0])
    begin = config("", method=method, init_from=path, sparsity=0.9, **more)
    model, _ = start_models(begin, (8, 8, 1), 10)
    active = sum(x.num_active for x in sparse_layers(model))
    assert active == round((1 - first) * 50_200)


@pytest.mark.parametrize("sparsity", [0.8, 0.95])
def test_trained_weights_under_another_budget_are_the_largest(
    finished, sparsity
):
    path = str(finished[0])
    begin = config("", method="set", init_from=path, sparsity=sparsity)
    model, initial = start_models(begin, (8, 8, 1), 10)
    run = keras.models.load_model(finished[0] / "model.keras")
    pairs = list(zip(sparse_layers(model), sparse_layers(run), strict=True))
    assert sum(x.num_active for x, _ in pairs) == round((1 - sparsity) * 50_200)
    for new, old in pairs:
        mask = new.kernel_mask.numpy()
        before = np.abs(old.kernel.numpy())
        if sparsity < 0.9:
            assert mask[old.kernel_mask.numpy()].all()
            # What is added is drawn, and not the first of all.
            added = np.flatnonzero(mask & ~old.kernel_mask.numpy())
            assert added.mean() > 0.4 * mask.size
        else:
            assert before[mask].min() >= before[~mask].max()
        assert (new.kernel.numpy() == old.kernel.numpy() * mask).all()
        kernel = initial.get_layer(new.name).kernel.numpy()
        assert (kernel == old.kernel.numpy()).all()


def test_trained_weights_of_another_network_are_refused(finished):
    begin = config("", method="static", init_from=str(finished[0]), width=0.5)
    with pytest.raises(ValueError, match="whose weights fit this netw.*shape"):
        start_models(begin, (8, 8, 1), 10)


def test_trained_weights_under_masks_of_single_weights_are_no_slices(tmp_path):
    common = {"model": "wide_resnet", "depth": 10, "width": 0.25}
    common |= {"sparsity": 0.5, "method": "set"}
    source = build.build_model(config("", **common), (8, 8, 1), 10)
    source.save(tmp_path / "model.keras")
    begin = config(
        "",
        granularity="kernel",
        init_from=str(tmp_path / "model.keras"),
        **common,
    )
    with pytest.raises(ValueError, match="`init_from`.*whose masks fit"):
        start_models(begin, (8, 8, 1), 10)


@pytest.mark.parametrize("name", ["init_from", "masks_from", "weights_from"])
def test_runs_to_start_from_must_be_there(tmp_path, name):
    begin = config("", **{name: str(tmp_path / "none")})
    with pytest.raises(ValueError, match=f"`{name}` must be the folder of a f"):
        start_models(begin, (8, 8, 1), 10)


def test_masks_of_runs_without_masks_are_refused(dense):
    begin = config(
        "", method="static", weights_from="random", masks_from=str(dense)
    )
    with pytest.raises(ValueError, match="`masks_from` must lead to a networ"):
        start_models(begin, (8, 8, 1), 10)


def test_first_weights_are_those_of_a_run(finished):
    begin = config("", weights_from=str(finished[0] / "model.keras"))
    with pytest.raises(ValueError, match="folder of a finished run that has i"):
        start_models(begin, (8, 8, 1), 10)


@pytest.mark.slow
def test_overwriting_leaves_nothing_of_the_old_run(tmp_path):
    runs.run(config(tmp_path, epochs=1))
    runs.run(config(tmp_path, method="hashed", epochs=1, overwrite=True))
    assert not (tmp_path / "initial.keras").exists()


def test_stop_epoch_ends_compression(dense, tmp_path, capsys):
    begin = config(
        tmp_path, method="compressed", init_from=str(dense), stop_epoch=1
    )
    summary = runs.run(begin)
    assert summary["prunes"] == 1
    printed = capsys.readouterr().out
    assert "too many: 1 of 2 prunes done" in printed


def test_foreign_file_to_start_from_is_refused(tmp_path):
    path = tmp_path / "foreign.keras"
    path.write_text("not a model")
    with pytest.raises(ValueError, match="a model that Keras can load"):
        start_models(config("", init_from=str(path)), (8, 8, 1), 10)


def test_steps_are_compiled_by_xla_where_that_is_faster(monkeypatch):
    perceptron = config("", jit="auto")
    wide = config("", jit="auto", model="wide_resnet")
    found = []
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: found)
    assert build.jit_compile(perceptron, num_replicas=1) is True
    # Keras refuses it there.
    assert build.jit_compile(perceptron, num_replicas=2) is False
    assert build.jit_compile(wide, num_replicas=1) is False
    found.append("a GPU")
    for each in (perceptron, wide):
        assert build.jit_compile(each, num_replicas=2) == "auto"


@pytest.mark.slow
def test_run_trains_on_so_many_images(tmp_path):
    summary = runs.run(config(tmp_path, train_examples=300, period={0: 3}))
    assert summary["reallocations"] == 3


@pytest.mark.slow
def test_slices_move_in_a_run_of_a_wide_resnet(tmp_path):
    summary = runs.run(
        config(
            tmp_path,
            model="wide_resnet",
            depth=10,
            width=0.25,
            granularity="kernel",
            group_lasso=1e-4,
            sparsity=0.5,
            num_pruned=20,
            period={0: 2},
            train_examples=400,
            epochs=1,
        )
    )
    assert summary["reallocations"] == 2
    assert summary["num_active"] == summary["budget"]
    assert all(layer["num_active"] % 9 == 0 for layer in summary["layers"])


@pytest.mark.slow
def test_resnet50_takes_steps_on_files_in_imagenets_form(tmp_path):
    write_imagenet(tmp_path)
    summary = runs.run(
        config(
            tmp_path / "run",
            dataset="imagenet2012",
            data_dir=str(tmp_path),
            image_size=32,
            model="resnet50",
            sparsity=0.8,
            batch_size=4,
            train_examples=16,
            epochs=1,
            num_pruned=1000,
            learning_rate={0: 0.01},
            period={0: 2},
        )
    )
    assert summary["reallocations"] == 2 and summary["weights_moved"] > 0
    assert summary["num_active"] == summary["budget"]
    assert summary["model_parameters"] == 7_377_320


@pytest.mark.slow
def test_tensorboard_shows_what_the_run_did(finished, tmp_path):
    path, summary = finished
    runs.run(config(tmp_path, jit="auto", tensorboard=True))
    values = read(tmp_path / "tensorboard")
    for layer in summary["layers"]:
        logged = values[f"sparsity/{layer['name']}"]
        assert sorted(logged) == [15, 30, 45]
        assert logged[45] == np.float32(layer["sparsity"])
    moved = sum(values["weights_moved"].values())
    assert moved == summary["weights_moved"]
    assert values["threshold"][45] == np.float32(summary["threshold"])
    # What is written of a run does not change it.
    model, other = (
        keras.models.load_model(p / "model.keras").get_weights()
        for p in (path, tmp_path)
    )
    assert all((a == b).all() for a, b in zip(model, other, strict=True))
    runs.run(config(tmp_path, epochs=1, overwrite=True))
    assert not (tmp_path / "tensorboard").exists()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["static", "hashed", "deepr"])
def test_tensorboard_serves_every_method(tmp_path, method):
    runs.run(config(tmp_path, method=method, epochs=2, tensorboard=True))
    values = read(tmp_path / "tensorboard")
    assert list(values["active_weights"].values()) == [5020, 5020]
    assert ("overlap_with_start" in values) == (method != "hashed")
    survives = "survival/after_1_epochs" in values
    assert survives == (method == "deepr")


def test_tensorboard_has_nothing_to_show_of_a_dense_run(tmp_path):
    path = tmp_path / "run"
    with pytest.raises(ValueError, match="must have a sparse or hashed layer"):
        runs.run(config(path, method="dense", tensorboard=True))
    assert not path.exists()
