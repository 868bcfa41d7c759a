import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsr_tf.methods.allocate import apportion
from dsr_tf.methods.allocate import in_proportion_to_survivors

COUNTS = st.integers(0, 60_000_000)


def test_apportion_splits_by_largest_remainder():
    # 10 in proportion 1 : 2 : 4 is 1.43, 2.86, 5.71; floors leave 2 over,
    # which go to the remainders .86 and .71.
    assert apportion(10, [1, 2, 4], [99, 99, 99]) == [1, 3, 6]


def test_apportion_gives_ties_to_the_lower_index():
    assert apportion(2, [1, 1, 1], [9, 9, 9]) == [1, 1, 0]


def test_apportion_offers_surplus_to_the_others_in_proportion():
    # 10 in proportion 1 : 1 : 8 is 1, 1, 8; the last takes 2 of 8, and the
    # surplus of 6 goes to the others, 3 each.
    assert apportion(10, [1, 1, 8], [99, 99, 2]) == [4, 4, 2]


def test_apportion_uses_free_capacity_where_no_share_is_left():
    assert apportion(6, [0, 0, 5], [2, 4, 1]) == [2, 3, 1]


@pytest.mark.parametrize("total", [0, 7])
def test_apportion_without_capacity_places_nothing(total):
    assert apportion(total, [3, 4], [0, 0]) == [0, 0]


@given(st.integers(0, 10**15), st.lists(st.tuples(COUNTS, COUNTS), min_size=1))
def test_apportion_places_all_within_capacity(total, entries):
    shares, capacity = zip(*entries, strict=True)
    counts = apportion(total, shares, capacity)
    assert sum(counts) == min(total, sum(capacity))
    assert all(0 <= n <= c for n, c in zip(counts, capacity, strict=True))


@given(
    st.integers(0, 10**9),
    st.lists(st.integers(1, 60_000_000), min_size=1, max_size=20),
)
def test_apportion_rounds_each_share_up_or_down(total, shares):
    counts = apportion(total, shares, [total] * len(shares))
    whole = sum(shares)
    for count, share in zip(counts, shares, strict=True):
        assert total * share // whole <= count <= -(-total * share // whole)


def test_survivors_share_what_was_pruned():
    # Survivors 300 : 100, 40 pruned: 30 and 10, wherever they were pruned.
    assert in_proportion_to_survivors([300, 100], [0, 40], [99, 99]) == [30, 10]
