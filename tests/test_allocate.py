import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from dsr_tf.callbacks import DSR
from dsr_tf.layers import SparseDense
from dsr_tf.layers import sparse_layers
from dsr_tf.methods.allocate import AtLeast
from dsr_tf.methods.allocate import InProportionToScores
from dsr_tf.methods.allocate import in_proportion_to_survivors
from dsr_tf.methods.grid import Grid
from dsr_tf.methods.masked import MaskedContext
from dsr_tf.methods.plan import plan_across_tensors
from dsr_tf.methods.scores import MOMENTUM
from tests.contexts import context
from tests.contexts import masked


def proportions(active, pruned, unit_sizes=None):
    masks = [np.arange(n + 99) < n for n in active]
    ctx = context([mask * 1.0 for mask in masks], masks, unit_sizes)
    pruned = tf.constant(pruned, tf.int64)
    return in_proportion_to_survivors(ctx, pruned).numpy().tolist()


def test_survivors_share_what_was_pruned():
    # Survivors 300 : 100, 40 pruned: 30 and 10, wherever they were pruned.
    found = proportions([300, 140], [0, 40])
    assert found == [300, 100]
    plan, unspent = plan_across_tensors(
        found, [300, 140], [0, 40], [99, 99], [1, 1]
    )
    assert (plan.grown.tolist(), unspent) == ([30, 10], 0)


def test_survivors_are_counted_in_weights():
    # 30 slices of 9 and 100 weights survive.
    assert proportions([35, 140], [5, 40], [9, 1]) == [270, 100]


def allocated(active, pruned, shares, shapes, inputs=1, unit_sizes=None):
    """Returns counts that grow, where a rule would give these shares."""
    sizes = unit_sizes or [1] * len(active)
    units = [math.prod(shape) for shape in shapes]
    tensors = []
    for count, shape, size in zip(active, shapes, sizes, strict=True):
        mask = np.arange(math.prod(shape)) < count
        tensor = masked(mask * 1.0, mask, size)
        tensor.grid = Grid(shape)
        tensors.append(tensor)
    rule = AtLeast(lambda ctx, pruned: tf.constant(shares), inputs)
    found = rule(MaskedContext(tensors), tf.constant(pruned, tf.int64))
    inactive = [n - a for n, a in zip(units, active, strict=True)]
    plan, unspent = plan_across_tensors(
        found.numpy(), active, pruned, inactive, sizes
    )
    return plan.grown.tolist(), unspent


def test_a_floor_worked_by_hand():
    # Of 40 that are pruned, by shares 36, 3 and 1 come. The second tensor has 2
    # left and lacks 8 of one unit for each of ten outputs; the others do not
    # lack. 32 are left, which go 36 to 1.
    shapes = [(50, 10), (50, 10), (50, 10)]
    active, pruned = [100, 12, 40], [20, 10, 10]
    shares = [36.0, 3.0, 1.0]
    assert allocated(active, pruned, shares, shapes) == ([31, 8, 1], 0)
    # With three for each the second lacks 28. Twelve are left.
    found = allocated(active, pruned, shares, shapes, inputs=3)
    assert found == ([12, 28, 0], 0)
    # With five they lack 48 and 20, and there are but 40.
    found = allocated(active, pruned, shares, shapes, inputs=5)
    assert found == ([0, 28, 12], 0)
    # Who lacks nothing gets what the rule says.
    assert allocated([100, 40], [20, 20], [3.0, 1.0], shapes[:2]) == (
        [30, 10],
        0,
    )


def test_a_floor_is_not_above_what_a_tensor_can_hold():
    # A tensor of 2 inputs holds 20 units, and has 5 inactive ones.
    shapes = [(2, 10), (50, 10)]
    found = allocated([15, 100], [9, 6], [0.0, 1.0], shapes, inputs=9)
    assert found == ([5, 10], 0)


def test_shares_that_are_wrong_are_refused_beneath_a_floor():
    shapes = [(5, 5), (5, 5)]
    for wrong in (math.nan, -1.0):
        with pytest.raises(ValueError, match="finite and not negative"):
            allocated([9, 9], [5, 0], [wrong, 1.0], shapes)


@st.composite
def networks(draw):
    rows = []
    for _ in range(draw(st.integers(1, 5))):
        shape = draw(st.integers(1, 30)), draw(st.integers(1, 20))
        units = math.prod(shape)
        active = draw(st.integers(1, units))
        pruned = draw(st.integers(0, active - 1))
        share = draw(st.sampled_from([0.0, 1.0, 1e-9]) | st.floats(0, 1e6))
        size = draw(st.sampled_from([1, 1, 9, 16]))
        rows.append((shape, active, pruned, share, size))
    return [list(column) for column in zip(*rows, strict=True)]


@given(networks(), st.integers(1, 4))
def test_floors_hold_where_the_budget_allows(network, inputs):
    shapes, active, pruned, shares, sizes = network
    grown, unspent = allocated(active, pruned, shares, shapes, inputs, sizes)
    lost = sum(n * size for n, size in zip(pruned, sizes, strict=True))
    rows = list(zip(shapes, active, pruned, grown, sizes, strict=True))
    gained = sum(n * size for *_, n, size in rows)
    room = sum((math.prod(shape) - a) * size for shape, a, *_, size in rows)
    # Units stay whole; what no tensor has room for is not pruned.
    assert gained <= lost
    if room >= lost:
        assert lost - gained < max(sizes)
    lacking = []
    for shape, a, p, _, _ in rows:
        least = min(inputs * shape[1], math.prod(shape))
        lacking.append(min(max(least - (a - p), 0), math.prod(shape) - a))
    need = sum(n * size for n, size in zip(lacking, sizes, strict=True))
    if need <= lost:
        assert all(n >= x for n, x in zip(grown, lacking, strict=True))


def test_dsr_gives_every_layer_an_input_for_each_output():
    counts = {}
    for least in (0, 1):
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [
                keras.Input((20,)),
                SparseDense(100, 0.92, seed=0),
                SparseDense(40, 0.995, seed=0),
            ]
        )
        model.compile("sgd", "mse", jit_compile=False)
        moves = DSR(60, 2, initial_threshold=0.1, min_inputs=least)
        x, y = np.ones((60, 20)), np.ones((60, 40))
        model.fit(x, y, 10, verbose=0, callbacks=[moves])
        counts[least] = [x.num_active for x in sparse_layers(model)]
    assert sum(counts[0]) == sum(counts[1]) == 180
    assert counts[0][1] < 40
    assert counts[1][0] >= 100 and counts[1][1] >= 40


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: AtLeast(None), "`of` must be"),
        (lambda: AtLeast(in_proportion_to_survivors, 0), "`inputs` must be"),
        (lambda: DSR(5, 5, min_inputs=-1), "`min_inputs` must be"),
    ],
)
def test_floors_out_of_their_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_floor_reads_the_scores_of_its_rule():
    rule = InProportionToScores(MOMENTUM)
    assert AtLeast(rule).scores is MOMENTUM
    assert AtLeast(in_proportion_to_survivors).scores is None
