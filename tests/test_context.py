"""What methods see does not depend on how it is stored."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from dsr_tf import methods
from dsr_tf.methods import Context
from dsr_tf.methods import SparseTensor
from dsr_tf.methods.masked import MaskedContext
from dsr_tf.methods.masked import MaskedTensor
from dsr_tf.methods.masked import PerturbedTensor
from dsr_tf.schedules import Moment

DTYPES = ("float16", "bfloat16", "float32", "float64")


class ListedTensor(SparseTensor):
    """Holds the active units alone: it answers as `SparseTensor` does."""

    def __init__(self, masked, values=None):
        """Takes what a masked tensor holds, by NumPy; or other values."""
        mask = masked.mask.numpy()
        (where,) = np.nonzero(mask)

        def active(rows):
            rows = rows.numpy()[..., where]
            return tf.constant(rows[0] if len(rows) == 1 else rows)

        self.shape, self.grid = masked.shape, masked.grid
        self.unit_size, self.num_units = masked.rows.shape
        self.num_active = tf.constant(len(where), tf.int64)
        self.positions = tf.constant(where, tf.int64)
        self.values = active(masked.rows) if values is None else values
        self.slots = {k: active(v) for k, v in masked.slots._whole.items()}
        self.arrays = {
            name: tf.constant(array.numpy()[where])
            for name, array in masked.arrays._whole.items()
        }


class ListedContext(Context):
    """Draws with NumPy, from what the positions leave out."""

    def random_inactive(self, counts, seed):
        rng = np.random.default_rng(seed.numpy().astype(np.uint32).tolist())
        drawn = []
        for tensor, count in zip(self.tensors, counts.numpy(), strict=True):
            every = np.arange(tensor.num_units)
            free = np.setdiff1d(every, tensor.positions.numpy())
            drawn.append(tf.constant(rng.choice(free, count, replace=False)))
        return drawn


def listed(ctx):
    return ListedContext(
        [ListedTensor(x) for x in ctx.tensors],
        ctx.numbers,
        ctx.step,
        ctx.num_steps,
    )


def same(one, other):
    """Tells whether two tensors agree in type, shape and every bit."""
    assert one.dtype == other.dtype and one.shape == other.shape
    return one.numpy().tobytes() == other.numpy().tobytes()


KINDS = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    # Many of them equal, and zeros of both signs.
    "ties": lambda rng, shape: rng.choice([-0.5, -0.0, 0.0, 0.5, 1], shape),
    "tiny": lambda rng, shape: 1e-6 * rng.normal(size=shape),
    "few bits": lambda rng, shape: rng.integers(-4, 5, shape) / 16,
}


@st.composite
def tensors(draw, unit_sizes=(1, 1, 4, 9, 25)):
    """Draws a masked tensor with slots and arrays."""
    rng = np.random.default_rng(draw(st.integers(0, 2**31 - 1)))
    size = draw(st.sampled_from(unit_sizes))
    dtype = draw(st.sampled_from(DTYPES))
    # Counting takes eight at a time.
    count = draw(st.integers(1, 40) | st.integers(1, 9).map(lambda n: 8 * n))
    mask = rng.random(count) < draw(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]))
    mask[rng.integers(count)] |= draw(st.booleans())
    # The last bit of a mean depends on how many are computed at once: sums of
    # these are exact in every type.
    kinds = sorted(KINDS) if size == 1 else ["few bits"]
    rows = KINDS[draw(st.sampled_from(kinds))](rng, (size, count))

    def stored(rows):
        return tf.cast(tf.constant(np.where(mask, rows, 0.0)), dtype)

    return MaskedTensor(
        tf.constant(mask),
        stored(rows),
        (size, 1, count),
        {"momentum": stored(rng.normal(size=rows.shape))},
        {"signs": tf.constant(rng.choice([-1, 1], count).astype(np.int8))},
    )


def assert_alike(masked, other, data):
    for name in ("num_active", "positions", "values", "magnitudes"):
        assert same(getattr(masked, name), getattr(other, name)), name
    for name in ("shape", "unit_size", "num_units"):
        assert getattr(masked, name) == getattr(other, name), name
    for ours, theirs in (
        (masked.slots, other.slots),
        (masked.arrays, other.arrays),
    ):
        assert set(ours) == set(theirs) and len(ours) == len(theirs)
        assert all(same(ours[name], theirs[name]) for name in ours)
        assert ours.get("unknown") is None
    assert same(masked.is_finite, other.is_finite)
    # At a magnitude it is not below; between two, and beyond them all.
    magnitudes = np.unique(other.magnitudes.numpy().astype(np.float64))
    threshold = data.draw(
        st.sampled_from([0.0, 1e-6, 0.5, 0.7, 1e9, *magnitudes.tolist()])
    )
    below = masked.smaller_than(threshold)
    assert same(below, other.smaller_than(threshold))
    expected = other.magnitudes.numpy().astype(
        np.float64 if other.values.dtype == tf.float64 else np.float32
    )
    expected = expected < expected.dtype.type(threshold)
    assert below.numpy().tolist() == other.positions[expected].numpy().tolist()
    if other.num_active:
        some = data.draw(st.lists(st.sampled_from(other.positions.numpy())))
        some = tf.constant(some, tf.int64)
        assert same(masked.magnitudes_at(some), other.magnitudes_at(some))


@given(tensors(), st.data())
def test_a_masked_tensor_answers_as_its_list_of_units(masked, data):
    assert_alike(masked, ListedTensor(masked), data)


@given(tensors(), st.data())
def test_a_perturbed_tensor_answers_as_its_list_of_units(before, data):
    mask, rows = before.mask.numpy(), before.rows.numpy()
    rows = np.where(mask, rows + rows.dtype.type(0.25), 0).astype(rows.dtype)
    after = MaskedTensor(before.mask, tf.constant(rows))
    values = ListedTensor(after).values
    perturbed = PerturbedTensor(before, after.rows, values)
    assert_alike(perturbed, ListedTensor(before, values), data)


@given(tensors(), st.sampled_from([np.nan, np.inf, -np.inf]), st.data())
def test_a_weight_that_is_not_finite_is_seen(masked, bad, data):
    (where,) = np.nonzero(masked.mask.numpy())
    rows = masked.rows.numpy()
    if len(where):
        row = data.draw(st.integers(0, len(rows) - 1))
        rows[row, data.draw(st.sampled_from(where))] = bad
    changed = MaskedTensor(masked.mask, tf.constant(rows))
    for tensor in (
        changed,
        ListedTensor(changed),
        PerturbedTensor(masked, changed.rows, ListedTensor(changed).values),
    ):
        assert bool(tensor.is_finite) == (len(where) == 0)


@given(st.lists(tensors(), min_size=1, max_size=4))
def test_counts_of_a_context_are_those_of_its_tensors(drawn):
    ctx = MaskedContext(drawn)
    active = [int(x.mask.numpy().sum()) for x in drawn]
    sizes = [x.num_units for x in drawn]
    inactive = [n - a for n, a in zip(sizes, active, strict=True)]
    for each in (ctx, listed(ctx)):
        assert each.num_active.numpy().tolist() == active
        assert each.num_inactive.numpy().tolist() == inactive
        assert each.unit_sizes.numpy().tolist() == [x.unit_size for x in drawn]


def networks(unit_sizes=(1, 1, 4, 9)):
    return st.lists(tensors(unit_sizes), min_size=1, max_size=4)


def assert_equal_moves(method, ctx, state, unspent=0):
    """Runs a method on both storages, and compares what it did."""
    seed = tf.constant([3, 4])
    ours = method.reallocate(ctx, seed, unspent, state)
    theirs = method.reallocate(listed(ctx), seed, unspent, state)
    assert all(map(same, ours.gone, theirs.gone))
    assert (ours.unspent, ours.state) == (theirs.unspent, theirs.state)
    for tensor, one, other in zip(
        ctx.tensors, ours.growth, theirs.growth, strict=True
    ):
        assert one.positions.shape == other.positions.shape
        for growth in (one, other):
            positions = growth.positions.numpy()
            assert len(np.unique(positions)) == len(positions)
            assert not tensor.mask.numpy()[positions].any()
        assert (one.values is None) == (other.values is None)
        assert one.values is None or same(one.values, other.values)
        assert set(one.arrays) == set(other.arrays)
        assert all(same(one.arrays[k], other.arrays[k]) for k in one.arrays)
    return ours


def with_numbers(method, drawn, state, moment=None):
    numbers = method.rule.numbers(state, moment or Moment(0))
    return MaskedContext(drawn, numbers)


@given(
    networks(),
    st.sampled_from([0.0, 1e-6, 0.1, 0.5, 1e9]),
    st.sampled_from([0.0, 0.1]),
    st.integers(0, 8),
)
def test_dsr_does_the_same_on_both(drawn, threshold, stddev, unspent):
    method = methods.dsr(3, 0.1, 1e-3, stddev)
    state = {"threshold": threshold}
    ctx = with_numbers(method, drawn, state)
    moves = assert_equal_moves(method, ctx, state, unspent)
    sizes = [x.unit_size for x in drawn]
    change = sum(
        (len(growth.positions) - len(gone)) * size
        for gone, growth, size in zip(
            moves.gone, moves.growth, sizes, strict=True
        )
    )
    assert change == unspent - moves.unspent


@given(networks(), st.floats(0, 1, exclude_max=True))
def test_set_does_the_same_on_both(drawn, drop_fraction):
    method = methods.set_method(drop_fraction)
    assert_equal_moves(method, with_numbers(method, drawn, {}), {})


@pytest.mark.parametrize("percolate", [False, True])
@given(
    drawn=networks(),
    drop_fraction=st.floats(0, 1, exclude_max=True),
    sharpness=st.sampled_from([0.0, 1.0, 1e6]),
)
def test_chts_does_the_same_on_both(percolate, drawn, drop_fraction, sharpness):
    method = methods.chts(drop_fraction, sharpness, percolate)
    assert_equal_moves(method, with_numbers(method, drawn, {}), {})


@pytest.mark.parametrize("across", [True, False])
@given(drawn=networks(), prunes=st.integers(0, 3))
def test_gradual_pruning_does_the_same_on_both(across, drawn, prunes):
    method = methods.gradual_pruning(0.8, 3, across_tensors=across)
    state = {"prunes": prunes}
    assert_equal_moves(method, with_numbers(method, drawn, state), state)


@given(networks(unit_sizes=(1,)), st.sampled_from([0.0, 0.1, 10.0]))
def test_deepr_does_the_same_on_both(drawn, temperature):
    method = methods.deepr(temperature, noise_rate=1.0)
    rule, seed = method.rule, tf.constant([5, 6])
    ctx = with_numbers(method, drawn, {})
    other = listed(ctx)
    began = [rule.begin(x, seed)["signs"] for x in (ctx, other)]
    assert all(map(same, *began))
    noisy = [rule.perturb(x, seed) for x in (ctx, other)]
    assert all(map(same, *noisy))
    after = [
        MaskedTensor(x.mask, dense(x, values), arrays=x.arrays._whole)
        for x, values in zip(drawn, noisy[0], strict=True)
    ]
    assert_equal_moves(method, with_numbers(method, after, {}), {})


def dense(masked, values):
    rows = np.zeros_like(masked.rows.numpy())
    rows[:, masked.mask.numpy()] = values.numpy()
    return tf.constant(rows)


def test_a_storage_has_to_say_where_units_can_come():
    with pytest.raises(NotImplementedError):
        Context([]).random_inactive(tf.constant([]), tf.constant([0, 0]))
