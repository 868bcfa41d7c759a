"""`--mode=prune` and `--period=auto`."""

import json

import keras
import pytest
from absl import flags
from absl.testing import flagsaver

from dsr_tf import cli
from dsr_tf import runs
from dsr_tf.cli import entry
from dsr_tf.layers import sparse_layers
from dsr_tf.runs import build
from dsr_tf.runs.auto_period import with_period
from dsr_tf.schedules import Constant
from tests.configs import config
from tests.own_data import write_vectors


def settings(*arguments):
    """Returns the settings of a command."""
    with flagsaver.flagsaver():
        entry.parse_flags(["main.py", *arguments])
        return cli.config()


@pytest.mark.parametrize(
    "changes, period",
    [
        ({"epochs": 100}, 15),
        ({"epochs": 1}, 3),
        ({"epochs": 100, "begin_step": 700}, 10),
        ({"epochs": 4, "method": "compressed", "num_prunes": 5}, 9),
        ({"epochs": 4, "method": "compressed", "num_prunes": 50}, 1),
    ],
)
def test_period_follows_the_length_of_the_training(changes, period):
    found = with_period(config("", period="auto", **changes), 15)
    assert found.moves.period == Constant(period)


@pytest.mark.parametrize(
    "changes, stop",
    [
        ({"method": "dsr"}, 0.75),
        ({"method": "set"}, 0.75),
        ({"method": "dsr", "stop_epoch": 3}, None),
        # These end by themselves, or go on as published, but for the very last
        # step.
        ({"method": "rigl"}, 1.0),
        ({"method": "itop"}, 1.0),
        ({"method": "itop", "stop_epoch": 3}, None),
        ({"method": "compressed", "num_prunes": 5}, 1.0),
    ],
)
def test_masks_settle_where_the_period_follows_the_length(changes, stop):
    found = with_period(config("", period="auto", epochs=100, **changes), 15)
    assert found.stop == stop
    given = config("", period=Constant(7), epochs=100, **changes)
    assert with_period(given, 15).stop is None


def test_a_period_that_is_given_is_kept():
    given = config("", period=Constant(7))
    assert with_period(given, 15) is given
    assert build.by_share(given) == []
    assert build.by_share(config("", period="auto")) == ["period"]
    static = config("", period="auto", method="static")
    assert build.by_share(static) == []


def test_prune_mode_has_defaults_of_its_own():
    found = settings("--mode=prune", "--model=a.keras")
    assert found.budget.method == "compressed"
    assert found.training.epochs == 10
    assert found.training.optimizer == "adam"
    assert found.moves.period == "auto"
    lines = found.flags.splitlines()
    assert {"--period=auto", "--method=compressed", "--epochs=10"} <= set(lines)
    own = settings(
        "--mode=prune",
        "--init_from=a",
        "--epochs=3",
        "--learning_rate=0.01",
        "--num_prunes=4",
        "--period=2",
    )
    assert own.training.epochs == 3 and own.training.optimizer == "sgd"
    assert own.settings.num_prunes == 4
    assert own.moves.period.values == (2,)


@pytest.mark.parametrize(
    "flag, message",
    [
        ("--method=dsr", "--mode=prune needs --method=compressed, which is"),
        ("--epochs=2", "needs --init_from, a trained dense network, or --mod"),
        ("--model=a.keras --num_pruned=3", "--num_pruned has no effect with"),
    ],
)
def test_flags_that_do_not_go_with_it_are_refused(flag, message, capsys):
    with pytest.raises(SystemExit) as ended:
        settings("--mode=prune", *flag.split())
    assert ended.value.code == 2
    printed = capsys.readouterr().err
    assert message in printed and len(printed.splitlines()) == 1


def test_a_dense_file_becomes_a_sparse_one_by_one_command(starter, tmp_path):
    data = write_vectors(tmp_path / "table.npz")
    model = keras.Sequential(
        [
            keras.Input((20,)),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.save(tmp_path / "dense.keras")
    command = [
        "--mode=prune",
        f"--model={tmp_path / 'dense.keras'}",
        f"--dataset={data}",
        "--sparsity=0.8",
        f"--run_dir={tmp_path / 'run'}",
    ]
    ended = starter.main(*command)
    assert (ended.returncode, ended.stderr) == (0, "")
    sparse = keras.models.load_model(tmp_path / "run" / "model.keras")
    kept = sum(layer.num_active for layer in sparse_layers(sparse))
    assert kept == round(0.2 * 23 * 32)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["prunes"] == 20 and summary["epochs"] == 10
    again = starter.main(*command, "--epochs=20")
    assert again.returncode == 1
    assert "that follow it: --learning_rate, --period" in again.stderr
    assert "--init_from" in again.stderr


def test_a_try_of_any_length_moves_weights(tmp_path):
    summary = runs.run(config(tmp_path, epochs=1, period="auto"))
    # Every 3 of 15 steps, but not in the last quarter.
    assert summary["reallocations"] == 3 and summary["weights_moved"] > 0
    assert flags.FLAGS["period"].default != "auto"
