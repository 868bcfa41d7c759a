import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from dsr_tf import methods
from dsr_tf.budget import num_kept
from dsr_tf.methods.context import Extent
from dsr_tf.methods.gradual import ToSparsity
from dsr_tf.methods.gradual import num_kept_units
from dsr_tf.methods.ranking import beyond_largest
from dsr_tf.schedules import Cubic
from dsr_tf.schedules import Exponential
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


def test_defaults_are_the_schedules_from_zero_to_the_bit():
    for sparsity in (0.37, 0.9, 0.99):
        cubic = ToSparsity(sparsity, 7)
        falling = ToSparsity(sparsity, 7, "exponential")
        for k in range(8):
            x = min(k / 7, 1.0)
            assert cubic.sparsity_after(k) == Cubic(0.0, sparsity).at(x)
            density = Exponential(1.0, 1 - sparsity).at(x)
            if k < 7:
                assert falling.sparsity_after(k) == 1 - density


def test_initial_sparsity_worked_by_hand():
    # .2 + .6 (1 - (1 - k/2)³): .2, .2 + .6 * 7/8, .8.
    prune = ToSparsity(0.8, 2, initial_sparsity=0.2)
    found = [prune.sparsity_after(k) for k in range(3)]
    assert found == pytest.approx([0.2, 0.725, 0.8])
    # Density .5 * (1/4)^(k/2): .5, .25, .125.
    prune = ToSparsity(0.875, 2, "exponential", initial_sparsity=0.5)
    found = [prune.sparsity_after(k) for k in range(3)]
    assert found == pytest.approx([0.5, 0.75, 0.875])


def test_power_worked_by_hand():
    # .8 (1 - (1 - k/4)): a line. .8 (1 - (1 - k/2)²): .8 * 3/4, .8.
    line = ToSparsity(0.8, 4, power=1)
    found = [line.sparsity_after(k) for k in range(5)]
    assert found == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
    square = ToSparsity(0.8, 2, power=2)
    found = [square.sparsity_after(k) for k in range(3)]
    assert found == pytest.approx([0, 0.6, 0.8])


@pytest.mark.parametrize("power", [1, 2, 3, 5.5])
def test_sparsity_is_that_of_tfmot(power):
    # `PolynomialDecay(.3, .9, 40, 100, power, frequency=15)`.
    prune = ToSparsity(0.9, 4, initial_sparsity=0.3, power=power)
    for k in range(1, 5):
        p = min(1.0, (40 + 15 * k - 40) / (100 - 40))
        wanted = (0.3 - 0.9) * (1 - p) ** power + 0.9
        assert prune.sparsity_after(k) == pytest.approx(wanted)


@pytest.mark.parametrize("across", [True, False])
@pytest.mark.parametrize("held", [0.0, 0.3, 0.5])
def test_first_prune_goes_beyond_the_initial_sparsity(held, across):
    method = methods.gradual_pruning(
        0.9, 3, across_tensors=across, initial_sparsity=0.3, power=2
    )
    rng = np.random.default_rng(0)
    masks = [np.arange(n) >= round(held * n) for n in (100, 1000)]
    weights = [rng.normal(size=m.size) * m for m in masks]
    extents = [Extent("x", int(m.sum()), m.size) for m in masks]
    method.rule.check(extents)
    state = method.rule.initial_state()
    counts = []
    for _ in range(4):
        ctx = context(
            [w * m for w, m in zip(weights, masks, strict=True)],
            masks,
            **method.rule.numbers(state, Moment(0)),
        )
        result = method.reallocate(ctx, tf.constant([0, 0]), state=state)
        state = result.state
        for gone, mask in zip(result.gone, masks, strict=True):
            mask[gone.numpy()] = False
        counts.append(sum(int(m.sum()) for m in masks))
    # .3 + .6 (1 - (2/3)²) and .3 + .6 (1 - (1/3)²), then .9.
    steps = [0.3 + 0.6 * 5 / 9, 0.3 + 0.6 * 8 / 9, 0.9, 0.9]
    most = round(1100 * (1 - held))
    wanted = [sum(num_kept(n, s) for n in (100, 1000)) for s in steps]
    assert counts == [min(x, most) for x in wanted]
    assert counts[0] <= 0.7 * 1100 and counts[-1] == 110


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


def test_each_tensor_must_hold_enough_where_each_is_pruned_alone():
    extents = [Extent("a", 49, 100), Extent("b", 60, 100)]
    assert ToSparsity(0.5, 5).check(extents) is None
    with pytest.raises(ValueError, match="leaves 50 .* the layers hold 49"):
        ToSparsity(0.5, 5, across_tensors=False).check(extents)


@pytest.mark.parametrize(
    "args, message",
    [
        ((1.0, 5), "`sparsity` must be"),
        ((0.5, 0), "`num_prunes` must be"),
        (
            (0.5, 5, "linear"),
            r"`schedule` must be one of \('cubic', 'exp",
        ),
        (
            (0.5, 5, "cubic", True, 0.6),
            "`initial_sparsity` must be at most `sparsity`. Received: "
            "initial_sparsity=0.6, sparsity=0.5",
        ),
        ((0.5, 5, "cubic", True, 1.0), "`initial_sparsity` must be a fraction"),
        ((0.5, 5, "cubic", True, 0.1, 0), "`power` must be a number above 0"),
        (
            (0.5, 5, "exponential", True, 0.1, 2),
            "`power` must be 3, its default, with a schedule that is not cubic",
        ),
    ],
)
def test_arguments_are_checked(args, message):
    with pytest.raises(ValueError, match=message):
        ToSparsity(*args)
