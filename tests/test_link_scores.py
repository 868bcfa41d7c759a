"""CH2-L3n, by hand and by its definition."""

import numpy as np
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from dsr_tf.methods.link_scores import link_scores


def scored(links):
    return link_scores(tf.constant(links, tf.float32)).numpy()


def test_scores_worked_by_hand():
    # Input 0 is linked to output 0, 1 to all, and 2 to output 1.
    #
    # From input 0 to output 1 there is one path: over output 0 and input 1.
    # Output 0 has one link inside, to input 1, and none outside: 2 / 1.
    # Input 1 has one inside, to output 0, and one outside, to output 2: 2 / 2.
    #
    # The other three missing links are joined alike.
    links = [[1, 0, 0], [1, 1, 1], [0, 1, 0]]
    assert scored(links).tolist() == [[0, 3, 3], [0, 0, 0], [3, 0, 3]]


def test_several_paths_worked_by_hand():
    # From input 0 to output 2: over outputs 0 and 1, both to input 1. Input 1
    # has two links inside and none outside, 3 / 1; the outputs 2 / 1 each.
    #
    # Input 1 has no missing link.
    assert scored([[1, 1, 0], [1, 1, 1]]).tolist() == [[0, 0, 7], [0, 0, 0]]


def test_no_path_scores_nothing():
    # Two parts that nothing joins, and an input without links.
    links = [[1, 1, 0], [0, 0, 1], [0, 0, 0]]
    assert not scored(links).any()


@st.composite
def graphs(draw):
    shape = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    rng = np.random.default_rng(draw(st.integers(0, 2**31 - 1)))
    return rng.random(shape) < draw(st.sampled_from([0.1, 0.3, 0.6, 0.9]))


def by_definition(links, u, v):
    """Sums over the units on paths of three links from `u` to `v`."""
    if links[u, v]:
        return 0.0
    neighbours = {("in", i): set() for i in range(links.shape[0])}
    neighbours |= {("out", j): set() for j in range(links.shape[1])}
    for i, j in np.argwhere(links).tolist():
        neighbours["in", i].add(("out", j))
        neighbours["out", j].add(("in", i))
    start, end, community = ("in", u), ("out", v), set()
    for first in neighbours[start]:
        for second in neighbours[first]:
            if end in neighbours[second]:
                community |= {first, second}
    total = 0.0
    for z in community:
        inside = len(neighbours[z] & community)
        outside = len(neighbours[z] - community - {start, end})
        total += (1 + inside) / (1 + outside)
    return total


@given(graphs())
def test_scores_are_those_of_the_definition(links):
    expected = [
        [by_definition(links, u, v) for v in range(links.shape[1])]
        for u in range(links.shape[0])
    ]
    np.testing.assert_allclose(scored(links), expected, rtol=1e-5)


@given(graphs())
def test_inputs_and_outputs_may_change_places(links):
    np.testing.assert_allclose(scored(links), scored(links.T).T, rtol=1e-5)
