"""Links of units that have lost all inputs or all outputs."""

import numpy as np
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from dsr_tf.methods.masked import MaskedTensor
from dsr_tf.methods.percolation import are_joined
from dsr_tf.methods.percolation import with_links_of_dead_units
from tests.contexts import lists


def layer(mask):
    mask = np.asarray(mask, bool)
    return MaskedTensor(
        tf.constant(mask.ravel()), tf.ones([1, mask.size]), mask.shape
    )


def gone(masks, positions):
    rows = [tf.constant(row, tf.int64) for row in positions]
    return lists(with_links_of_dead_units([layer(x) for x in masks], rows))


def test_dead_units_worked_by_hand():
    # Three units between the layers.
    masks = [[[1, 1, 0], [0, 1, 1]], [[1], [0], [1]]]
    # No link leaves unit 1: the two that enter it go.
    assert gone(masks, [[], []]) == [[1, 4], []]
    # None enters unit 0, once its only one goes: the one that leaves it goes.
    assert gone(masks, [[0], []]) == [[0, 1, 4], [0]]


def test_what_dies_by_others_goes_too():
    # A chain of one link in each of three layers, and another beside it.
    masks = [np.eye(2), np.eye(2), np.eye(2)]
    for lost in ([[0], [], []], [[], [0], []], [[], [], [0]]):
        assert gone(masks, lost) == [[0], [0], [0]]
    assert gone(masks, [[], [], []]) == [[], [], []]


def test_a_channel_is_alive_if_one_of_its_places_is():
    # Two channels, of an image of two places: inputs 0 and 2 are of channel 0.
    masks = [[[1, 1]], [[0], [0], [1], [0]]]
    assert gone(masks, [[], []]) == [[1], []]


def test_only_layers_that_fit_are_joined():
    assert are_joined(layer(np.ones([2, 3])), layer(np.ones([3, 1])))
    assert are_joined(layer(np.ones([2, 3])), layer(np.ones([6, 1])))
    assert not are_joined(layer(np.ones([2, 3])), layer(np.ones([4, 1])))
    slices = MaskedTensor(tf.ones([6], tf.bool), tf.ones([9, 6]))
    assert not are_joined(layer(np.ones([2, 1])), slices)
    assert not are_joined(slices, layer(np.ones([6, 1])))
    # What does not fit is left as it is.
    assert gone([[[1, 1, 1]], np.eye(4)], [[], [0]]) == [[], [0]]


@st.composite
def stacks(draw):
    widths = draw(st.lists(st.integers(1, 5), min_size=2, max_size=5))
    rng = np.random.default_rng(draw(st.integers(0, 2**31 - 1)))
    shapes = zip(widths, widths[1:], strict=False)
    masks = [rng.random(shape) < 0.5 for shape in shapes]
    lost = [
        [i for i in np.flatnonzero(mask).tolist() if rng.random() < 0.3]
        for mask in masks
    ]
    return masks, lost


@given(stacks())
def test_links_stay_that_are_on_a_way_through_the_network(stack):
    masks, lost = stack
    left = [mask.copy() for mask in masks]
    for mask, row in zip(left, lost, strict=True):
        mask.reshape(-1)[row] = False
    # Again and again, until nothing changes.
    while True:
        before = [mask.copy() for mask in left]
        for one, other in zip(left, left[1:], strict=False):
            one &= other.any(axis=1)
            other &= one.any(axis=0)[:, None]
        if all(map(np.array_equal, before, left)):
            break
    expected = [
        np.flatnonzero(mask & ~rest).tolist()
        for mask, rest in zip(masks, left, strict=True)
    ]
    assert gone(masks, lost) == expected
