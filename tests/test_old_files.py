"""Files that 6bffbb9, an earlier state of this library, wrote.

`old_files` holds finished runs, one that SIGTERM stopped, and a model saved
from Python; of all but one run `initial.keras` is left out. Beside them lie
what that state computed with them: digests of weights, masks and slots, and
predictions. They are not to be made again: they are there to be old.
"""

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from dsr_tf.callbacks import DSR
from dsr_tf.data import load_images
from dsr_tf.layers import sparse_layers
from tests.digest_values import digest
from tests.digest_values import of_network

pytestmark = pytest.mark.slow

FILES = Path(__file__).parent / "old_files"
RUNS = sorted(path.parent.name for path in FILES.glob("*/summary.json"))
MASKED = ["compressed", "conv_kernel", "deepr", "dsr", "set", "static"]


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """Returns a folder with copies of the old files."""
    path = tmp_path_factory.mktemp("old") / "files"
    shutil.copytree(FILES, path)
    return path


def in_each(starter, runs, path, *flags):
    """Runs main.py on each of some runs; returns, by run, how it ended."""
    return {x: starter.main(*flags, f"--run_dir={path / x}") for x in runs}


def summary_of(path):
    return json.loads((path / "summary.json").read_text())


def accuracies(path):
    """Returns the accuracies of the old runs in percent, as pages show them."""
    found = [summary_of(path / run)["test_accuracy"] for run in RUNS]
    return [f"{100 * accuracy:.2f}" for accuracy in found]


def test_there_are_runs_of_all_kinds():
    kinds = [summary_of(FILES / run)["method"] for run in RUNS]
    methods = {"dsr", "set", "deepr", "compressed", "static", "hashed", "dense"}
    assert set(kinds) == methods and len(RUNS) == 9


def test_a_report_shows_every_run(starter, old, tmp_path):
    out = tmp_path / "report"
    result = starter.main("--mode=report", f"--runs={old}/*", f"--out={out}")
    assert (result.returncode, result.stderr) == (0, "")
    page = (out / "index.html").read_text()
    assert all(accuracy in page for accuracy in accuracies(old))
    left_out = (out / "left_out.csv").read_text()
    assert left_out.count("\n") == 2 and "unfinished, after 2" in left_out


def test_a_table_shows_every_run(starter, old):
    result = starter.main("--mode=compare", f"--runs={old}/*")
    assert (result.returncode, result.stderr) == (0, "")
    table, left_out = result.stdout.split("left out:")
    assert all(f" {accuracy} " in table for accuracy in accuracies(old))
    assert len(left_out.split("\n")) == 3 and "unfinished" in left_out


def test_every_run_is_as_good_as_it_was(starter, old):
    for run, result in in_each(starter, RUNS, old, "--mode=evaluate").items():
        assert (result.returncode, result.stderr) == (0, ""), run
        accuracy = f"{summary_of(old / run)['test_accuracy']:.4f}"
        first, _, last = result.stdout.splitlines()
        assert first.split()[:2] == ["accuracy", accuracy]
        assert last.split()[:2] == ["recorded", accuracy]
        assert last.endswith("the same")


@pytest.mark.parametrize(
    "format, name", [("npz", "weights.npz"), ("saved_model", "saved_model")]
)
def test_every_run_with_a_budget_is_exported(starter, old, format, name):
    runs = [run for run in RUNS if run != "dense"]
    ends = in_each(starter, runs, old, "--mode=export", f"--format={format}")
    for run, result in ends.items():
        assert (result.returncode, result.stderr) == (0, ""), run
        assert (old / run / name).exists()


@pytest.mark.parametrize("run", RUNS)
def test_networks_of_runs_load_as_they_were(run):
    model = keras.models.load_model(FILES / run / "model.keras")
    slots = {"slots": digest(model.optimizer.variables)}
    expected = json.loads((FILES / "digests.json").read_text())[run]
    assert expected.items() <= (of_network(model) | slots).items()
    images = next(iter(load_images("digits").eval_batches(32)))[0]
    with np.load(FILES / "predictions.npz") as predictions:
        assert_close(model.predict(images, verbose=0), predictions[run])
    active = [layer.num_active for layer in sparse_layers(model)]
    assert bool(active) == (run in MASKED)
    if run in MASKED:
        layers = summary_of(FILES / run)["layers"]
        assert active == [layer["num_active"] for layer in layers]


def assert_close(found, expected):
    # Machines round differently.
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_a_model_saved_from_python_loads_as_it_was():
    model = keras.models.load_model(FILES / "network.keras")
    found = {
        "trained": model.trainable_weights,
        "slot": model.optimizer.variables,
    }
    with np.load(FILES / "network.npz") as old:
        for kind, variables in found.items():
            names = sorted(name for name in old if name.startswith(kind))
            for name, variable in zip(names, variables, strict=True):
                np.testing.assert_array_equal(variable, old[name])
        layers = sparse_layers(model)
        assert len(layers) == 4
        for layer in layers:
            mask = old[f"mask/{layer.name}"]
            np.testing.assert_array_equal(layer.kernel_mask, mask)
        assert_close(model.predict(old["x"], verbose=0), old["predictions"])


def test_a_model_saved_from_python_trains_on():
    model = keras.models.load_model(FILES / "network.keras")
    before = [layer.num_active for layer in sparse_layers(model)]
    masks = [layer.kernel_mask.numpy() for layer in sparse_layers(model)]
    assert [x.unit_size for x in sparse_layers(model)] == [9, 1, 1, 1]
    assert model.optimizer.iterations.numpy() == 32
    with np.load(FILES / "network.npz") as old:
        history = model.fit(
            old["x"],
            old["y"],
            batch_size=4,
            epochs=2,
            verbose=0,
            callbacks=[DSR(6, period=2, initial_threshold=0.02)],
        )
    assert model.optimizer.iterations.numpy() == 40
    assert set(history.history) >= {"accuracy", "loss", "weights_moved"}
    after = [layer.num_active for layer in sparse_layers(model)]
    unspent = sum(before) - sum(after)
    assert 0 <= unspent < 9
    layers = sparse_layers(model)
    pairs = zip(layers, masks, strict=True)
    assert any((x.kernel_mask.numpy() != mask).any() for x, mask in pairs)
    assert not any(
        x.kernel.numpy()[~x.kernel_mask.numpy()].any() for x in layers
    )


def test_flags_of_every_run_make_one_that_starts_alike(starter, old, tmp_path):
    for run in RUNS:
        result = starter.main(
            f"--flagfile={old / run / 'flags.cfg'}",
            f"--run_dir={tmp_path / run}",
            "--epochs=1",
            # To compile its steps by XLA takes longer than to take them.
            "--jit=off",
            # Pruning may end before its last prune.
            *(["--stop_epoch=1"] if run == "compressed" else []),
        )
        assert (result.returncode, result.stderr) == (0, ""), run
        was, became = summary_of(old / run), summary_of(tmp_path / run)
        same = ("dataset", "model", "method", "seed", "budget", "num_weights")
        assert [became[name] for name in same] == [was[name] for name in same]
        starts = [
            [layer["num_active_at_start"] for layer in summary["layers"]]
            for summary in (was, became)
        ]
        assert starts[0] == starts[1]
    assert first_weights(tmp_path / "dsr") == first_weights(old / "dsr")


def first_weights(run):
    model = keras.models.load_model(run / "initial.keras", compile=False)
    return [np.asarray(weight).tolist() for weight in model.weights]


STARTS = {
    "static": "--init_from={old}/dense",
    "file": "--init_from={old}/dsr/model.keras",
    "masks": "--masks_from={old}/dsr --weights_from={old}/dsr",
    "masks_alone": "--masks_from={old}/deepr --weights_from=random",
}


def test_runs_start_from_old_ones(starter, old, tmp_path):
    flags = "--model=lenet_300_100 --width=0.1 --sparsity=0.8 --epochs=1"
    flags += " --train_examples=200 --batch_size=100 --method=static"
    for name, start in STARTS.items():
        given = f"{flags} {start.format(old=old)}".split()
        result = starter.main(*given, f"--run_dir={tmp_path / name}")
        assert (result.returncode, result.stderr) == (0, ""), name
    for name, source in (("masks", "dsr"), ("masks_alone", "deepr")):
        assert masks(tmp_path / name) == masks(old / source)


def masks(run):
    model = keras.models.load_model(run / "model.keras", compile=False)
    layers = sparse_layers(model)
    return [layer.kernel_mask.numpy().tolist() for layer in layers]


def test_an_unfinished_run_goes_on_or_is_refused_whole(starter, old):
    path = old / "unfinished"
    before = contents(path)
    lines = (path / "flags.cfg").read_text().splitlines()
    result = starter.main(*lines[1:], f"--run_dir={path}")
    if result.returncode == 0:
        assert result.stdout.startswith("resuming after epoch 2/8")
        assert summary_of(path)["epochs"] == 8
        rows = (path / "metrics.csv").read_text().splitlines()
        assert [row.split(",")[0] for row in rows[1:]] == list("01234567")
        assert len({row.count(",") for row in rows}) == 1
    else:
        assert len(result.stderr.splitlines()) == 1
        assert contents(path) == before


def contents(path):
    files = (x for x in path.rglob("*") if x.is_file())
    return {file.relative_to(path): file.read_bytes() for file in files}
