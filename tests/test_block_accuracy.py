import json
import shlex

import pytest

from benchmarks import block_accuracy
from benchmarks import block_table
from benchmarks import block_training
from benchmarks.block_accuracy import EPOCHS
from benchmarks.block_accuracy import command_of
from benchmarks.block_accuracy import parsed
from benchmarks.block_accuracy import planned
from benchmarks.block_accuracy import run_all
from dsr_tf.layers import sparse_layers

ALL = "--network=mlp", "--seeds=0,1,2"


@pytest.fixture
def trained(monkeypatch):
    """Returns the runs that were trained, each without being so."""
    runs = []

    def accuracy(run):
        runs.append(run)
        return 97.0 + run.seed

    monkeypatch.setattr(block_accuracy, "accuracy", accuracy)
    return runs


def test_planned_has_dense_once_a_seed_and_seeds_in_turn():
    runs = planned(parsed(ALL))
    assert len(runs) == len(set(runs)) == 3 * (1 + 4 * 4 * 2)
    assert [run.seed for run in runs] == [0] * 33 + [1] * 33 + [2] * 33
    assert {run.epochs for run in runs} == {EPOCHS["mlp"]}


@pytest.mark.parametrize("more", [(), ("--choose",), ("--drop_fraction=0.1",)])
@pytest.mark.parametrize("network", EPOCHS)
def test_command_of_a_run_plans_this_run_alone(network, more):
    for run in planned(parsed([f"--network={network}", *more])):
        words = shlex.split(command_of(run))
        assert words[:3] == ["python", "-m", "benchmarks.block_accuracy"]
        assert planned(parsed(words[3:])) == [run]


def test_run_all_goes_on_where_it_stopped(tmp_path, trained):
    path = tmp_path / "found.json"
    runs = planned(parsed(ALL))
    run_all(runs[:4], path)
    records = run_all(runs[:7], path)
    assert trained == runs[:7]
    assert json.loads(path.read_text()) == records
    assert [row["command"] for row in records] == list(
        map(command_of, runs[:7])
    )


def test_run_all_runs_again_with_other_settings(tmp_path, trained):
    path = tmp_path / "found.json"
    for more in ([], ["--epochs=1"], ["--choose"]):
        run_all(planned(parsed(["--methods=dense", *more])), path)
    assert [(run.epochs, run.tested) for run in trained] == [
        (12, "test"),
        (1, "test"),
        (12, "choice"),
    ]


def test_out_in_no_folder_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        parsed([f"--out={tmp_path}/none/found.json"])
    assert "folder that exists" in capsys.readouterr().err


def test_table_has_mean_and_spread_of_test_images(capsys, trained):
    given = [
        "--methods=dense,static,dsr",
        "--granularities=weight,16x16",
        "--densities=0.1",
    ]
    runs = planned(parsed([*given, "--seeds=0,2"]))
    chosen = planned(parsed([*given, "--choose"]))
    records = run_all([*runs[:-1], *chosen], None)
    capsys.readouterr()
    block_table.show(records)
    # Seeds 0 and 2 have 97 and 99; the last run of seed 2 is left out.
    assert capsys.readouterr().out.split("\n") == [
        "",
        "mlp, dense: 98.00 ± 1.41",
        "",
        "| granularity | 0.1, static | 0.1, DSR |",
        "|---|---|---|",
        "| weight | 98.00 ± 1.41 | 98.00 ± 1.41 |",
        "| 16x16 | 98.00 ± 1.41 | 97.00 |",
        "",
    ]


@pytest.mark.parametrize("granularity, blocks", [("16x16", 114), ("32x32", 32)])
def test_dsr_moves_a_share_of_the_blocks(granularity, blocks):
    given = ["--methods=dsr", "--densities=0.1"]
    (run,) = planned(parsed([*given, f"--granularities={granularity}"]))
    model = block_training.sparse_network(run, (28, 28, 1), 10)
    layers = sparse_layers(model)
    # 784 inputs have no divisor 32, and so blocks of 28 rows.
    assert [layer.name for layer in layers] == ["large", "small"]
    active = [layer.num_active // layer.unit_size for layer in layers]
    assert sum(active) == blocks
    (moves,) = block_training.dsr_moves(run, model)
    assert moves.method.prune.num_pruned == round(0.3 * blocks)


def test_table_shows_what_is_still_to_run(capsys, trained):
    given = ["--densities=0.1", "--granularities=weight,8x8"]
    runs = planned(parsed([*given, "--methods=set"]))
    more = planned(parsed([*given, "--methods=dsr"]))[:1]
    records = run_all([*runs, *more], None)
    capsys.readouterr()
    block_table.show(records)
    assert capsys.readouterr().out.split("\n")[1:] == [
        "mlp, dense: –",
        "",
        "| granularity | 0.1, SET | 0.1, DSR |",
        "|---|---|---|",
        "| weight | 97.00 | 97.00 |",
        "| 8x8 | 97.00 | – |",
        "",
    ]


def test_measure_is_quick_alone():
    with pytest.raises(ValueError, match="`quick` must be True"):
        block_accuracy.measure(9, quick=False)
