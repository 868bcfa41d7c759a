import numpy as np
import pytest
import tensorflow as tf
from dsr_tf.methods.tensors import num_active
from hypothesis import given
from hypothesis import strategies as st

from dsr_tf import methods
from dsr_tf.methods import Tensors
from dsr_tf.methods.grow import AtRandom
from dsr_tf.methods.prune import AdaptiveThreshold


def network(weights, masks, unit_sizes=None):
    return Tensors(
        [tf.constant(w, tf.float32) for w in weights],
        [tf.constant(np.array(m, bool)) for m in masks],
        unit_sizes,
    )


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


def reallocate(weights, masks, threshold, num_pruned=3, seed=0, stddev=0.0):
    method = methods.dsr(num_pruned, regrow_stddev=stddev)
    result = method.reallocate(
        network(weights, masks),
        {"threshold": threshold},
        tf.constant([seed, 1]),
    )
    return result, masks_after(masks, result)


def test_reallocation_worked_by_hand():
    # H = 0.3. First tensor: .1 and -.2 go, .4 stays. Second: all stay, 3.
    # Survivors 1 and 3, 2 pruned: shares .5 and 1.5. The floors are 0 and 1;
    # remainders tie, so the first tensor gets the one left over: 1 and 1.
    weights = [[0.1, 0.0, -0.2, 0.4, 0.0], [0.5, -0.6, 0.7, 0.0]]
    masks = [[1, 0, 1, 1, 0], [1, 1, 1, 0]]
    result, after = reallocate(weights, masks, 0.3, num_pruned=3)
    assert [gone.numpy().tolist() for gone in result.gone] == [[0, 2], []]
    assert (result.num_pruned, result.num_grown) == ([2, 0], [1, 1])
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
    assert [gone.numpy().tolist() for gone in result.gone] == [[2, 3], []]
    assert result.num_pruned == [2, 0]
    assert sum(mask.sum() for mask in after) == 4


def test_full_tensors_prune_only_what_others_can_take():
    # 4 of 4 and 3 of 4 active: one free position in all. Below 0.35 are 3 and
    # 3; never all, so the first of the second tensor stays: 3 and 2. One can
    # be replaced, in the second. The first loses 3 and gains none, the second
    # loses 2 and gains 1: 3 and 1 are pardoned, the largest.
    result, after = reallocate(
        [[0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.3, 0.0]],
        [[1, 1, 1, 1], [1, 1, 1, 0]],
        threshold=0.35,
    )
    assert (result.num_pruned, result.num_grown) == ([0, 1], [0, 1])
    assert after[0].tolist() == [1, 1, 1, 1]
    assert after[1].tolist() == [1, 0, 1, 1]


def test_dense_tensors_stay_as_they_are():
    result, after = reallocate([[0.1, 0.2]], [[1, 1]], threshold=1.0)
    assert result.num_pruned == [0]
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
    assert sum(result.num_pruned) == sum(result.num_grown)
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
    tensors = network(
        [[0.1] * 9 + [0.0], [1.0] + [0.0] * 19],
        [[1] * 9 + [0], [1] + [0] * 19],
    )
    own = method_with(lambda survivors, pruned, capacity: pruned)
    result = own.reallocate(tensors, {"threshold": 0.5}, tf.constant([0, 0]))
    assert (result.num_pruned, result.num_grown) == ([8, 0], [1, 7])


@pytest.mark.parametrize("counts", [[5], [-1]])
def test_allocation_of_other_sums_is_refused(counts):
    tensors = network([[0.1, 0.2, 0.3, 0, 0, 0]], [[1, 1, 1, 0, 0, 0]])
    with pytest.raises(ValueError, match="`allocate` must return counts"):
        method_with(lambda *_: counts).reallocate(
            tensors, {"threshold": 0.5}, tf.constant([0, 0])
        )


def test_allocate_and_grow_belong_together():
    with pytest.raises(ValueError, match="must be given together"):
        methods.Method(prune=AdaptiveThreshold(3, 0.1, 0.5), grow=AtRandom())


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


@given(st.integers(0, 1000), st.integers(0, 2**31 - 1))
def test_num_active_is_exact(size, seed):
    mask = np.random.default_rng(seed).integers(0, 2, size).astype(bool)
    assert int(num_active(tf.constant(mask))) == mask.sum()


def test_num_active_counts_beyond_float32():
    # 2**24 + 1 is the first integer that float32 cannot hold.
    assert int(num_active(tf.ones([2**24 + 1], tf.bool))) == 2**24 + 1


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
    method = methods.dsr(3)
    state, unspent = {"threshold": data.draw(st.floats(0.01, 1.0))}, 0
    masks = [np.array(mask, np.uint8) for mask in masks]
    budget = sum(int(m.sum()) * u for m, u in zip(masks, sizes, strict=True))
    for step in range(3):
        weights = [s * m for s, m in zip(scores, masks, strict=True)]
        tensors = network(weights, masks, sizes)
        result = method.reallocate(
            tensors, state, tf.constant([0, step]), unspent
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
    tensors = network(
        [[0.1, 0.9, 0.0, 0.0], [0.2, 0.7, 0.8, 0.0]],
        [[1, 1, 0, 0], [1, 1, 1, 0]],
        [9, 1],
    )
    method = methods.dsr(2)
    result = method.reallocate(tensors, {"threshold": 0.5}, tf.constant([0, 1]))
    assert (result.num_pruned, result.num_grown) == ([1, 1], [1, 1])
    assert result.unspent == 0
    assert result.state == {"threshold": 0.5}


def test_unspent_weights_are_spent_when_a_unit_fits():
    # Nothing goes. 9 weights were left unspent, by slices of 25 since gone:
    # a slice of 9 comes, and no more.
    tensors = network([[0.9, 0.0, 0.0]], [[1, 0, 0]], [9])
    result = methods.dsr(1).reallocate(
        tensors, {"threshold": 0.5}, tf.constant([0, 1]), unspent=12
    )
    assert (result.num_grown, result.unspent) == ([1], 3)


def test_new_slices_get_a_value_for_every_weight():
    tensors = network([[0.9, 0.1, 0.0, 0.0]], [[1, 1, 0, 0]], [9])
    method = methods.dsr(1, regrow_stddev=0.1)
    result = method.reallocate(tensors, {"threshold": 0.5}, tf.constant([0, 1]))
    values = result.growth[0].values.numpy()
    assert values.shape == (9,) and len(set(values.tolist())) == 9


def test_rewiring_inside_a_graph_equals_reallocation():
    rng = np.random.default_rng(0)
    masks = [rng.integers(0, 2, n).astype(bool) for n in (50, 20, 3)]
    masks[2][:] = True
    weights = [rng.normal(size=m.size) * m for m in masks]
    tensors = Tensors(
        [tf.constant(w, tf.float32) for w in weights],
        [tf.constant(m) for m in masks],
        signs=[tf.ones(m.size, tf.int8) for m in masks],
    )
    seed = tf.constant([3, 4])
    result = methods.deepr().reallocate(tensors, {}, seed)

    @tf.function
    def rewire():
        positions = [tf.where(mask)[:, 0] for mask in tensors.masks]
        active = Tensors(
            *(
                [tf.gather(t, p) for t, p in zip(part, positions, strict=True)]
                for part in (tensors.weights, tensors.masks)
            ),
            signs=[tf.ones_like(p, tf.int8) for p in positions],
        )
        gone, growth, num_grown = methods.deepr().rewire(
            active, tensors.masks, seed
        )
        gone = [tf.gather(p, g) for p, g in zip(positions, gone, strict=True)]
        return gone, [g.positions for g in growth], num_grown

    gone, came, num_grown = rewire()
    assert int(num_grown) == sum(result.num_grown) > 0
    expected = [growth.positions for growth in result.growth]
    for found, positions in (gone, result.gone), (came, expected):
        for one, other in zip(found, positions, strict=True):
            assert one.numpy().tolist() == other.numpy().tolist()
