"""Multiply-adds of trainings: by hand, of whole runs, and of resumed ones."""

import csv
import importlib
import json
import signal

import keras
import pytest
import tensorflow as tf

import dsr_tf
from dsr_tf import runs
from dsr_tf.analysis.training_cost import TrainingCost
from dsr_tf.callbacks import PreemptedError
from dsr_tf.layers import HashedDense
from dsr_tf.layers import SparseConv2D
from dsr_tf.layers import SparseDense
from dsr_tf.runs.multiply_adds import CountMultiplyAdds
from dsr_tf.runs.multiply_adds import earlier_multiply_adds
from tests.configs import config

# `runs.run` is the function of the same name.
run_module = importlib.import_module("dsr_tf.runs.run")

# Of 8x8 images: 64*300 + 300*100 + 100*10 weights, each used once.
WEIGHTS, KEPT = 50_200, 5_020
# 15 batches of 100 in each of three epochs.
STEPS, EXAMPLES = 45, 4_500


def test_steps_worked_by_hand():
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            SparseConv2D(4, 3, 0.5, name="conv"),
            keras.layers.Flatten(),
            keras.layers.Dense(5),
            HashedDense(3, 0.5),
        ]
    )
    cost = TrainingCost(model)
    # Of 72 weights 36 are kept, and used at 4x4 places. The hashed layer has
    # no zeros to skip.
    forward = 16 * 36 + 64 * 5 + 5 * 3
    assert cost.of_steps(10, 0) == 3 * 10 * forward
    assert cost.of_steps(10, 4) == 3 * 10 * forward + 4 * 16 * (72 - 36)
    summary = dsr_tf.summary(model, print_fn=None)
    assert cost.of_steps(1, 0) == 3 * summary.model.sparse_multiply_adds
    # Masks are read anew.
    conv = model.get_layer("conv")
    conv.kernel_mask.assign(tf.ones_like(conv.kernel_mask))
    assert cost.of_steps(1, 1) == 3 * (forward + 16 * 36)


def test_what_is_not_known_of_a_layer_is_not_known_in_all():
    inputs = keras.Input((4, 3))
    x = keras.layers.LSTM(5)(inputs)
    model = keras.Model(inputs, SparseDense(2, 0.5)(x))
    assert TrainingCost(model).of_steps(10, 0) is None


def active(path):
    rows = csv.DictReader((path / "metrics.csv").open())
    return [int(row["active_weights"]) for row in rows]


@pytest.mark.parametrize(
    "method, more, kept_steps",
    [
        ("static", {}, 0),
        ("dsr", {}, 0),
        # The last steps before steps 15, 30 and 45.
        ("rigl", {}, 3),
        ("itop", {"period": {0: 20}}, 2),
        # Of every step, as the mean goes over 66 of them.
        ("snfs", {}, STEPS),
        # At step 30; the next one would be at 50.
        (
            "dsr",
            {
                "growth": "gradient",
                "regrow_stddev": 0.0,
                "begin_step": 10,
                "period": {0: 20},
            },
            1,
        ),
    ],
)
def test_a_run_counts_its_epochs_and_gradients(
    tmp_path, method, more, kept_steps
):
    summary = runs.run(config(tmp_path, method=method, jit="auto", **more))
    kept = 100 * kept_steps * (WEIGHTS - KEPT)
    assert summary["num_active"] == KEPT
    assert summary["training_multiply_adds"] == 3 * EXAMPLES * KEPT + kept
    assert summary["earlier_multiply_adds"] == 0


def test_other_networks_count_all_their_weights(tmp_path):
    for method in ("dense", "hashed"):
        summary = runs.run(config(tmp_path / method, method=method, epochs=1))
        assert summary["training_multiply_adds"] == 3 * 1500 * WEIGHTS


def test_what_begins_denser_takes_more(tmp_path):
    totals = {}
    for method, more in {
        "granet": {"initial_sparsity": 0.5, "until": 0.6},
        "mest": {"soft": True},
    }.items():
        path = tmp_path / method
        summary = runs.run(config(path, method=method, **more))
        counts = active(path)
        assert counts[0] > counts[-1] == KEPT
        # Gradients are kept in the step before each of three reallocations.
        skipped = [WEIGHTS - count for count in counts]
        totals[method] = summary["training_multiply_adds"]
        assert totals[method] == 3 * 1500 * sum(counts) + 100 * sum(skipped)
    assert min(totals.values()) > 3 * EXAMPLES * KEPT + 100 * 3 * WEIGHTS


def test_pruning_says_what_the_trained_network_took(tmp_path):
    dense, path = tmp_path / "dense", tmp_path / "pruned"
    first = runs.run(config(dense, method="dense", epochs=1))
    summary = runs.run(config(path, method="compressed", init_from=str(dense)))
    earlier = first["training_multiply_adds"]
    assert summary["earlier_multiply_adds"] == earlier == 3 * 1500 * WEIGHTS
    own = 3 * 1500 * sum(active(path))
    assert summary["training_multiply_adds"] == own
    assert earlier_multiply_adds(str(path)) == own + earlier
    # Of a file nothing is known, nor of older runs.
    assert earlier_multiply_adds(str(dense / "model.keras")) is None
    (dense / "summary.json").write_text('{"training_multiply_adds": 7}')
    assert earlier_multiply_adds(str(dense)) is None


class Stopping(run_module.EpochLine):
    """Asks for a checkpoint and the end of the process, within an epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.epoch == 1:
            signal.raise_signal(signal.SIGTERM)


def stopped(path, monkeypatch, **changes):
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "EpochLine", Stopping)
        with pytest.raises(PreemptedError):
            runs.run(config(path, **changes))


@pytest.mark.parametrize(
    "method, more",
    [
        # After five steps of the second epoch.
        ("rigl", {"period": {0: 5}}),
        ("granet", {"until": 0.9, "period": {0: 5}}),
        ("snfs", {"period": {0: 20}}),
    ],
)
def test_a_resumed_run_counts_as_one_that_was_not_stopped(
    tmp_path, monkeypatch, method, more
):
    whole = runs.run(config(tmp_path / "whole", method=method, **more))
    path = tmp_path / "stopped"
    stopped(path, monkeypatch, method=method, **more)
    summary = runs.run(config(path, method=method, **more))
    name = "training_multiply_adds"
    assert summary[name] == whole[name] > 3 * EXAMPLES * KEPT
    assert summary["layers"] == whole["layers"]


def test_a_run_of_an_older_version_does_not_know(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        for name in ("get_state", "set_state"):
            patch.delattr(CountMultiplyAdds, name)
        stopped(tmp_path, monkeypatch)
    summary = runs.run(config(tmp_path))
    assert summary["training_multiply_adds"] is None
    assert json.loads((tmp_path / "summary.json").read_text()) == summary


def test_masks_of_several_replicas_are_counted(strategy):
    counts = []
    for scope in (tf.distribute.get_strategy().scope(), strategy.scope()):
        with scope:
            model = dsr_tf.models.lenet_300_100((8, 8, 1), sparsity=0.9)
        cost = TrainingCost(model)
        dsr_tf.layers.sparse_layers(model)[2].kernel_mask.assign(
            tf.ones([100, 10], tf.bool)
        )
        counts.append(cost.of_steps(2, 1))
    kept = KEPT + 900
    assert counts == [3 * 2 * kept + WEIGHTS - kept] * 2
