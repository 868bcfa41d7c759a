import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from dsr_tf import methods
from dsr_tf import schedules
from dsr_tf.methods.context import Extent
from dsr_tf.methods.prune import AdaptiveThreshold
from dsr_tf.methods.prune import SmallestFraction
from dsr_tf.methods.prune import adapted_threshold
from dsr_tf.methods.ranking import smallest
from dsr_tf.schedules import Moment
from tests.contexts import context
from tests.contexts import lists
from tests.contexts import masked


def test_below_the_threshold_of_the_context_goes():
    ctx = context(
        [[0.5, 0.4, -0.5, -0.4, 0.0], [0.1, 9.0]],
        [[1, 1, 1, 1, 0], [1, 1]],
        threshold=0.5,
    )
    assert lists(AdaptiveThreshold(2, 0.1, 1.0)(ctx)) == [[1, 3], [0]]


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


@pytest.mark.parametrize(
    "active, message",
    [(3, None), (2, "num_pruned=5, budget=5"), (1, "num_pruned=5, budget=4")],
)
def test_num_pruned_must_be_below_the_budget(active, message):
    # Units are counted, whatever they weigh.
    extents = [Extent("a", 3, 9), Extent("b", active, 9, unit_size=9)]
    rule = AdaptiveThreshold(5, 0.1, 1e-3)
    if message is None:
        assert rule.check(extents) is None
    else:
        with pytest.raises(ValueError, match=message):
            rule.check(extents)


def test_smallest_goes_by_magnitude_and_lower_index():
    #                stays  gone stays gone inactive
    tensor = masked([0.5, -0.2, 0.2, 0.1, 0.0], [1, 1, 1, 1, 0])
    assert smallest(tensor, 2).numpy().tolist() == [1, 3]


def num_gone(active, size, drop_fraction):
    mask = np.arange(size) < active
    weights = np.random.default_rng(0).normal(size=size) * mask
    ctx = context([weights], [mask], drop_fraction=drop_fraction)
    (positions,) = SmallestFraction(drop_fraction)(ctx)
    assert mask[positions].all()
    return len(positions)


@pytest.mark.parametrize(
    "active, size, drop_fraction, gone",
    # int(f M) + 1; not more than the inactive can replace; never all.
    [(20, 99, 0.25, 6), (20, 99, 0.0, 1), (20, 22, 0.25, 2), (1, 9, 0.5, 0)],
)
def test_set_prunes_the_papers_count(active, size, drop_fraction, gone):
    assert num_gone(active, size, drop_fraction) == gone


@pytest.mark.parametrize(
    "active, drop_fraction, gone",
    [
        # Rounded to float32 these fractions are a little less: so would be
        # the count.
        (10, 0.7, 8),
        (100, 0.7, 71),
        (100, 0.9, 91),
        (1000, 0.9, 901),
        # Here the product is a little less, and in float32 it is not.
        (100, 0.29, 29),
        (100, 0.57, 57),
    ],
)
def test_set_counts_in_float64(active, drop_fraction, gone):
    single = np.float32(drop_fraction)
    counts = {int(float(single) * active), int(single * np.float32(active))}
    assert counts != {gone - 1}
    assert num_gone(active, 3 * active, drop_fraction) == gone


@given(
    st.integers(1, 300), st.integers(0, 300), st.floats(0, 1, exclude_max=True)
)
def test_set_counts_as_python_does(active, inactive, drop_fraction):
    expected = min(int(drop_fraction * active) + 1, inactive, active - 1)
    assert num_gone(active, active + inactive, drop_fraction) == expected


def test_set_keeps_the_count_of_every_tensor():
    rng = np.random.default_rng(0)
    masks = [rng.integers(0, 2, n).astype(bool) for n in (50, 300, 9)]
    weights = [rng.normal(size=m.size) * m for m in masks]
    ctx = context(weights, masks, drop_fraction=0.2)
    result = methods.set_method(0.2).reallocate(ctx, tf.constant([0, 0]))
    gone = [len(positions) for positions in result.gone]
    assert [len(growth.positions) for growth in result.growth] == gone
    assert gone == [int(0.2 * int(m.sum())) + 1 for m in masks]


@pytest.mark.parametrize("drop_fraction", [-0.1, 1.0, None])
def test_drop_fraction_must_be_a_fraction(drop_fraction):
    with pytest.raises(ValueError, match="`drop_fraction` must be a fraction"):
        SmallestFraction(drop_fraction)


@pytest.mark.parametrize(
    "drop_fraction", [{0: 0.1, 5: 1.0}, schedules.Linear(0.5, 1.5)]
)
def test_drop_fractions_of_a_schedule_are_fractions(drop_fraction):
    with pytest.raises(ValueError, match="`drop_fraction` must be a fraction"):
        SmallestFraction(drop_fraction)


def test_drop_fractions_of_ones_own_schedule_are_checked_when_they_come():
    rule = SmallestFraction(lambda moment: moment.step / 10)
    assert rule.numbers({}, Moment(3)) == {"drop_fraction": 0.3}
    with pytest.raises(ValueError, match="drop_fraction=1.0"):
        rule.numbers({}, Moment(10))
