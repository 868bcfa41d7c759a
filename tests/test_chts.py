"""Cannistraci-Hebb training with the soft rule."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from dsr_tf import methods
from dsr_tf.callbacks import CHTs
from dsr_tf.layers import SparseDense
from dsr_tf.layers import sparse_layers
from dsr_tf.methods.cannistraci_hebb import ByTopology
from dsr_tf.methods.cannistraci_hebb import SampledFraction
from dsr_tf.methods.grid import Grid
from dsr_tf.methods.link_scores import link_scores
from dsr_tf.methods.masked import MaskedContext
from dsr_tf.methods.masked import MaskedTensor
from dsr_tf.methods.records import find
from dsr_tf.schedules import Linear
from dsr_tf.schedules import Moment
from tests.contexts import context
from tests.contexts import lists


def gone(weights, mask, drop_fraction=0.3, sharpness=1.0, seed=0):
    numbers = {"drop_fraction": drop_fraction, "sharpness": sharpness}
    ctx = context([weights], [mask], **numbers)
    method = methods.chts(drop_fraction, sharpness)
    (positions,) = method.reallocate(ctx, tf.constant([seed, 0])).gone
    return positions.numpy().tolist()


def network(masks, **numbers):
    """Returns layers of weights 1, given the masks of their matrices."""
    tensors = []
    for mask in map(np.asarray, masks):
        rows = tf.constant(mask.reshape(1, -1), tf.float32)
        own = tf.constant(mask.reshape(-1).astype(bool))
        tensors.append(MaskedTensor(own, rows, mask.shape))
    return MaskedContext(tensors, numbers)


def grown(mask, count, gone=(), seed=0):
    """Returns where units grow in one layer."""
    (tensor,) = network([mask]).tensors
    ctx = MaskedContext([tensor], gone=[tf.constant(list(gone), tf.int64)])
    counts = tf.constant([count], tf.int64)
    (growth,) = ByTopology()(ctx, counts, tf.constant([seed, 0]))
    assert growth.values is None
    return growth.positions.numpy().tolist()


def test_a_replacement_worked_by_hand():
    # With a large sharpness the smallest of three links goes: that from input
    # 2 to output 1, at 7. From the rest, only input 0 and outputs 1 and 2 are
    # joined by a path. Before it went, so were input 2 and outputs 0 and 2.
    mask = [[1, 0, 0], [1, 1, 1], [0, 1, 0]]
    ctx = network([mask], drop_fraction=0.2, sharpness=1e6)
    weights = [
        [9.0, 0, 0],
        [
            5,
            6,
            7,
        ],
        [0, 0.1, 0],
    ]
    (old,) = ctx.tensors
    rows = tf.constant(np.reshape(weights, (1, 9)), tf.float32)
    ctx = MaskedContext([MaskedTensor(old.mask, rows, (3, 3))], ctx.numbers)
    found = set()
    for seed in range(12):
        moves = methods.chts(0.2, 1e6).reallocate(ctx, tf.constant([seed, 0]))
        assert lists(moves.gone) == [[7]]
        found |= set(lists([moves.growth[0].positions])[0])
    assert found == {1, 2}


@given(
    st.integers(1, 300), st.integers(0, 300), st.floats(0, 1, exclude_max=True)
)
def test_counts_are_those_of_python(active, inactive, drop_fraction):
    mask = np.arange(active + inactive) < active
    weights = np.where(mask, 1.0 + np.arange(len(mask)), 0)
    found = gone(weights, mask, drop_fraction)
    expected = min(int(drop_fraction * active), inactive, active - 1)
    assert len(found) == expected and found == sorted(set(found))


def test_a_large_sharpness_prunes_the_smallest():
    rng = np.random.default_rng(0)
    weights, mask = rng.normal(size=400), np.arange(400) % 2 == 0
    found = gone(weights * mask, mask, 0.3, 1e9)
    assert found == sorted(2 * np.argsort(abs(weights[::2]))[:60])


def test_without_sharpness_magnitudes_do_not_matter():
    mask = np.arange(100) < 50
    first = gone(mask * 1.0, mask, sharpness=0.0)
    second = gone(np.arange(100) * mask, mask, sharpness=0.0)
    assert first == second


@pytest.mark.parametrize("sharpness", [1.0, 2.0])
def test_units_stay_in_proportion_to_a_power_of_their_weights(sharpness):
    # Half of the weights are three times as large as the others.
    small, units = 4000, 8000
    mask = np.arange(2 * units) < units
    weights = np.where(np.arange(units) < small, 0.1, 0.3)
    powers = weights**sharpness / (weights**sharpness).sum()
    rng = np.random.default_rng(0)
    stay = rng.choice(units, units // 2, replace=False, p=powers)
    found = gone(np.pad(weights, (0, units)), mask, 0.5, sharpness)
    assert len(found) == units // 2
    # Not all of the small ones go, and so some of the large ones do.
    expected = small - (stay < small).sum()
    assert abs((np.array(found) < small).sum() - expected) < 120
    assert 2000 < expected < 3900


def test_new_weights_at_zero_can_go_and_stay():
    mask = np.arange(40) < 20
    weights = np.where(np.arange(40) < 10, 0.0, 1.0) * mask
    assert set(gone(weights, mask, 0.5)) == set(range(10))
    # Of no more than zeros, some are drawn.
    assert len(gone(np.zeros(40), mask, 0.5)) == 10


def test_growth_prefers_what_a_path_joins():
    # Only input 0 and output 1 are joined, among many that are not.
    mask = np.zeros((6, 6), int)
    mask[0, 0] = mask[1, 0] = mask[1, 1] = 1
    for seed in range(8):
        assert grown(mask, 1, seed=seed) == [1]
        assert grown(mask, 5, seed=seed)[0] == 1


def test_growth_without_paths_is_at_random():
    drawn = [grown(np.eye(6), 3, seed=seed) for seed in range(60)]
    assert len({tuple(sorted(row)) for row in drawn}) > 50
    # All 30 positions come, each about six times.
    counts = np.bincount(sum(drawn, []), minlength=36).reshape(6, 6)
    assert not counts.diagonal().any()
    assert (counts > 0).sum() == 30 and counts.max() < 18


def test_growth_is_drawn_in_proportion_to_scores():
    # Input 0 and output 1 score 4; input 2 and outputs 3, 4 and 5 with others.
    mask = np.zeros((4, 6), int)
    mask[0, 0] = mask[1, 0] = mask[1, 1] = 1
    mask[2, 2] = mask[3, 2:] = 1
    scores = link_scores(tf.constant(mask, tf.float32)).numpy().ravel()
    drawn = [grown(mask, 1, seed=seed)[0] for seed in range(300)]
    found = np.bincount(drawn, minlength=24) / len(drawn)
    np.testing.assert_allclose(found, scores / scores.sum(), atol=0.1)
    assert len(np.unique(scores[scores > 0])) > 1


def test_what_goes_is_no_part_of_the_graph_and_does_not_come_back():
    mask = [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    assert grown(mask, 1) == [1]
    # Without the link from input 1 to output 0 there is no path.
    drawn = {grown(mask, 1, gone=[3], seed=seed)[0] for seed in range(40)}
    assert drawn == {1, 2, 5, 6, 7}


def test_slices_grow_between_channels_that_a_path_joins():
    # Slices of 9 weights, numbered from outputs to inputs: see the grid.
    # Input 0 is linked to output 0, input 1 to outputs 0 and 1.
    mask = tf.constant(np.array([1, 1, 0, 0, 1, 0, 0, 0, 0], bool))
    rows = tf.cast(mask, tf.float32) * tf.ones([9, 1])
    tensor = MaskedTensor(mask, rows, (3, 3, 3, 3), grid=Grid((3, 3), (1,)))
    ctx = MaskedContext([tensor], gone=[tf.zeros([0], tf.int64)])
    for seed in range(8):
        counts, own = tf.constant([1], tf.int64), tf.constant([seed, 0])
        (growth,) = ByTopology()(ctx, counts, own)
        # Input 0 to output 1.
        assert growth.positions.numpy().tolist() == [3]


@st.composite
def networks(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**31 - 1)))
    shapes = draw(
        st.lists(st.sampled_from([(6, 4), (4, 9), (9, 2)]), min_size=1)
    )
    density = draw(st.sampled_from([0.1, 0.4, 0.9]))
    masks = [rng.random(shape) < density for shape in shapes[:4]]
    for mask in masks:
        mask[0, 0] = True
    return masks


@pytest.mark.parametrize("percolate", [False, True])
@given(masks=networks(), drop=st.sampled_from([0.1, 0.5, 0.9]))
def test_the_budget_of_every_tensor_is_kept(percolate, masks, drop):
    method = methods.chts(drop, 1.0, percolate)
    ctx = network(masks, drop_fraction=drop, sharpness=1.0)
    moves = method.reallocate(ctx, tf.constant([1, 2]))
    for mask, out, new in zip(masks, moves.gone, moves.growth, strict=True):
        came = new.positions.numpy()
        assert len(set(came)) == len(came) == len(out)
        assert mask.ravel()[out.numpy()].all() and not mask.ravel()[came].any()


def test_percolation_replaces_links_of_dead_units():
    # No link leaves unit 1 between the layers: the one that enters it goes.
    masks = [[[1, 1, 0], [0, 0, 0]], [[1, 0], [0, 0], [0, 1]]]
    numbers = {"drop_fraction": 0.0, "sharpness": 1.0}
    ctx, seed = network(masks, **numbers), tf.constant([0, 0])
    moves = methods.chts(0.0, 1.0).reallocate(ctx, seed)
    assert lists(moves.gone) == [[], []]
    moves = methods.chts(0.0, 1.0, percolate=True).reallocate(ctx, seed)
    # And the one that leaves unit 2, which nothing enters.
    assert lists(moves.gone) == [[1], [5]]
    assert [len(x.positions) for x in moves.growth] == [1, 1]


def test_equal_seeds_give_equal_moves_and_others_do_not():
    rng = np.random.default_rng(0)
    mask = rng.random((30, 20)) < 0.2
    ctx = network([mask, mask], drop_fraction=0.3, sharpness=1.0)

    def moves(seed):
        found = methods.chts(0.3, 1.0).reallocate(ctx, tf.constant(seed))
        return lists(found.gone), lists([x.positions for x in found.growth])

    assert moves([1, 2]) == moves([1, 2])
    for one, other in zip(moves([1, 2]), moves([1, 3]), strict=True):
        assert one != other
        # Nor do equal tensors draw alike.
        assert one[0] != one[1]


@pytest.mark.parametrize("bad", [-0.1, float("nan"), None, {0: 1.0, 2: -1.0}])
def test_sharpness_must_be_a_number(bad):
    with pytest.raises(ValueError, match="`sharpness` must be"):
        SampledFraction(0.1, bad)


def test_drop_fraction_must_be_a_fraction():
    with pytest.raises(ValueError, match="`drop_fraction` must be a fraction"):
        methods.chts(1.0)


def test_defaults_are_those_of_the_paper():
    rule = methods.chts().rule
    at = [
        rule.numbers({}, Moment(step, num_steps=100)) for step in (0, 50, 100)
    ]
    # delta / (1 - delta) of .5, about .67 and .75.
    assert [x["sharpness"] for x in at] == [1.0, 2.0, 3.0]
    assert {x["drop_fraction"] for x in at} == {0.3}
    settings = find("chts").settings()
    assert vars(settings) == vars(rule)
    assert vars(find("chts").build(settings, 0.9).rule) == vars(rule)
    assert CHTs(7, 0.3).method == methods.chts()


@functools.cache
def fit(**arguments):
    rng = np.random.default_rng(0)
    keras.utils.set_random_seed(0)
    net = keras.Sequential(
        [
            keras.Input((12,)),
            SparseDense(16, 0.8, seed=1, activation="relu"),
            SparseDense(16, 0.8, seed=2, activation="relu"),
            SparseDense(4, 0.5, seed=3),
        ]
    )
    loss = keras.losses.MeanSquaredError()
    net.compile("sgd", loss, jit_compile=False)
    x = rng.normal(size=(64, 12)).astype("float32")
    y = rng.normal(size=(64, 4)).astype("float32")
    moves = CHTs(2, **arguments)
    net.fit(x, y, batch_size=8, epochs=2, verbose=0, callbacks=[moves])
    return [layer.kernel_mask.numpy() for layer in sparse_layers(net)], moves


def test_every_argument_of_the_callback_does_something():
    before, moves = fit()
    # The last two are after three quarters of the training.
    assert moves.state.num_reallocations == 5
    for changed in (
        {"drop_fraction": 0.1},
        {"sharpness": Linear(9.0, 9.0)},
        {"percolate": True},
        {"stop_epoch": 1},
        {"seed": 1},
    ):
        after, _ = fit(**changed)
        assert [x.sum() for x in after] == [x.sum() for x in before]
        assert any((a != b).any() for a, b in zip(before, after, strict=True))


def test_percolation_leaves_fewer_dead_units():
    def num_dead(masks):
        pairs = zip(masks, masks[1:], strict=False)
        return sum((a.any(0) != b.any(1)).sum() for a, b in pairs)

    assert num_dead(fit(percolate=True)[0]) < num_dead(fit()[0])
