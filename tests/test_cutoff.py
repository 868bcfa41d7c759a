"""What a budget leaves out, against sorting."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dsr_tf.methods.cutoff import surplus


def going(scores, budget, sizes=1):
    return surplus(
        tf.constant(scores),
        tf.constant(budget, tf.int64),
        tf.constant(sizes, tf.int64),
    ).numpy()


def by_sorting(scores, budget, sizes):
    scores = np.where(scores < np.finfo(scores.dtype).tiny, 0, scores)
    order = np.argsort(-scores.astype(np.float64), kind="stable")
    each = np.broadcast_to(sizes, scores.shape)
    goes = np.zeros(scores.size, bool)
    goes[order] = np.cumsum(each[order]) > budget
    return goes


def test_surplus_worked_by_hand():
    # .5 comes first, then the first .25; the other does not fit.
    scores = np.array([0.25, 0.0, 0.5, 0.25], np.float32)
    assert going(scores, 2).tolist() == [False, True, False, True]


def test_surplus_ends_at_the_first_unit_that_does_not_fit():
    # 3 of 4 are used; the next takes 2, and the last, which takes 1, goes too.
    scores = np.array([3.0, 2.0, 1.0], np.float32)
    assert going(scores, 4, (3, 2, 1)).tolist() == [False, 1, 1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("budget", [0, 7])
def test_surplus_of_nothing_is_nothing(dtype, budget):
    assert going(np.zeros(0, dtype), budget).size == 0


@pytest.mark.parametrize("budget", [0, 1, 2, 3])
def test_denormal_scores_count_as_zero_on_every_device(budget):
    scores = np.array([0.0, 1e-40, 2e-38], np.float32)
    expected = {0: [0, 1, 2], 1: [0, 1], 2: [1], 3: []}[budget]
    assert np.flatnonzero(going(scores, budget)).tolist() == expected


@given(st.data(), st.sampled_from([np.float32, np.float64]))
def test_surplus_is_what_sorting_finds(data, dtype):
    width = 8 * np.dtype(dtype).itemsize
    number = st.floats(0, np.inf, width=width, allow_nan=False)
    few = st.sampled_from([0.0, 0.1, 1.0, np.inf])
    length = data.draw(st.integers(0, 30))
    scores = data.draw(arrays.arrays(dtype, length, elements=number | few))
    size = st.integers(1, 9)
    many = st.lists(size, min_size=length, max_size=length)
    sizes = data.draw(size | many)
    budget = data.draw(st.integers(0, 5 * length))
    np.testing.assert_array_equal(
        going(scores, budget, sizes), by_sorting(scores, budget, sizes)
    )
