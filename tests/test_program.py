"""The compiled reallocation, against the same in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dsr_tf import methods
from dsr_tf.callbacks import DSR
from dsr_tf.layers import BlockConv2D
from dsr_tf.layers import BlockDense
from dsr_tf.layers import SparseConv2D
from dsr_tf.layers import SparseDense
from dsr_tf.layers import sparse_layers
from dsr_tf.layers.slots import find_slots
from dsr_tf.methods.plan import plan_across_tensors
from dsr_tf.schedules import Moment
from dsr_tf.training.program import Done
from dsr_tf.training.program import Program
from dsr_tf.training.state import Arrays
from tests.contexts import context


def network(granularity="weight", dtype="float32", optimizer="adagrad"):
    keras.utils.set_random_seed(0)
    shared = {"dtype": dtype}
    conv = {**shared, "granularity": granularity}
    net = keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            SparseConv2D(8, 3, sparsity=0.4, **conv),
            SparseConv2D(5, 2, sparsity=0.3, **conv),
            keras.layers.Flatten(),
            SparseDense(10, sparsity=0.3, **shared),
            SparseDense(2, sparsity=0.0, **shared),
        ]
    )
    net.optimizer = keras.optimizers.get(optimizer)
    net.optimizer.build(net.trainable_variables)
    return net


def blocks(storage, dtype="float32", optimizer="adagrad"):
    """Returns a network of blocks of 6 and of 2, masked or stored."""
    kinds = SparseConv2D, SparseDense
    if storage == "blocks":
        kinds = BlockConv2D, BlockDense
    conv, dense = kinds
    keras.utils.set_random_seed(0)
    net = keras.Sequential(
        [
            keras.Input((4, 4, 4)),
            conv(9, 1, 0.2, (2, 3), dtype=dtype),
            keras.layers.Flatten(),
            dense(10, 0.3, (2, 3), dtype=dtype),
            dense(4, 0.0, (2, 3), dtype=dtype),
        ]
    )
    net.optimizer = keras.optimizers.get(optimizer)
    net.optimizer.build(net.trainable_variables)
    return net


def compiled(net, method):
    """Returns a method on a network, and its layers and slots."""
    variables = net.trainable_variables
    found = find_slots(net.optimizer, variables)
    slots = dict(zip(map(id, variables), found, strict=True))
    layers = sparse_layers(net)
    own = [slots[id(layer.trained_kernel)] for layer in layers]
    for layer, each in zip(layers, own, strict=True):
        layer.trained_kernel.clean(each)
    state = method.rule.initial_state()
    names = tuple(method.rule.numbers(state, Moment(0, epoch=0)))
    return Program(method, layers, own, Arrays(), names), layers, own


def fill(layers, slots, seed, dirty=True):
    """Draws kernels and slots; the latter also where no weight is."""
    rng = np.random.default_rng(seed)
    for layer, own in zip(layers, slots, strict=True):
        mask = layer.kernel_mask.numpy()
        layer.assign_kernel(rng.normal(size=mask.shape) * mask)
        for slot in own:
            values = rng.normal(size=mask.shape) + 1
            off = 1.0 if dirty else slot.initial_value
            fill_slot(layer, slot, np.where(mask, values, off))


def fill_slot(layer, slot, values):
    if layer.storage == "blocks":
        columns = layer.kernel_units.rows(values)
        values = columns[:, layer.kernel_positions.numpy()].T
    slot.variable.assign(values.reshape(slot.variable.shape))


def arrays(layer, slots):
    """Returns mask, kernel and slots, as rows of units."""
    units = layer.kernel_units
    values = [layer.kernel_mask.numpy(), layer.kernel.numpy()]
    rows = [np.array(units.rows(x)) for x in values]
    return rows + [slot_rows(layer, slot) for slot in slots]


def slot_rows(layer, slot):
    units, values = layer.kernel_units, slot.variable.numpy()
    if layer.storage == "masks":
        return np.array(units.rows(values))
    # Where no block is there is no slot, which then begins anew.
    rows = np.full((units.size, units.count), slot.initial_value, values.dtype)
    rows[:, layer.kernel_positions.numpy()] = values.reshape(-1, units.size).T
    return rows


def below(weights, active, inactive, threshold):
    return np.flatnonzero(weights.astype(np.float32) < np.float32(threshold))


def smallest(weights, active, inactive, fraction):
    count = min(int(fraction * active) + 1, inactive, active - 1)
    return np.sort(np.argsort(weights, kind="stable")[:count])


def planned(counts, sizes, unspent, across):
    """Plans as DSR does across tensors, or as SET does within each.

    Returns:
        Active, exempt, spared and grown units of each tensor, and what is left
        unspent.
    """
    active, chosen, inactive = np.array(counts).T
    exempt = (active == chosen) & (chosen > 0)
    pruned = chosen - exempt
    if across:
        columns = (x.tolist() for x in (active, chosen, inactive))
        shares = (active - pruned) * sizes
        plan, unspent = plan_across_tensors(shares, *columns, sizes, unspent)
        return np.stack(plan.rows, axis=1).tolist(), unspent
    grown = np.minimum(pruned, inactive)
    rows = np.stack([active, exempt, pruned - grown, grown], axis=1)
    return rows.tolist(), unspent


def mean_magnitudes(kernel):
    # NumPy would add up in bfloat16, where TensorFlow does so in float32.
    wide = np.result_type(kernel.dtype, "float32")
    return np.abs(kernel).mean(axis=0, dtype=wide).astype(kernel.dtype)


def reference(layers, slots, method, choose, number, seed, unspent):
    """Does in NumPy, and for single tensors, what is compiled.

    Args:
        choose: Returns which of the active units go, from their magnitudes,
            the counts of active and inactive ones, and a number.
    """
    before = [arrays(*row) for row in zip(layers, slots, strict=True)]
    masks = [mask[0] for mask, *_ in before]
    sizes = [layer.unit_size for layer in layers]
    scores = [
        np.abs(kernel[0]) if size == 1 else mean_magnitudes(kernel)
        for size, (_, kernel, *_) in zip(sizes, before, strict=True)
    ]
    counts, gone = [], []
    for mask, score in zip(masks, scores, strict=True):
        where = np.flatnonzero(mask)
        inactive = len(mask) - len(where)
        gone.append(where[choose(score[where], len(where), inactive, number)])
        counts.append((len(where), len(gone[-1]), inactive))
    rows, unspent = planned(counts, sizes, unspent, bool(method.allocate))
    ctx = context(scores, masks, sizes)
    grown = [row[3] for row in rows]
    growth = method.grow(ctx, tf.constant(grown, tf.int64), seed)
    for i, (mask, kernel, *others) in enumerate(before):
        _, exempt, spared, _ = rows[i]
        lost = gone[i][exempt:]
        order = np.argsort(-scores[i][lost], kind="stable")
        lost = lost[order[spared:]]
        came = growth[i].positions.numpy()
        moved = np.concatenate([lost, came])
        mask[:, lost], mask[:, came] = False, True
        kernel[:, moved] = 0
        if growth[i].values is not None:
            kernel[:, came] = growth[i].values.numpy().reshape(sizes[i], -1)
        for slot, values in zip(slots[i], others, strict=True):
            values[:, moved] = slot.initial_value
            values[~mask] = slot.initial_value
    pruned = sum(n for _, n, _ in counts) - sum(row[1] for row in rows)
    moved = sum(n * size for n, size in zip(grown, sizes, strict=True))
    return before, rows, Done(pruned, moved, unspent)


def assert_equal(layers, slots, expected):
    for i, values in enumerate(expected):
        for a, b in zip(arrays(layers[i], slots[i]), values, strict=True):
            assert (a == b).all()


def made(kind, dtype):
    """Returns a network of a granularity, or of blocks in a storage."""
    is_blocks = kind in ("masks", "blocks")
    return blocks(kind, dtype) if is_blocks else network(kind, dtype)


@pytest.mark.parametrize(
    "granularity, dtype, stddev",
    [
        ("weight", "float32", 0.0),
        ("weight", "float32", 0.3),
        ("weight", "bfloat16", 0.3),
        ("weight", "float16", 0.0),
        ("weight", "float64", 0.0),
        ("kernel", "float32", 0.3),
        ("masks", "float32", 0.3),
        ("blocks", "float32", 0.0),
        ("blocks", "float32", 0.3),
        ("blocks", "bfloat16", 0.3),
        ("blocks", "float16", 0.0),
        ("blocks", "float64", 0.0),
    ],
)
def test_compiled_reallocation_is_what_numpy_makes_of_it(
    granularity, dtype, stddev
):
    method = methods.dsr(1000, 0.1, 1e-3, regrow_stddev=stddev)
    reallocate, layers, slots = compiled(made(granularity, dtype), method)
    unspent = 0
    # The last two take all: some are exempt, and some spared.
    for step, threshold in enumerate([0.3, 0.0, 0.05, 1.0, 1e9, 1e9]):
        fill(layers, slots, step)
        seed = tf.constant([7, step])
        expected, rows, done = reference(
            layers, slots, method, below, threshold, seed, unspent
        )
        found = reallocate({"threshold": threshold}, None, seed, unspent)
        assert found == done
        unspent = found.unspent
        assert_equal(layers, slots, expected)
    _, exempt, spared, _ = np.sum(rows, axis=0)
    assert exempt > 0 and spared > 0


@pytest.mark.parametrize(
    "granularity, dtype",
    [
        ("weight", "float32"),
        ("weight", "bfloat16"),
        ("weight", "float16"),
        ("weight", "float64"),
        ("kernel", "float32"),
        ("masks", "float32"),
        ("blocks", "float32"),
        ("blocks", "float16"),
    ],
)
def test_reallocation_within_tensors_is_what_numpy_makes_of_it(
    granularity, dtype
):
    method = methods.set_method(0.0)
    reallocate, layers, slots = compiled(made(granularity, dtype), method)
    for step, fraction in enumerate([0.3, 0.0, 0.9, 0.7]):
        fill(layers, slots, step)
        seed = tf.constant([7, step])
        expected, _, done = reference(
            layers, slots, method, smallest, fraction, seed, 5
        )
        found = reallocate({"drop_fraction": fraction}, None, seed, 5)
        assert found == done and found.weights_grown > 0
        assert_equal(layers, slots, expected)


@pytest.mark.parametrize("make", [network, blocks])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_any_number_of_slots_is_set_back(optimizer, make):
    method = methods.dsr(1000, 0.1, 1e-3)
    stored = {} if make is network else {"storage": "blocks"}
    net = make(**stored, optimizer=optimizer)
    reallocate, layers, slots = compiled(net, method)
    fill(layers, slots, 0)
    seed = tf.constant([0, 0])
    expected, *_ = reference(layers, slots, method, below, 0.3, seed, 0)
    reallocate({"threshold": 0.3}, None, seed, 0)
    assert {len(own) for own in slots} == {0 if optimizer == "sgd" else 2}
    assert_equal(layers, slots, expected)


METHODS = {
    "dsr": (methods.dsr(1000, 0.1, 1e-3), {"threshold": 0.3}),
    "set": (methods.set_method(0.2), {"drop_fraction": 0.2}),
    "chts": (methods.chts(0.2, 2.0), {"drop_fraction": 0.2, "sharpness": 2.0}),
    "gradual": (methods.gradual_pruning(0.9, 4), {"sparsity": 0.9}),
}


@pytest.mark.parametrize("kind", ["weight", "blocks"])
@pytest.mark.parametrize("name", METHODS)
def test_nothing_changes_where_a_weight_is_not_finite(name, kind):
    method, numbers = METHODS[name]
    reallocate, layers, slots = compiled(made(kind, "float32"), method)
    fill(layers, slots, 0, dirty=False)
    mask = layers[2].kernel_mask.numpy()
    layers[2].assign_kernel(np.where(mask, np.inf, 0.0))
    before = [arrays(*row) for row in zip(layers, slots, strict=True)]
    with pytest.raises(methods.NonFiniteWeightError, match="tensor 2"):
        reallocate(numbers, None, tf.constant([0, 0]), 0)
    after = [arrays(*row) for row in zip(layers, slots, strict=True)]
    for one, other in zip(before, after, strict=True):
        for a, b in zip(one, other, strict=True):
            assert np.array_equal(a, b, equal_nan=a.dtype != bool)


@pytest.mark.parametrize(
    "method, num_traces",
    [
        # Weights go from tensor to tensor by way of the host.
        (methods.dsr(1000, 0.1, 1e-3), 2),
        (methods.set_method({0: 0.2, 2: 0.1}), 1),
        (methods.chts(0.2, 2.0, percolate=True), 1),
        (methods.gradual_pruning(0.9, 4), 1),
    ],
    ids=["dsr", "set", "chts", "gradual"],
)
@pytest.mark.parametrize("kind", ["weight", "blocks"])
def test_reallocations_of_a_model_are_traced_once(method, num_traces, kind):
    reallocate, layers, slots = compiled(made(kind, "float32"), method)
    rule = method.rule
    state = rule.initial_state()
    for step in range(4):
        fill(layers, slots, step)
        numbers = rule.numbers(state, Moment(step, epoch=step))
        # The length of a training may be known later, or change.
        num_steps = None if step == 0 else 100 * step
        done = reallocate(numbers, num_steps, tf.constant([0, step]), 0)
        state = rule.next_state(state, done.num_pruned)
    assert reallocate.num_traces == num_traces


def test_methods_see_step_length_and_slots():
    seen = []

    def prune(ctx):
        tf.numpy_function(
            lambda *values: seen.append(values),
            [ctx.step, ctx.num_steps, ctx.tensors[0].slots["accumulator"]],
            [],
        )
        return [x.positions[:0] for x in ctx.tensors]

    reallocate, layers, slots = compiled(network(), methods.Method(prune))
    fill(layers, slots, 0)
    for num_steps in (None, 90):
        reallocate({}, num_steps, tf.constant([0, 7]), 0)
    assert [step for step, *_ in seen] == [7, 7]
    assert np.isnan(seen[0][1]) and seen[1][1] == 90
    mask, _, slot = arrays(layers[0], slots[0])
    assert (seen[0][2] == slot[mask]).all()
    assert layers[0].kernel.shape == (3, 3, 3, 8)


def test_methods_see_the_shapes_of_kernels():
    shapes = []

    def prune(ctx):
        shapes.extend(x.shape for x in ctx.tensors)
        return [x.positions[:0] for x in ctx.tensors]

    reallocate, layers, _ = compiled(network("kernel"), methods.Method(prune))
    reallocate({}, None, tf.constant([0, 0]), 0)
    assert shapes == [tuple(layer.kernel.shape) for layer in layers]


def test_allocation_may_return_a_list():
    own = methods.Method(
        methods.dsr(1000, 0.1, 1e-3).prune,
        lambda ctx, pruned: [1] * 4,
        methods.dsr(1000, 0.1, 1e-3).grow,
    )
    reallocate, layers, slots = compiled(network(), own)
    fill(layers, slots, 0)
    done = reallocate({"threshold": 0.3}, None, tf.constant([0, 0]), 0)
    assert done.weights_grown == done.num_pruned > 0


def test_callback_compiles_once_for_a_model():
    x, y = np.zeros((32, 6, 6, 3)), np.zeros((32, 2))
    callback, made = DSR(20, period=1), []
    for net in (one := network(), one, network()):
        if not net.compiled:
            net.compile(net.optimizer, "mse")
        net.fit(x, y, batch_size=8, verbose=0, callbacks=[callback])
        made.append(callback.reallocator._program)
    assert made[0] is made[1] is not made[2]
    assert [each.num_traces for each in made] == [2, 2, 2]
