"""RigL, ITOP, SNFS, GraNet and MEST: cases worked by hand, and their slips."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

import dsr_tf
from dsr_tf import methods
from dsr_tf.callbacks import DSR
from dsr_tf.callbacks import MEST
from dsr_tf.callbacks import GradualPruning
from dsr_tf.callbacks import GraNet
from dsr_tf.callbacks import Reallocate
from dsr_tf.callbacks import RigL
from dsr_tf.layers import SparseDense
from dsr_tf.methods.grow import DrawnByScore
from dsr_tf.methods.masked import MaskedContext
from dsr_tf.methods.masked import MaskedTensor
from dsr_tf.methods.smallest_of_all import SmallestOfAll
from dsr_tf.schedules import ByShare
from dsr_tf.schedules import FromEpoch
from dsr_tf.schedules import Moment
from tests.contexts import context
from tests.contexts import lists

SEED = tf.constant([0, 0])


def tensor(weights, scores):
    """Returns a tensor whose units with weight None are inactive."""
    mask = tf.constant([w is not None for w in weights])
    rows = tf.constant([[w or 0.0 for w in weights]])
    scores = tf.constant(scores, tf.float32)
    return MaskedTensor(mask, rows, growth_scores=scores)


def moved(method, *tensors, **numbers):
    """Returns positions that went and that came, for each tensor."""
    moves = method.reallocate(MaskedContext(tensors, numbers), SEED)
    return lists(moves.gone), lists(x.positions for x in moves.growth)


def test_rigl_worked_by_hand():
    # The two smallest of four go. Of what was inactive 5 and 7 have the largest
    # scores. Position 1, which has just gone, has a larger one, and stays out.
    one = tensor(
        [5.0, -1.0, 3.0, 0.5, None, None, None, None],
        [0.0, 99.0, 0.0, 0.0, 0.1, 0.9, 0.4, 0.9],
    )
    assert moved(methods.rigl(0.5), one, drop_fraction=0.5) == (
        [[1, 3]],
        [[5, 7]],
    )
    # int(.49 * 4) is 1, and int(.2 * 4) is 0.
    for share, gone in ((0.49, [[3]]), (0.2, [[]])):
        found = moved(methods.rigl(share), one, drop_fraction=share)
        assert found[0] == gone


def test_weights_that_grow_begin_at_0():
    one = tensor([5.0, 1.0, None, None], [0.0, 0.0, 0.1, 0.9])
    ctx = MaskedContext([one], {"drop_fraction": 0.5})
    (growth,) = methods.rigl(0.5).reallocate(ctx, SEED).growth
    assert growth.values is None and growth.positions.numpy().tolist() == [3]


def test_dsr_by_a_share_worked_by_hand():
    # A quarter of the eight weights goes, the smallest of all: both of the
    # first tensor. One survivor there and five in the other: none of the two
    # comes back to it (.33), and two to the other (1.67).
    one = tensor([0.1, 5.0, 0.2, None], [0.0] * 4)
    other = tensor(
        [1.0, 2.0, 3.0, 4.0, 5.0] + [None] * 4,
        [0.0] * 5 + [1.0, 0.0, 0.0, 1.0],
    )
    method = methods.dsr(0.25, growth="drawn")
    gone, came = moved(method, one, other, share=0.25)
    assert gone == [[0, 2], []]
    # Positions of score 0 are drawn last.
    assert came[0] == [] and sorted(came[1]) == [5, 8]


def test_draws_are_in_proportion_to_scores():
    scores = np.array([0.0, 1.0, 3.0, 0.0, 6.0])
    ctx = context([np.zeros(5)], [[False, False, False, True, False]])
    ctx.tensors[0].growth_scores = tf.constant(scores, tf.float32)
    drawn = [
        int(DrawnByScore()(ctx, tf.constant([1]), [0, i])[0].positions[0])
        for i in range(2000)
    ]
    found = np.bincount(drawn, minlength=5) / 2000
    np.testing.assert_allclose(found, scores / 10, atol=0.04)


@given(
    masks=st.lists(
        st.lists(st.booleans(), min_size=2, max_size=30), min_size=1
    ),
    share=st.floats(0, 0.999),
    seed=st.integers(0, 1000),
)
def test_a_share_of_all_is_exact(masks, share, seed):
    masks = [np.array([True, *mask]) for mask in masks]
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=len(mask)) * mask for mask in masks]
    ctx = context(weights, masks, share=share)
    gone = SmallestOfAll(share)(ctx)
    active = sum(mask.sum() for mask in masks)
    assert sum(len(x) for x in gone) == min(
        int(share * active), active - len(masks)
    )
    assert all(mask[x].all() for mask, x in zip(masks, gone, strict=True))


@pytest.mark.parametrize("num_pruned", [0, -1, True, 1.0, "5", 600.0])
def test_num_pruned_is_a_count_or_a_share(num_pruned):
    with pytest.raises(ValueError, match="`num_pruned` must be"):
        methods.dsr(num_pruned)


def test_a_share_has_no_threshold_before():
    assert DSR(5, 10, initial_threshold=0.5).threshold == 0.5
    with pytest.raises(ValueError, match="`initial_threshold` must be given"):
        _ = DSR(0.1, 10).threshold


def test_a_threshold_adapts_to_a_count_alone():
    with pytest.raises(ValueError, match="`num_pruned` must be a count"):
        methods.dsr(0.1, initial_threshold=0.5)


def test_a_count_of_all_worked_by_hand():
    one = tensor([0.1, 5.0, 0.2, None, None, None], [0.0] * 6)
    other = tensor([0.3, 2.0, None, None], [0.0] * 4)
    assert moved(methods.dsr(2), one, other)[0] == [[0, 2], []]
    assert moved(methods.dsr(3), one, other)[0] == [[0, 2], [0]]
    # One of each tensor stays.
    assert moved(methods.dsr(4), one, other)[0] == [[0, 2], [0]]


@pytest.mark.parametrize("threshold, gone", [(0.15, 1), (9.0, 4)])
def test_a_threshold_prunes_at_most_four_times_its_target(threshold, gone):
    one = tensor([0.1, 0.5, 0.2, None, None, None], [0.0] * 6)
    other = tensor([0.3, 0.2, 2.0, None, None, None], [0.0] * 6)
    method = methods.dsr(1, initial_threshold=threshold)
    found, _ = moved(method, one, other, threshold=threshold)
    expected = {1: [[0], []], 4: [[0, 2], [0, 1]]}
    assert found == expected[gone]


def test_itop_is_rigl_or_set_with_a_share():
    one = tensor([5.0, 1.0, None, None], [0.0, 0.0, 0.1, 0.9])
    found = moved(methods.itop(0.5), one, drop_fraction=0.5)
    assert found == ([[1]], [[3]])
    gone, came = moved(
        methods.itop(0.5, growth="random"), one, drop_fraction=0.5
    )
    assert gone == [[1]] and came in ([[2]], [[3]])


def test_snfs_worked_by_hand():
    # Half of four and half of eight go: six. The mean scores of what is active
    # are 2 and 1, so four come to the first tensor, and two to the second.
    scores = [2.0] * 4 + [0.1, 0.5, 0.4, 0.3, 0.2]
    one = tensor([1.0, 2.0, 3.0, 4.0] + [None] * 5, scores)
    weights = [float(n) for n in range(8, 0, -1)] + [None] * 3
    other = tensor(weights, [1.0] * 8 + [0.1, 0.0, 0.2])
    found = moved(methods.sparse_momentum(), one, other, drop_fraction=0.5)
    assert found == ([[0, 1], [4, 5, 6, 7]], [[5, 6, 7, 8], [10, 8]])


def test_granet_worked_by_hand():
    # At a sparsity of .6 new tensors hold int(4.1) and int(2.1) weights: six.
    # Eight are active, so the smallest two of all go for good: .1 and .2 of the
    # first tensor. Of the four and two that are left there, half go too: .3
    # and .4, and .5. As many grow, at the largest scores.
    one = tensor(
        [0.1, 0.2, 0.3, 0.4, 0.7, 0.8] + [None] * 4,
        [9.0] * 6 + [0.1, 0.4, 0.3, 0.2],
    )
    other = tensor([0.5, 0.6] + [None] * 3, [9.0] * 2 + [0.0, 0.0, 0.1])
    method = methods.granet(0.9, 0.2)
    found = moved(method, one, other, sparsity=0.6, drop_fraction=0.5)
    assert found == ([[0, 1, 2, 3], [0]], [[7, 8], [4]])


def test_mest_worked_by_hand():
    # |w| + .5 * |gradient|: 1, 1.2, .8 and 1.5.
    one = tensor(
        [1.0, 0.2, 0.3, 0.5, None, None],
        [0.0, 2.0, 1.0, 2.0, 0.0, 0.0],
    )
    found = moved(methods.mest(), one, drop_fraction=0.5)
    assert found[0] == [[0, 2]] and sorted(found[1][0]) == [4, 5]
    found = moved(methods.mest(gradient_weight=0.0), one, drop_fraction=0.5)
    assert found[0] == [[1, 2]]


def test_mest_with_a_soft_bound_shrinks_by_importance():
    # At .4, six of ten stay: the least important of seven goes for good, and
    # int(.34 * 6) = 2 are replaced.
    weights = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7] + [None] * 3
    one = tensor(weights, [2.0] + [0.0] * 9)
    method = methods.mest(soft=True, sparsity=0.5)
    gone, came = moved(method, one, sparsity=0.4, drop_fraction=0.34)
    assert gone == [[1, 2, 3]] and len(came[0]) == 2


@pytest.mark.parametrize(
    "callback, values",
    [
        (RigL(), {0: 0.3, 375: 0.15, 750: 0.0, 900: 0.0}),
        (RigL(stop=None), {0: 0.3, 500: 0.15, 1000: 0.0}),
        (RigL(stop=400), {0: 0.3, 200: 0.15, 400: 0.0}),
        (RigL(stop=FromEpoch(3)), {0: 0.3, 900: 0.3}),
        (RigL({0: 0.3, 1: 0.1}), {0: 0.3}),
        (MEST(5), {0: 0.2, 562: 0.2, 563: 0.1, 749: 0.1, 750: 0.0}),
        # Of .15 and .125 that are active, what is beyond .1.
        (
            MEST(5, soft=True, sparsity=0.9),
            {0: 1 / 3, 562: 1 / 3, 563: 0.2, 750: 0.0},
        ),
    ],
)
def test_shares_fall_as_published(callback, values):
    """The share of the authors' flags of RigL is constant by default."""
    for step, expected in values.items():
        moment = Moment(step, 0, 1000)
        numbers = callback.method.rule.numbers({}, moment)
        assert numbers["drop_fraction"] == pytest.approx(expected, abs=1e-12)


def test_sparsities_rise_as_published():
    granet = methods.granet(0.9, 0.5).rule
    # Half of the way: .9 + (.5 - .9) * (1 - .5)³.
    for step, expected in {0: 0.5, 250: 0.85, 500: 0.9, 800: 0.9}.items():
        numbers = granet.numbers({}, Moment(step, 0, 1000))
        assert numbers["sparsity"] == pytest.approx(expected)
    soft = methods.mest(soft=True, sparsity=0.9).rule
    for step, expected in {0: 0.85, 600: 0.875, 800: 0.9}.items():
        numbers = soft.numbers({}, Moment(step, 0, 1000))
        assert numbers["sparsity"] == pytest.approx(expected)
    higher = methods.mest(soft=True, sparsity=0.95).rule
    for step, expected in {0: 0.9, 600: 0.925, 800: 0.95}.items():
        numbers = higher.numbers({}, Moment(step, 0, 1000))
        assert numbers["sparsity"] == pytest.approx(expected)
    assert soft.numbers({}, Moment(800, 0, 1000))["sparsity"] == 0.9


def network(sparsity):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8,)),
            SparseDense(10, sparsity, seed=0),
            SparseDense(3, sparsity, seed=0),
        ]
    )
    model.compile("adam", "mse", jit_compile=False)
    return model


def fit(model, callback, epochs=1):
    x, y = np.ones((80, 8)), np.ones((80, 3))
    model.fit(x, y, 8, epochs, verbose=0, callbacks=[callback])


def test_a_sparsity_that_is_not_reached_is_refused():
    with pytest.raises(ValueError, match="must let the method reach"):
        # In steps 4 and 8 of 10, and .9 of the training is step 9.
        fit(network(0.3), GraNet(0.6, 4, 0.3, until=0.9))
    fit(network(0.3), GraNet(0.6, 4, 0.3, until=0.8))
    # With an end, the training may go on in another `fit`.
    fit(network(0.3), GraNet(0.6, 4, 0.3, until=0.9, stop=9))


def test_what_has_reached_its_sparsity_is_trained_further():
    model, moves = network(0.3), GraNet(0.6, 4, 0.3, 0.3)
    fit(model, moves)
    target = [x.num_active for x in dsr_tf.layers.sparse_layers(network(0.6))]
    layers = dsr_tf.layers.sparse_layers(model)
    assert sum(x.num_active for x in layers) == sum(target)
    # No reallocation is due here.
    model.fit(
        *(np.ones((8, 8)), np.ones((8, 3)), 8), verbose=0, callbacks=[moves]
    )
    assert sum(x.num_active for x in layers) == sum(target)


def test_a_stop_that_has_passed_is_said(caplog):
    model = network(0.5)
    fit(model, RigL(period=2), epochs=1)
    fit(model, RigL(period=2, stop=FromEpoch(0)))
    assert "has passed" not in caplog.text
    # Three quarters of 30 steps are 22, and 20 are taken.
    fit(model, RigL(period=2))
    assert "has passed" not in caplog.text
    fit(model, RigL(period=2, stop=25))
    assert "`stop=25` has passed at optimizer step 30" in caplog.text


@pytest.mark.parametrize(
    "moves",
    [
        GraNet(0.6, 4, 0.3, 0.5),
        MEST(4, soft=True, sparsity=0.6),
        GradualPruning(0.6, 2, 4),
    ],
)
def test_a_model_that_is_as_sparse_as_its_end_is_said(caplog, moves):
    model = network(0.6)
    fit(model, moves)
    assert "no weight goes for good: the sparse layers begin with 44, and" in (
        caplog.text
    )
    caplog.clear()
    fit(model, moves)
    fit(network(0.3), moves)
    assert "goes for good" not in caplog.text


@pytest.mark.parametrize(
    "first, moves, numbers",
    [
        (
            0.0,
            GraNet(0.9, 2, 0.5),
            # Of 80 and 30 weights: 40 and 15.
            (55, 110, "0", 55, 0.5),
        ),
        # .9: 8 and 3.
        (0.5, MEST(2, soft=True, sparsity=0.95), (44, 55, "0.5", 11, 0.9)),
    ],
)
def test_a_model_that_is_far_too_dense_is_said(caplog, first, moves, numbers):
    model = network(first)
    fit(model, moves, epochs=2)
    more, active, sparsity, kept, begun = numbers
    message = (
        f"first reallocation prunes {more} weights more than the schedule "
        f"means: the sparse layers hold {active}, a sparsity of {sparsity}, "
        f"where it has {kept}, one of {begun}. Make them with that sparsity."
    )
    assert caplog.text.count(message) == 1
    caplog.clear()
    fit(model, moves)
    assert "more than the schedule" not in caplog.text


@pytest.mark.parametrize(
    "first, moves",
    [
        (0.5, GraNet(0.9, 2)),
        # Less than a tenth more.
        (0.46, GraNet(0.9, 2)),
        (0.7, GraNet(0.9, 2)),
        (0.85, MEST(2, soft=True, sparsity=0.9)),
        (0.5, MEST(2)),
        # What was asked for: the first prune goes beyond .5.
        (0.0, GradualPruning(0.9, 3, 2, initial_sparsity=0.5)),
        (0.0, GradualPruning(0.9, period=2, initial_sparsity=0.5)),
    ],
)
def test_a_model_that_suits_its_schedule_is_not_spoken_of(caplog, first, moves):
    fit(network(first), moves)
    assert "more than the schedule" not in caplog.text


@pytest.mark.parametrize("kind", [GraNet, GradualPruning])
def test_a_schedule_that_has_passed_in_part_is_said(caplog, kind):
    model = network(0.5 if kind is GraNet else 0.0)
    x, y = np.ones((80, 8)), np.ones((80, 3))
    model.fit(x, y, 8, 3, verbose=0)
    fit(model, kind(0.9, period=2))
    assert "or compile the model again: steps and shares" in caplog.text
    caplog.clear()
    model = network(0.5 if kind is GraNet else 0.0)
    fit(model, kind(0.9, period=2))
    # The weights follow the schedule: as where its own state was lost.
    fit(model, kind(0.95, period=2), epochs=2)
    assert "more than the schedule" not in caplog.text


def test_models_that_are_too_sparse_are_refused():
    with pytest.raises(ValueError, match="must be at least that of the model"):
        fit(network(0.8), GraNet(0.6, 4, 0.3))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: GraNet(0.4, 5), "`initial_sparsity` must be at most"),
        (lambda: MEST(5, soft=True), "`sparsity` must be given with `soft`"),
        (lambda: MEST(5, sparsity=0.9), "`sparsity` must be None without"),
        (
            lambda: DSR(5, 5, regrow_stddev=0.1, growth="gradient"),
            "`regrow_stddev` must be 0 unless",
        ),
        (
            lambda: Reallocate(methods.rigl(0.3), 5, 3, stop=0.5),
            "`stop` and `stop_epoch` must not both",
        ),
        (lambda: ByShare(((0.1, 1.0),)), "`entries` must have an entry for"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
