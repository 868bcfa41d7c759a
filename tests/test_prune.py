import numpy as np
import pytest
import tensorflow as tf

from dsr_tf import methods
from dsr_tf.methods import Tensors
from dsr_tf.methods import prune
from dsr_tf.methods.prune import AdaptiveThreshold
from dsr_tf.methods.prune import SmallestFraction
from dsr_tf.methods.prune import adapted_threshold
from dsr_tf.methods.prune import below_threshold
from dsr_tf.methods.prune import smallest


def test_below_threshold_is_strict_and_sees_magnitudes():
    #              kept  gone  kept  gone   inactive
    weights = tf.constant([0.5, 0.4, -0.5, -0.4, 0.0])
    mask = tf.constant([True, True, True, True, False])
    assert below_threshold(weights, mask, 0.5).numpy().tolist() == [1, 3]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_below_threshold_compares_in_float32_or_better(dtype):
    # The weight is the threshold, rounded to the type. In float32 it is below
    # or above it; with the threshold rounded too, it would always stay.
    for threshold in (0.001, 0.003, 0.3, 0.7):
        weight = tf.cast(tf.constant([threshold], tf.float64), dtype)
        gone = below_threshold(weight, tf.ones([1], tf.bool), threshold)
        wide = np.float64 if dtype == "float64" else np.float32
        below = wide(weight.numpy()[0]) < wide(threshold)
        assert gone.numpy().tolist() == ([0] if below else [])


def test_below_threshold_goes_block_by_block(monkeypatch):
    rng = np.random.default_rng(0)
    weights = rng.normal(size=5 * 2**10 + 3).astype(np.float32)
    mask = rng.integers(0, 2, weights.size).astype(bool)
    monkeypatch.setattr(prune, "_BLOCK", 2**10)
    monkeypatch.setattr(prune, "_below", prune._below.python_function)
    gone = below_threshold(tf.constant(weights), tf.constant(mask), 0.5)
    expected = np.flatnonzero(mask & (np.abs(weights) < 0.5))
    assert gone.numpy().tolist() == expected.tolist()


@pytest.mark.parametrize(
    "num_below, expected",
    [(89, 2.0), (90, 1.0), (100, 1.0), (110, 1.0), (111, 0.5), (0, 2.0)],
)
def test_threshold_doubles_halves_or_stays(num_below, expected):
    assert adapted_threshold(1.0, num_below, 100, tolerance=0.1) == expected


def test_threshold_moves_one_reallocation_late():
    method = AdaptiveThreshold(100, tolerance=0.1, initial_threshold=1e-3)
    state = method.initial_state()
    assert state == {"threshold": 1e-3}
    assert method.next_state(state, 0) == {"threshold": 2e-3}
    assert state == {"threshold": 1e-3}


@pytest.mark.parametrize("num_pruned", [0, -1, 1.5, "600", None])
def test_num_pruned_must_be_a_count(num_pruned):
    with pytest.raises(ValueError, match="`num_pruned` must be an integer"):
        AdaptiveThreshold(num_pruned, 0.1, 1e-3)


@pytest.mark.parametrize("tolerance", [-0.1, 1.0, float("nan")])
def test_tolerance_must_be_a_fraction(tolerance):
    with pytest.raises(ValueError, match=r"`tolerance` must be a fraction"):
        AdaptiveThreshold(600, tolerance, 1e-3)


@pytest.mark.parametrize("threshold", [0.0, -1e-3, float("inf"), float("nan")])
def test_initial_threshold_must_be_above_zero(threshold):
    with pytest.raises(ValueError, match="`initial_threshold` must be"):
        AdaptiveThreshold(600, 0.1, threshold)


def test_smallest_goes_by_magnitude_and_lower_index():
    #                       stays  gone  stays  gone inactive
    weights = tf.constant([0.5, -0.2, 0.2, 0.1, 0.0])
    mask = tf.constant([True, True, True, True, False])
    assert smallest(weights, mask, 2).numpy().tolist() == [1, 3]


@pytest.mark.parametrize(
    "active, size, drop_fraction, gone",
    # int(f M) + 1; not more than the inactive can replace; never all.
    [(20, 99, 0.25, 6), (20, 99, 0.0, 1), (20, 22, 0.25, 2), (1, 9, 0.5, 0)],
)
def test_set_prunes_the_papers_count(active, size, drop_fraction, gone):
    mask = np.arange(size) < active
    tensors = Tensors([tf.random.normal([size]) * mask], [tf.constant(mask)])
    (positions,) = SmallestFraction(drop_fraction)(tensors, {})
    assert len(positions) == gone and mask[positions].all()


def test_set_keeps_the_count_of_every_tensor():
    rng = np.random.default_rng(0)
    masks = [rng.integers(0, 2, n).astype(bool) for n in (50, 300, 9)]
    tensors = Tensors(
        [tf.constant(rng.normal(size=m.size) * m) for m in masks],
        [tf.constant(m) for m in masks],
    )
    result = methods.set_method(0.2).reallocate(
        tensors, {}, tf.constant([0, 0])
    )
    assert result.num_grown == result.num_pruned
    assert result.num_pruned == [int(0.2 * int(m.sum())) + 1 for m in masks]


@pytest.mark.parametrize("drop_fraction", [-0.1, 1.0, None])
def test_drop_fraction_must_be_a_fraction(drop_fraction):
    with pytest.raises(ValueError, match="`drop_fraction` must be a fraction"):
        SmallestFraction(drop_fraction)
