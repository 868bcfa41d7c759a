import numpy as np
import pytest
import tensorflow as tf

from dsr_tf.methods.grow import AtRandom
from dsr_tf.methods.tracing import fold
from tests.contexts import context


def grow(mask, count, stddev=0.0):
    ctx = context([np.zeros(len(mask))], [mask])
    counts = tf.constant([count], tf.int64)
    return AtRandom(stddev)(ctx, counts, tf.constant([0, 1]))[0]


def test_growth_is_what_is_drawn_of_the_inactive():
    mask = np.arange(400) % 3 == 0
    positions = grow(mask, 50).positions.numpy()
    assert len(np.unique(positions)) == len(positions) == 50
    assert not mask[positions].any()


def test_growth_without_stddev_has_no_values():
    assert grow([0] * 20, 5).values is None


def test_growth_draws_normal_values():
    values = grow(np.zeros(50_000), 20_000, stddev=0.01).values.numpy()
    assert values.std() == pytest.approx(0.01, rel=0.03)
    assert abs(values.mean()) < 4 * 0.01 / np.sqrt(20_000)


def test_growth_of_a_network_is_that_of_its_tensors_alone():
    # A tensor's draw depends on seed, step and its place, not on the others.
    masks = [np.arange(n) % 3 == 0 for n in (90, 30, 300)]
    counts = [7, 11, 13]
    ctx = context([mask * 0.0 for mask in masks], masks, [1, 9, 1])

    def grow(counts):
        counts = tf.constant(counts, tf.int64)
        return AtRandom(0.1)(ctx, counts, tf.constant([5, 6]))

    together = grow(counts)
    for i in range(3):
        # The others have nothing to grow.
        alone = grow([n * (i == j) for j, n in enumerate(counts)])
        for one, other in (
            (alone[i].positions, together[i].positions),
            (alone[i].values, together[i].values),
        ):
            assert one.numpy().tolist() == other.numpy().tolist()


@pytest.mark.parametrize("stddev", [-1.0, float("nan"), float("inf")])
def test_regrow_stddev_must_be_a_number(stddev):
    with pytest.raises(ValueError, match="`stddev` must be"):
        AtRandom(stddev)


def test_draws_are_those_of_philox():
    # By name it takes many operations; unnamed, another device could draw by
    # another algorithm.
    seed = tf.constant([5, 6])
    named = tf.random.experimental.stateless_fold_in(seed, 7, alg="philox")
    assert (fold(seed, 7) == named).numpy().all()
    for draw in (tf.random.stateless_uniform, tf.random.stateless_normal):
        ours = draw([9], seed, alg="auto_select")
        assert (ours == draw([9], seed, alg="philox")).numpy().all()
