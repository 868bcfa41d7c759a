"""Blocks that go from layer to layer on two workers."""

import json

import pytest

from tests.processes import tf_configs

pytestmark = pytest.mark.slow

FLAGS = (
    *("--strategy=multi_worker", "--epochs=2", "--sparsity=0.8"),
    *("--granularity=10x10", "--storage=blocks"),
    *("--period=10", "--num_pruned=40", "--initial_threshold=0.02"),
)


def test_two_workers_move_stored_blocks_alike(starter, tmp_path):
    path = tmp_path / "run"
    runs = [
        starter.start(*FLAGS, f"--run_dir={path}", TF_CONFIG=text)
        for text in tf_configs()
    ]
    ends = [run.finish() for run in runs]
    # They compare masks, weights and slots before and after each move.
    assert [x.returncode for x in ends] == [0, 0], ends
    summary = json.loads((path / "summary.json").read_text())
    # Blocks have 100 weights or fewer; less than one may wait.
    assert 0 <= summary["budget"] - summary["num_active"] < 100
    assert summary["weights_moved"] > 0
    layers = [
        (x["num_active"], x["num_active_at_start"]) for x in summary["layers"]
    ]
    assert any(now != before for now, before in layers), layers
