import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from dsr_tf import methods
from dsr_tf.budget import num_kept
from dsr_tf.methods.context import Extent
from dsr_tf.methods.gradual import ToSparsity
from dsr_tf.methods.gradual import beyond_largest
from dsr_tf.methods.gradual import num_kept_units
from dsr_tf.schedules import Moment
from tests.contexts import context
from tests.contexts import lists


def test_cubic_schedule_worked_by_hand():
    # s (1 - (1 - k/n)³) with s = .8, n = 4: 1 - 27/64, 1 - 8/64, 1 - 1/64, 1.
    prune = ToSparsity(0.8, 4)
    found = [prune.sparsity_after(k) for k in range(5)]
    assert found == pytest.approx([0, 0.4625, 0.7, 0.7875, 0.8])


def test_exponential_schedule_worked_by_hand():
    # Density .25^(k/2): 1, .5, .25.
    prune = ToSparsity(0.75, 2, "exponential")
    found = [prune.sparsity_after(k) for k in range(4)]
    assert found == pytest.approx([0, 0.5, 0.75, 0.75])


@pytest.mark.parametrize("across", [True, False])
@pytest.mark.parametrize("schedule", ["cubic", "exponential"])
@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9, 0.99])
def test_pruning_ends_at_the_exact_count(schedule, sparsity, across):
    method = methods.gradual_pruning(sparsity, 5, schedule, across)
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=n) for n in (1, 7, 100, 3000)]
    masks = [np.ones(w.size, bool) for w in weights]
    state = method.rule.initial_state()
    for _ in range(7):
        ctx = context(
            [w * m for w, m in zip(weights, masks, strict=True)],
            masks,
            **method.rule.numbers(state, Moment(0)),
        )
        result = method.reallocate(ctx, tf.constant([0, 0]), state=state)
        state = result.state
        assert lists(x.positions for x in result.growth) == [[]] * 4
        for gone, mask, w in zip(result.gone, masks, weights, strict=True):
            gone = gone.numpy()
            assert mask[gone].all()
            mask[gone] = False
            largest = np.abs(w[gone]).max(initial=0.0)
            assert largest <= np.abs(w[mask]).min()
    expected = [num_kept(w.size, sparsity) for w in weights]
    found = [int(m.sum()) for m in masks]
    assert sum(found) == sum(expected)
    assert across or found == expected


def test_beyond_largest_worked_by_hand():
    # 4 of 7. The largest of each tensor stay first: .9, .2 and .1; then .8.
    ctx = context(
        [[0.5, -0.9, 0.8, 0.0], [0.2, 0.0], [0.1, 0.1, 0.0]],
        [[1, 1, 1, 0], [1, 0], [1, 1, 1]],
    )
    assert lists(beyond_largest(ctx, 4)) == [[0], [], [1, 2]]


def test_beyond_largest_keeps_units_whole():
    # Units of 9 and of 1, 12 weights to keep: .9 and .1 first, 10 weights;
    # the next, .8, has 9. It does not fit, and nothing smaller jumps the queue.
    ctx = context([[0.9, 0.8], [0.1, 0.05]], [[1, 1], [1, 1]], [9, 1])
    assert lists(beyond_largest(ctx, 12)) == [[1], [1]]


def test_empty_tensors_stay_empty():
    ctx = context([[0.0, 0.0], [0.1, 0.2]], [[0, 0], [1, 1]])
    assert lists(beyond_largest(ctx, 1)) == [[], [0]]


def test_nothing_grows():
    method = methods.gradual_pruning(0.5, 1)
    ctx = context([[3.0, 1.0]], [[1, 1]], sparsity=0.5)
    result = method.reallocate(ctx, tf.constant([0, 0]), state={"prunes": 0})
    assert lists(result.gone) == [[1]]
    assert len(result.growth[0].positions) == 0
    assert result.state == {"prunes": 1}


@given(
    st.lists(st.integers(1, 10**9), min_size=1, max_size=5),
    st.floats(0, 1, exclude_max=True),
)
def test_the_device_counts_what_is_kept_as_python_does(sizes, sparsity):
    found = num_kept_units(
        tf.constant(sizes, tf.float64), tf.constant(sparsity, tf.float64)
    )
    assert found.numpy().tolist() == [num_kept(n, sparsity) for n in sizes]


@pytest.mark.parametrize("active, refused", [(50, False), (49, True)])
def test_too_few_weights_are_refused(active, refused):
    # int(.5 * 100 + .1) weights, and int(.5 * 7 + .1) slices of 9.
    extents = [Extent("a", active, 100), Extent("b", 3, 7, unit_size=9)]
    rule = ToSparsity(0.5, 5)
    if refused:
        message = "leaves 77 weights, but the layers hold 76"
        with pytest.raises(ValueError, match=message):
            rule.check(extents)
    else:
        assert rule.check(extents) is None


@pytest.mark.parametrize(
    "args, message",
    [
        ((1.0, 5), "`sparsity` must be"),
        ((0.5, 0), "`num_prunes` must be"),
        (
            (0.5, 5, "linear"),
            r"`schedule` must be one of \('cubic', 'exp",
        ),
    ],
)
def test_arguments_are_checked(args, message):
    with pytest.raises(ValueError, match=message):
        ToSparsity(*args)
