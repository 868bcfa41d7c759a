import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from dsr_tf.methods import masked as module
from dsr_tf.methods.masked import count_active
from dsr_tf.methods.masked import draws
from dsr_tf.methods.masked import random_inactive
from tests.contexts import context
from tests.contexts import masked


def test_smaller_than_is_strict_and_sees_magnitudes():
    #                 kept  gone  kept  gone  inactive
    tensor = masked([0.5, 0.4, -0.5, -0.4, 0.0], [1, 1, 1, 1, 0])
    assert tensor.smaller_than(0.5).numpy().tolist() == [1, 3]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_smaller_than_compares_in_float32_or_better(dtype):
    # The weight is the threshold, rounded to the type. In float32 it is below
    # or above it; with the threshold rounded too, it would always stay.
    for threshold in (0.001, 0.003, 0.3, 0.7):
        tensor = masked([threshold], [1], dtype=dtype)
        gone = tensor.smaller_than(threshold).numpy().tolist()
        wide = np.float64 if dtype == "float64" else np.float32
        below = wide(tensor.rows.numpy()[0, 0]) < wide(threshold)
        assert gone == ([0] if below else [])


def test_smaller_than_goes_block_by_block(monkeypatch):
    rng = np.random.default_rng(0)
    weights = rng.normal(size=5 * 2**10 + 3).astype(np.float32)
    mask = rng.integers(0, 2, weights.size).astype(bool)
    monkeypatch.setattr(module, "_BLOCK", 2**10)
    monkeypatch.setattr(module, "_below", module._below.python_function)
    gone = masked(weights, mask).smaller_than(0.5)
    expected = np.flatnonzero(mask & (np.abs(weights) < 0.5))
    assert gone.numpy().tolist() == expected.tolist()


@given(st.integers(0, 1000), st.integers(0, 2**31 - 1))
def test_count_active_is_exact(size, seed):
    mask = np.random.default_rng(seed).integers(0, 2, size).astype(bool)
    assert int(count_active(tf.constant(mask))) == mask.sum()


def test_count_active_counts_beyond_float32():
    # 2**24 + 1 is the first integer that float32 cannot hold.
    assert int(count_active(tf.ones([2**24 + 1], tf.bool))) == 2**24 + 1


def drawn(mask, count, seed=0):
    mask = np.array(mask, bool)
    ctx = context([np.zeros(mask.shape)], [mask])
    counts = tf.constant([count], tf.int64)
    (positions,) = ctx.random_inactive(counts, tf.constant([seed, 1]))
    return positions.numpy()


@given(st.data())
def test_drawn_positions_are_distinct_and_inactive(data):
    size = data.draw(st.integers(1, 400))
    num_inactive = data.draw(st.integers(0, size))
    count = data.draw(st.integers(0, num_inactive))
    seed = data.draw(st.integers(0, 2**31 - 1))
    mask = np.ones(size, np.uint8)
    mask[np.random.default_rng(seed).permutation(size)[:num_inactive]] = 0
    positions = drawn(mask, count, seed)
    assert len(np.unique(positions)) == len(positions) == count
    assert not mask[positions].any()


@pytest.mark.parametrize("num_inactive, count", [(10, 3), (10, 9), (90, 20)])
def test_draws_are_uniform(num_inactive, count):
    # 100 positions; few inactive, most of them wanted, and the usual case.
    mask = np.ones(100, np.uint8)
    mask[:num_inactive] = 0
    hits = np.zeros(100)
    for seed in range(400):
        hits[drawn(mask, count, seed)] += 1
    expected = 400 * count / num_inactive
    spread = np.sqrt(expected * (1 - count / num_inactive))
    assert np.abs(hits[:num_inactive] - expected).max() < 5 * spread


def test_draws_repeat_and_differ_by_seed_and_tensor():
    mask = np.zeros(1000, bool)
    first, again, other = (drawn(mask, 50, seed) for seed in (3, 3, 4))
    assert (first == again).all()
    assert sorted(first) != sorted(other)
    ctx = context([mask * 0.0] * 2, [mask] * 2)
    counts = tf.constant([50, 50], tf.int64)
    one, two = ctx.random_inactive(counts, tf.constant([3, 1]))
    assert sorted(one.numpy()) != sorted(two.numpy())


def test_usual_draws_list_nothing(monkeypatch):
    # Work follows the count: an int64 for each of 50 M positions would not.
    def listing(*args):
        return tf.constant([-1], tf.int64)

    monkeypatch.setattr(module, "_by_listing", listing)
    mask = tf.zeros([50_000_000], tf.bool)
    size, count = (tf.constant([x], tf.int64) for x in (50_000_000, 5))
    (plan,) = draws(size, size, count)
    positions = random_inactive(mask, plan, tf.constant([0, 0])).numpy()
    assert len(np.unique(positions)) == 5 and positions.min() >= 0
