import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from dsr_tf.methods.plan import plan_across_tensors
from dsr_tf.methods.plan import plan_within_tensors


@st.composite
def tensors(draw):
    """Draws active, chosen and inactive units of some tensors."""
    counts = st.integers(0, 60_000_000)
    rows = []
    for _ in range(draw(st.integers(1, 6))):
        active = draw(counts)
        # All of them too, and none.
        chosen = draw(st.sampled_from([0, active]) | st.integers(0, active))
        rows.append((active, chosen, draw(st.integers(0, 9) | counts)))
    return [list(column) for column in zip(*rows, strict=True)]


def within(active, chosen, inactive, is_finite=True, removed=None):
    removed = removed or [0] * len(active)
    plan = plan_within_tensors(
        *(tf.constant(x, tf.int64) for x in (active, chosen, inactive)),
        tf.constant(is_finite),
        tf.constant(removed, tf.int64),
    )
    return [row.numpy().tolist() for row in plan.rows]


def across(proportions, *columns, unspent=0):
    ones = [1] * len(columns[0])
    plan, left = plan_across_tensors(proportions, *columns, ones, unspent)
    assert left == 0
    return [row.tolist() for row in plan.rows]


@given(tensors())
def test_within_tensors_each_is_planned_as_if_it_were_alone(columns):
    alone = [
        across([1], *([n] for n in row)) for row in zip(*columns, strict=True)
    ]
    expected = [sum(rows, []) for rows in zip(*alone, strict=True)]
    assert within(*columns) == expected


@given(tensors())
def test_within_tensors_is_across_them_where_all_have_room(columns):
    active, chosen, inactive = columns
    inactive = [n + c for n, c in zip(inactive, chosen, strict=True)]
    pruned = [c - (a == c > 0) for a, c in zip(active, chosen, strict=True)]
    expected = across(pruned, active, chosen, inactive)
    found = within(active, chosen, inactive)
    assert found == expected and found[3] == pruned


@given(tensors())
def test_within_tensors_nothing_moves_where_a_weight_is_not_finite(columns):
    active, exempt, spared, grown = within(*columns, is_finite=False)
    left = [
        c - e - s for c, e, s in zip(columns[1], exempt, spared, strict=True)
    ]
    assert left == grown == [0] * len(active)


@given(tensors())
def test_within_tensors_all_chosen_go_where_none_is_replaced(columns):
    active, chosen, inactive = columns
    exempt = [int(a == c > 0) for a, c in zip(active, chosen, strict=True)]
    none = [0] * len(active)
    found = within(active, chosen, inactive, removed=chosen)
    assert found == [active, exempt, none, none]


@given(tensors(), st.data())
def test_across_tensors_the_budget_is_conserved(columns, data):
    active, chosen, inactive = columns
    numbers = st.integers(0, 10**9) | st.floats(0, 1e9)
    proportions = [data.draw(numbers) for _ in active]
    _, exempt, spared, grown = across(proportions, *columns)
    lost = [c - e - s for c, e, s in zip(chosen, exempt, spared, strict=True)]
    assert sum(lost) == sum(grown)
    for a, n, came, room in zip(active, lost, grown, inactive, strict=True):
        assert 0 <= n < max(a, 1) and 0 <= came <= room


@given(tensors(), st.data())
def test_the_budget_falls_by_what_is_removed(columns, data):
    active, chosen, inactive = columns
    removed = [data.draw(st.integers(0, c)) for c in chosen]
    exempt = [int(a == c > 0) for a, c in zip(active, chosen, strict=True)]
    falls = [
        min(r, c - e) for r, c, e in zip(removed, chosen, exempt, strict=True)
    ]
    plans = [within(active, chosen, inactive, removed=removed)]
    ones, shares = [1] * len(active), [1] * len(active)
    plan, left = plan_across_tensors(
        shares, active, chosen, inactive, ones, removed=removed
    )
    assert left == 0
    plans.append([row.tolist() for row in plan.rows])
    for _, kept, spared, grown in plans:
        gone = sum(chosen) - sum(kept) - sum(spared)
        assert gone - sum(grown) == sum(falls)


def test_across_tensors_worked_by_hand():
    # 4 of 4 and 3 of 9 are chosen. One of the first has to stay: 3 and 3 are
    # left. In proportion 1 : 2 these are 2 and 4, but the first has room for 1
    # alone, and the second for 4: 5 come. So 5 go, and one is spared, in the
    # first, which was to lose 3 and gain 1.
    plan, unspent = plan_across_tensors(
        [0.5, 1.0], [4, 9], [4, 3], [1, 4], [1, 1]
    )
    assert [row.tolist() for row in plan.rows] == [
        [4, 9], [1, 0], [1, 0], [1, 4]
    ]  # fmt: skip
    assert unspent == 0


@pytest.mark.parametrize(
    "proportions",
    [[0.1, 0.2], np.float32([0.1, 0.2]), tf.constant([0.1, 0.2]).numpy()],
    ids=["list", "float32", "tensor"],
)
def test_proportions_are_taken_as_they_are(proportions):
    # .1 : .2 is 1 : 2 in every float type, as both are rounded alike.
    plan, _ = plan_across_tensors(
        proportions, [3 * 10**15] * 2, [3 * 10**14] * 2, [10**15] * 2, [1, 1]
    )
    assert plan.grown.tolist() == [2 * 10**14, 4 * 10**14]


@pytest.mark.parametrize("bad", [-1, -0.5, np.nan, np.inf])
def test_other_proportions_are_refused(bad):
    with pytest.raises(ValueError, match="`allocate` must return proportions"):
        plan_across_tensors([1.0, bad], [5, 5], [2, 2], [9, 9], [1, 1])
