"""Whether benchmarks measure what they say."""

import sys

import keras
import pytest

from benchmarks import command
from benchmarks import reallocation
from benchmarks.reallocation import Network
from benchmarks.training import Training
from benchmarks.training import paper_config
from dsr_tf.models import lenet_300_100


def test_trainings_compute_in_the_precision_of_their_flags():
    half = paper_config("mnist_lenet_dsr_90", "--mixed_precision=float16")
    model = Training(half, 1).model
    assert model.layers[-1].compute_dtype == "float16"
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    single = Training(paper_config("mnist_lenet_dsr_90"), 1).model
    assert single.layers[-1].compute_dtype == "float32"


@pytest.mark.parametrize("sparsity", [0.8, 0.95])
def test_reallocations_that_are_timed_move_the_share_that_is_said(sparsity):
    network = Network(lenet_300_100((8, 8, 1), sparsity=sparsity))
    active = sum(layer.num_active for layer in network.layers)
    assert active == pytest.approx(
        (1 - sparsity) * sum(network.sizes), rel=0.01
    )
    network.draw_weights()
    network.reallocate()
    assert 0.7 < network.num_moved / (reallocation.SHARE * active) < 1.3


@pytest.mark.parametrize("given", ["0", "1", "nan", "half"])
def test_sparsity_must_be_a_fraction(monkeypatch, capsys, given):
    monkeypatch.setattr(sys, "argv", ["x", f"--sparsity={given}"])
    with pytest.raises(SystemExit, match="2"):
        command.main("Times.", 1, None, None, {"sparsity": 0.8})
    assert "--sparsity: must be a number above" in capsys.readouterr().err


def test_what_is_given_reaches_the_measurement(monkeypatch):
    measured = []

    def measure(rounds, quick, sparsity):
        measured.append((rounds, quick, sparsity))

    monkeypatch.setattr(sys, "argv", ["x", "--sparsity=.95", "--rounds=3"])
    command.main("Times.", 1, measure, lambda results: 0, {"sparsity": 0.8})
    assert measured == [(3, False, 0.95)]
