import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from dsr_tf import methods
from dsr_tf.methods import Growth
from dsr_tf.methods.allocate import in_proportion_to_survivors
from dsr_tf.methods.grow import AtRandom
from dsr_tf.methods.masked import MaskedContext
from dsr_tf.methods.method import Proposal
from dsr_tf.methods.prune import AdaptiveThreshold
from tests.contexts import context
from tests.contexts import lists
from tests.contexts import masked


def without(mask, gone):
    """Returns a mask without some positions."""
    mask = np.array(mask)
    assert mask[gone].all()
    mask[gone] = 0
    return mask


def masks_after(masks, result):
    after = [
        without(mask, gone)
        for mask, gone in zip(masks, result.gone, strict=True)
    ]
    for mask, growth in zip(after, result.growth, strict=True):
        assert not mask[growth.positions].any()
        mask[growth.positions] = 1
    return after


def num_pruned(result):
    return [len(positions) for positions in result.gone]


def num_grown(result):
    return [len(growth.positions) for growth in result.growth]


def reallocate(weights, masks, threshold, num_pruned=3, seed=0, stddev=0.0):
    method = methods.dsr(num_pruned, 0.1, 1e-3, stddev)
    result = method.reallocate(
        context(weights, masks, threshold=threshold), tf.constant([seed, 1])
    )
    return result, masks_after(masks, result)


def test_reallocation_worked_by_hand():
    # H = 0.3. First tensor: .1 and -.2 go, .4 stays. Second: all stay, 3.
    # Survivors 1 and 3, 2 pruned: shares .5 and 1.5. The floors are 0 and 1;
    # remainders tie, so the first tensor gets the one left over: 1 and 1.
    weights = [[0.1, 0.0, -0.2, 0.4, 0.0], [0.5, -0.6, 0.7, 0.0]]
    masks = [[1, 0, 1, 1, 0], [1, 1, 1, 0]]
    result, after = reallocate(weights, masks, 0.3, num_pruned=3)
    assert lists(result.gone) == [[0, 2], []]
    assert (num_pruned(result), num_grown(result)) == ([2, 0], [1, 1])
    assert result.state == {"threshold": 0.6}
    assert after[0][[0, 2]].tolist() == [0, 0]
    assert after[0].sum() == 2
    assert after[1].tolist() == [1, 1, 1, 1]


def test_lowest_active_index_stays_when_all_would_go():
    result, after = reallocate(
        [[0.0, 0.2, 0.1, 0.2], [9.0, 0.0, 0.0, 0.0]],
        [[0, 1, 1, 1], [1, 0, 0, 0]],
        threshold=1.0,
    )
    assert lists(result.gone) == [[2, 3], []]
    assert num_pruned(result) == [2, 0]
    assert sum(mask.sum() for mask in after) == 4


def test_full_tensors_prune_only_what_others_can_take():
    # 4 of 4 and 3 of 4 active: one free position in all. Below 0.35 are 3 and
    # 3; never all, so the first of the second tensor stays: 3 and 2. One can
    # be replaced, in the second. The first loses 3 and gains none, the second
    # loses 2 and gains 1: 3 and 1 are spared, the largest.
    result, after = reallocate(
        [[0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.3, 0.0]],
        [[1, 1, 1, 1], [1, 1, 1, 0]],
        threshold=0.35,
    )
    assert (num_pruned(result), num_grown(result)) == ([0, 1], [0, 1])
    assert after[0].tolist() == [1, 1, 1, 1]
    assert after[1].tolist() == [1, 0, 1, 1]


def test_dense_tensors_stay_as_they_are():
    result, after = reallocate([[0.1, 0.2]], [[1, 1]], threshold=1.0)
    assert num_pruned(result) == [0]
    assert after[0].tolist() == [1, 1]


@given(st.data())
def test_reallocation_conserves_the_budget(data):
    seed = data.draw(st.integers(0, 2**31 - 1))
    sizes = data.draw(st.lists(st.integers(1, 300), min_size=1, max_size=5))
    threshold = data.draw(st.sampled_from([0.0, 1e-3, 0.5, 1.0, 1e9]))
    kind = data.draw(st.sampled_from(["normal", "zero", "equal", "ties"]))
    rng = np.random.default_rng(seed)
    masks, weights = [], []
    for size in sizes:
        density = data.draw(st.sampled_from([0.0, 0.1, 0.5, 0.99, 1.0]))
        active = max(1, int(density * size))
        mask = np.zeros(size, np.uint8)
        mask[rng.permutation(size)[:active]] = 1
        values = {
            "normal": rng.normal(size=size),
            "zero": np.zeros(size),
            "equal": np.ones(size),
            "ties": rng.choice([-1.0, 0.5, 0.5], size),
        }[kind]
        masks.append(mask)
        weights.append(values * mask)
    result, after = reallocate(weights, masks, threshold, seed=seed)

    assert sum(m.sum() for m in after) == sum(m.sum() for m in masks)
    assert sum(num_pruned(result)) == sum(num_grown(result))
    for before, gone, mask, w in zip(
        masks, result.gone, after, weights, strict=True
    ):
        gone = gone.numpy()
        assert without(before, gone).sum() >= 1
        assert (np.diff(gone) > 0).all()
        # What was pruned in this step has not come back in it.
        assert not mask[gone].any()
        assert (np.abs(w[gone]) < threshold).all()


def method_with(allocate):
    return methods.Method(
        prune=AdaptiveThreshold(3, 0.1, 0.5), allocate=allocate, grow=AtRandom()
    )


def test_allocation_beyond_capacity_goes_to_the_others():
    # In place of what it lost, 8 of 9: the first tensor has one position free.
    ctx = context(
        [[0.1] * 9 + [0.0], [1.0] + [0.0] * 19],
        [[1] * 9 + [0], [1] + [0] * 19],
        threshold=0.5,
    )
    own = method_with(lambda ctx, pruned: pruned)
    result = own.reallocate(ctx, tf.constant([0, 0]))
    assert (num_pruned(result), num_grown(result)) == ([8, 0], [1, 7])


def test_without_allocation_every_tensor_gets_what_it_lost_or_has_room_for():
    # 8 of 9 and 1 of 2 go, and the first tensor has one position free.
    ctx = context(
        [[0.1] * 9 + [0.0], [1.0, 0.1] + [0.0] * 19],
        [[1] * 9 + [0], [1, 1] + [0] * 19],
        threshold=0.5,
    )
    result = method_with(None).reallocate(ctx, tf.constant([0, 0]))
    assert (num_pruned(result), num_grown(result)) == ([1, 1], [1, 1])


def test_parts_know_the_seed_and_growth_what_goes():
    seen = []

    def prune(ctx):
        seen.append((ctx.seed.numpy().tolist(), ctx.gone))
        # All of the first tensor, of which one has to stay.
        return [x.positions for x in ctx.tensors]

    def grow(ctx, counts, seed):
        seen.append((ctx.seed.numpy().tolist(), lists(ctx.gone)))
        return AtRandom()(ctx, counts, seed)

    ctx = context([[1, 2, 3, 0, 0, 0, 0]], [[1, 1, 1, 0, 0, 0, 0]])
    methods.Method(prune, grow=grow).reallocate(ctx, tf.constant([3, 4]))
    assert seen == [([3, 4], None), ([3, 4], [[1, 2]])]


@pytest.mark.parametrize("bad", [-1, -0.5, np.nan, np.inf])
def test_allocation_in_other_proportions_is_refused(bad):
    ctx = context([[0.1, 0.2, 0.3, 0, 0]], [[1, 1, 1, 0, 0]], threshold=0.5)
    with pytest.raises(ValueError, match="`allocate` must return proportions"):
        method_with(lambda *_: tf.constant([bad])).reallocate(
            ctx, tf.constant([0, 0])
        )


@pytest.mark.parametrize(
    "allocate",
    [
        lambda ctx, pruned: pruned,
        lambda ctx, pruned: tf.ones([2]),
        lambda ctx, pruned: [3, 1],
        lambda ctx, pruned: tf.sqrt(tf.cast(ctx.num_active, tf.bfloat16)),
    ],
    ids=["int64", "float32", "list", "bfloat16"],
)
def test_allocation_may_be_of_any_numbers(allocate):
    weights = np.random.default_rng(0).normal(size=(2, 40))
    masks = [np.arange(40) < 20] * 2
    ctx = context(weights * masks, masks, threshold=0.5)
    result = method_with(allocate).reallocate(ctx, tf.constant([0, 0]))
    assert sum(num_pruned(result)) == sum(num_grown(result)) > 0


def test_allocation_sees_what_is_pruned_and_the_network():
    seen = []

    def allocate(ctx, pruned):
        seen.append(lists([ctx.num_active, ctx.num_inactive, pruned]))
        return pruned

    # All of the first are below, so one of them stays.
    ctx = context(
        [[0.1, 0.2, 0.0], [0.3, 0.9, 0.0]],
        [[1, 1, 0], [1, 1, 0]],
        threshold=0.5,
    )
    method_with(allocate).reallocate(ctx, tf.constant([0, 0]))
    assert seen == [[[2, 2], [1, 1], [1, 1]]]


def test_allocation_is_nothing_without_growth():
    with pytest.raises(ValueError, match="`grow` must be given with"):
        methods.Method(
            AdaptiveThreshold(3, 0.1, 0.5), in_proportion_to_survivors
        )


def test_a_function_may_prune_and_remembers_nothing():
    own = methods.Method(lambda ctx: [x.smaller_than(0.5) for x in ctx.tensors])
    result = own.reallocate(
        context([[0.1, 0.9, 0.2]], [[1, 1, 1]]), tf.constant([0, 0])
    )
    assert lists(result.gone) == [[0, 2]] and result.state == {}
    assert num_grown(result) == [0]


def test_growth_may_be_chosen_by_ones_own_function():
    # The first inactive positions, of the value -1.
    def grow(ctx, counts, seed):
        return [
            Growth(tf.where(~x.mask)[:count, 0], tf.fill([count], -1.0))
            for x, count in zip(ctx.tensors, tf.unstack(counts), strict=True)
        ]

    own = methods.Method(AdaptiveThreshold(1, 0.1, 0.5), grow=grow)
    result = own.reallocate(
        context([[0.1, 0.9, 0.0, 0.0]], [[1, 1, 0, 0]], threshold=0.5),
        tf.constant([0, 0]),
    )
    assert lists([result.gone[0], result.growth[0].positions]) == [[0], [2]]
    assert lists([result.growth[0].values]) == [[-1.0]]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_weights_are_refused(bad):
    with pytest.raises(methods.NonFiniteWeightError, match="tensor 1"):
        reallocate([[1.0], [1.0, bad]], [[1], [1, 1]], 0.5)


def test_equal_seeds_give_equal_results():
    rng = np.random.default_rng(0)
    masks = [rng.integers(0, 2, 500), rng.integers(0, 2, 300)]
    weights = [rng.normal(size=m.size) * m for m in masks]
    runs = [
        reallocate(weights, masks, 0.5, seed=seed, stddev=0.1)
        for seed in (7, 7, 8)
    ]
    (a, first), (b, again), (_, other) = runs
    for x, y in zip(first, again, strict=True):
        assert (x == y).all()
    for x, y in zip(a.growth, b.growth, strict=True):
        assert (x.values.numpy() == y.values.numpy()).all()
    assert any((x != y).any() for x, y in zip(first, other, strict=True))


def slices(data, size):
    """Draws weights and mask of one tensor of units of `size` weights."""
    count = data.draw(st.integers(2, 30))
    mask = data.draw(
        st.lists(st.integers(0, 1), min_size=count, max_size=count)
    )
    mask[data.draw(st.integers(0, count - 1))] = 1
    scores = np.random.default_rng(count).random(count) * mask
    return scores, mask


@given(st.data())
def test_units_of_several_sizes_conserve_the_budget(data):
    sizes = data.draw(
        st.lists(st.sampled_from([1, 9, 25]), min_size=1, max_size=4)
    )
    scores, masks = zip(*(slices(data, size) for size in sizes), strict=True)
    method = methods.dsr(3, 0.1, 1e-3)
    state, unspent = {"threshold": data.draw(st.floats(0.01, 1.0))}, 0
    masks = [np.array(mask, np.uint8) for mask in masks]
    budget = sum(int(m.sum()) * u for m, u in zip(masks, sizes, strict=True))
    for step in range(3):
        weights = [s * m for s, m in zip(scores, masks, strict=True)]
        result = method.reallocate(
            context(weights, masks, sizes, **state),
            tf.constant([0, step]),
            unspent,
        )
        state, unspent = result.state, result.unspent
        masks = masks_after(masks, result)
        active = sum(
            int(m.sum()) * u for m, u in zip(masks, sizes, strict=True)
        )
        assert active + unspent == budget
        assert 0 <= unspent < max(sizes)
        assert all(mask.sum() > 0 for mask in masks)


def test_units_worked_by_hand():
    # Slices of 9 and single weights, H = 0.5. Of the slices .1 goes, and of
    # the weights .2: 10 weights. Survivors weigh 9 and 2, so 8.18 and 1.82 of
    # the 10: no slice, remainder .909, and 1 weight, remainder .818. 9 are
    # left over: a slice.
    ctx = context(
        [[0.1, 0.9, 0.0, 0.0], [0.2, 0.7, 0.8, 0.0]],
        [[1, 1, 0, 0], [1, 1, 1, 0]],
        [9, 1],
        threshold=0.5,
    )
    result = methods.dsr(2, 0.1, 1e-3).reallocate(ctx, tf.constant([0, 1]))
    assert (num_pruned(result), num_grown(result)) == ([1, 1], [1, 1])
    assert result.unspent == 0
    assert result.state == {"threshold": 0.5}


def test_unspent_weights_are_spent_when_a_unit_fits():
    # Nothing goes. 9 weights were left unspent, by slices of 25 since gone:
    # a slice of 9 comes, and no more.
    ctx = context([[0.9, 0.0, 0.0]], [[1, 0, 0]], [9], threshold=0.5)
    result = methods.dsr(1, 0.1, 1e-3).reallocate(
        ctx, tf.constant([0, 1]), unspent=12
    )
    assert (num_grown(result), result.unspent) == ([1], 3)


def test_new_slices_get_a_value_for_every_weight():
    ctx = context([[0.9, 0.1, 0.0, 0.0]], [[1, 1, 0, 0]], [9], threshold=0.5)
    method = methods.dsr(1, 0.1, 1e-3, 0.1)
    result = method.reallocate(ctx, tf.constant([0, 1]))
    values = result.growth[0].values.numpy()
    assert values.shape == (9,) and len(set(values.tolist())) == 9


GRAPHS = {
    "deepr": (methods.deepr(0.0), {}),
    "set": (methods.set_method(0.2), {"drop_fraction": 0.2}),
    "chts": (
        methods.chts(0.2, 1.0, percolate=True),
        {"drop_fraction": 0.2, "sharpness": 1.0},
    ),
    "gradual": (methods.gradual_pruning(0.9, 1), {"sparsity": 0.9}),
    "gradual within": (
        methods.gradual_pruning(0.9, 1, across_tensors=False),
        {"sparsity": 0.9},
    ),
    "rigl": (methods.rigl(0.2), {"drop_fraction": 0.2}),
    "itop": (methods.itop(0.2, "random"), {"drop_fraction": 0.2}),
    "snfs": (methods.sparse_momentum(0.2), {"drop_fraction": 0.2}),
    "granet": (
        methods.granet(0.9, 0.4, 0.2),
        {"sparsity": 0.7, "drop_fraction": 0.2},
    ),
    "mest": (methods.mest(), {"drop_fraction": 0.5}),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_reallocation_inside_a_graph_equals_that_outside(name):
    method, numbers = GRAPHS[name]
    rng = np.random.default_rng(0)
    masks = [rng.integers(0, 2, n).astype(bool) for n in (50, 20, 3)]
    masks[2][:] = True
    rows = [(rng.normal(size=m.size) * m, m) for m in masks]
    ctx = MaskedContext(
        [masked(*row, signs=np.ones(len(row[0]), np.int8)) for row in rows],
        numbers,
    )
    for tensor in ctx.tensors:
        scores = np.abs(rng.normal(size=tensor.num_units))
        tensor.growth_scores = tf.constant(scores, tf.float32)
    seed, state = tf.constant([3, 4]), {"prunes": 0}
    expected = method.reallocate(ctx, seed, state=state)

    def traced(rows):
        return MaskedContext(
            [
                type(x)(
                    x.mask,
                    row,
                    arrays={"signs": x.arrays._whole["signs"]},
                    growth_scores=x.growth_scores,
                )
                for x, row in zip(ctx.tensors, rows, strict=True)
            ],
            numbers,
            seed=seed,
        )

    @tf.function(autograph=False)
    def propose(rows):
        return vars(method.propose(traced(rows)))

    rows = [tensor.rows for tensor in ctx.tensors]
    planned = None
    if method.allocate:
        # These counts are planned on the host.
        planned, _ = method.plan_across([1] * 3, Proposal(**propose(rows)), 0)

    @tf.function(autograph=False)
    def reallocate(rows):
        again = traced(rows)
        proposal = method.propose(again)
        plan = planned or method.plan_within(proposal.counts)
        gone, growth = method.carry_out(again, proposal.gone, plan, seed)
        return gone, [(x.positions, x.arrays) for x in growth]

    gone, growth = reallocate(rows)
    assert sum(map(len, gone)) > 0
    assert lists(gone) == lists(expected.gone)
    for (positions, arrays), other in zip(growth, expected.growth, strict=True):
        assert lists([positions]) == lists([other.positions])
        assert set(arrays) == set(other.arrays)
        for key, values in arrays.items():
            assert lists([values]) == lists([other.arrays[key]])
