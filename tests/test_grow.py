import numpy as np
import pytest
import tensorflow as tf
from dsr_tf.methods.tensors import Tensors
from hypothesis import given
from hypothesis import strategies as st

from dsr_tf.methods import grow as module
from dsr_tf.methods.grow import AtRandom
from dsr_tf.methods.grow import random_inactive


def grow(mask, count, seed=0, stddev=0.0):
    mask = tf.constant(np.array(mask, bool))
    tensors = Tensors([tf.zeros(mask.shape)], [mask])
    inactive = int(np.sum(~mask.numpy()))
    seed = tf.constant([seed, 1])
    return AtRandom(stddev)(tensors, [inactive], [count], seed)[0]


@given(st.data())
def test_growth_is_distinct_and_inactive(data):
    size = data.draw(st.integers(1, 400))
    num_inactive = data.draw(st.integers(0, size))
    count = data.draw(st.integers(0, num_inactive))
    seed = data.draw(st.integers(0, 2**31 - 1))
    mask = np.ones(size, np.uint8)
    mask[np.random.default_rng(seed).permutation(size)[:num_inactive]] = 0
    positions = grow(mask, count, seed).positions.numpy()
    assert len(np.unique(positions)) == len(positions) == count
    assert not mask[positions].any()


@pytest.mark.parametrize("num_inactive, count", [(10, 3), (10, 9), (90, 20)])
def test_growth_is_uniform(num_inactive, count):
    # 100 positions; few inactive, most of them wanted, and the usual case.
    mask = np.ones(100, np.uint8)
    mask[:num_inactive] = 0
    hits = np.zeros(100)
    for seed in range(400):
        hits[grow(mask, count, seed).positions.numpy()] += 1
    expected = 400 * count / num_inactive
    spread = np.sqrt(expected * (1 - count / num_inactive))
    assert np.abs(hits[:num_inactive] - expected).max() < 5 * spread


def test_growth_repeats_and_differs_by_seed_and_tensor():
    mask = np.zeros(1000, bool)
    first, again, other = (
        grow(mask, 50, seed).positions.numpy() for seed in (3, 3, 4)
    )
    assert (first == again).all()
    assert sorted(first) != sorted(other)
    tensors = Tensors([tf.zeros([1000])] * 2, [tf.constant(mask)] * 2)
    two = AtRandom()(tensors, [1000] * 2, [50] * 2, tf.constant([3, 1]))
    assert sorted(two[0].positions.numpy()) != sorted(two[1].positions.numpy())


def test_growth_without_stddev_has_no_values():
    assert grow([0] * 20, 5).values is None


def test_growth_draws_normal_values():
    values = grow(np.zeros(50_000), 20_000, stddev=0.01).values.numpy()
    assert values.std() == pytest.approx(0.01, rel=0.03)
    assert abs(values.mean()) < 4 * 0.01 / np.sqrt(20_000)


def test_usual_growth_lists_nothing(monkeypatch):
    # Work follows the count: an int64 for each of 50 M positions would not.
    def listing(*args):
        return tf.constant([-1], tf.int64)

    monkeypatch.setattr(module, "_by_listing", listing)
    mask = tf.zeros([50_000_000], tf.bool)
    positions = random_inactive(
        mask,
        tf.constant(50_000_000, tf.int64),
        tf.constant(5, tf.int64),
        tf.constant([0, 0]),
    ).numpy()
    assert len(np.unique(positions)) == 5 and positions.min() >= 0


@pytest.mark.parametrize("stddev", [-1.0, float("nan"), float("inf")])
def test_regrow_stddev_must_be_a_number(stddev):
    with pytest.raises(ValueError, match="`regrow_stddev` must be"):
        AtRandom(stddev)


def test_draws_are_those_of_philox():
    # By name it takes many operations; unnamed, another device could draw by
    # another algorithm.
    seed = tf.constant([5, 6])
    named = tf.random.experimental.stateless_fold_in(seed, 7, alg="philox")
    assert (module.fold(seed, 7) == named).numpy().all()
    for draw in (tf.random.stateless_uniform, tf.random.stateless_normal):
        ours = draw([9], seed, alg="auto_select")
        assert (ours == draw([9], seed, alg="philox")).numpy().all()
