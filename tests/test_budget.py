import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsr_tf.budget import apportion

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


def test_apportion_keeps_units_whole():
    # 20 weights in proportion 1 : 3 are 5 and 15. Units of 1 and 9: 5, and 1
    # whole unit, remainder 6/9. 6 are left over: no unit of 9 fits, and the
    # first entry takes them.
    assert apportion(20, [1, 3], [99, 99], [1, 9]) == [11, 1]


def test_apportion_leaves_less_than_a_unit_over():
    # 25 weights in proportion 1 : 2 are 8.33 and 16.67: no unit and 1; the
    # remainders .93 and .85 order what is left, 16: one more for the first.
    assert apportion(25, [1, 2], [99, 99], [9, 9]) == [1, 1]


def test_apportion_offers_what_a_full_entry_leaves_in_units():
    assert apportion(27, [9, 1], [1, 99], [9, 4]) == [1, 4]


@given(
    st.integers(0, 10**9),
    st.lists(
        st.tuples(COUNTS, st.integers(0, 10**6), st.sampled_from([1, 9, 25])),
        min_size=1,
    ),
)
def test_apportion_of_units_never_exceeds_the_total(total, entries):
    shares, capacity, sizes = zip(*entries, strict=True)
    units = apportion(total, shares, capacity, sizes)
    assert all(0 <= n <= c for n, c in zip(units, capacity, strict=True))
    left = total - sum(n * u for n, u in zip(units, sizes, strict=True))
    assert left >= 0
    # Whatever still has room is a unit larger than what is left over.
    assert all(
        size > left
        for n, c, size in zip(units, capacity, sizes, strict=True)
        if n < c
    )
