"""The compiled reallocation, against the same in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from dsr_tf.callbacks.compiled import CompiledReallocation
from dsr_tf.callbacks.slots import find_slots

from dsr_tf import methods
from dsr_tf.callbacks import DSR
from dsr_tf.layers import SparseConv2D
from dsr_tf.layers import SparseDense
from dsr_tf.layers import sparse_layers
from dsr_tf.methods import Tensors
from dsr_tf.methods import tensors as module
from dsr_tf.methods.grow import AtRandom
from dsr_tf.methods.plan import make_plan


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


def compiled(net, method):
    """Returns a reallocation of a network, and its layers and slots."""
    variables = net.trainable_variables
    found = find_slots(net.optimizer, variables)
    slots = dict(zip(map(id, variables), found, strict=True))
    layers = sparse_layers(net)
    own = [slots[id(layer.kernel)] for layer in layers]
    return CompiledReallocation(method, layers, own), layers, own


def fill(layers, slots, seed):
    rng = np.random.default_rng(seed)
    for layer, own in zip(layers, slots, strict=True):
        mask = layer.kernel_mask.numpy()
        layer.kernel.assign(rng.normal(size=mask.shape) * mask)
        for slot in own:
            slot.variable.assign(rng.normal(size=mask.shape) * mask + 1)


def arrays(layer, slots):
    """Returns mask, kernel and slots, as rows of units."""
    variables = [layer.kernel_mask, layer.kernel]
    variables += [slot.variable for slot in slots]
    return [v.numpy().reshape(layer.unit_size, -1) for v in variables]


def goes(weights, mask, threshold):
    small = np.abs(weights.astype(np.float32)) < np.float32(threshold)
    return np.flatnonzero(mask & small)


def reference(layers, slots, method, threshold, seed, unspent):
    """Does in NumPy, and for single tensors, what is compiled."""
    before = [arrays(*row) for row in zip(layers, slots, strict=True)]
    masks = [mask[0] for mask, *_ in before]
    weights = [
        kernel[0] if layer.unit_size == 1 else np.abs(kernel).mean(axis=0)
        for layer, (_, kernel, *_) in zip(layers, before, strict=True)
    ]
    gone = [goes(*row, threshold) for row in zip(weights, masks, strict=True)]
    sizes = [layer.unit_size for layer in layers]
    inactive = [int((~mask).sum()) for mask in masks]
    plan = make_plan(
        method.allocate,
        [int(mask.sum()) for mask in masks],
        [len(positions) for positions in gone],
        inactive,
        sizes,
        unspent,
    )
    tensors = Tensors(weights, [tf.constant(m) for m in masks], sizes)
    growth = method.grow(tensors, inactive, plan.grown, seed)
    for i, (mask, kernel, *others) in enumerate(before):
        lost = gone[i][int(plan.rescued[i]) :]
        order = np.argsort(-np.abs(weights[i][lost]), kind="stable")
        lost = lost[order[plan.pardoned[i] :]]
        came = growth[i].positions.numpy()
        moved = np.concatenate([lost, came])
        mask[:, lost], mask[:, came] = False, True
        kernel[:, moved] = 0
        if growth[i].values is not None:
            kernel[:, came] = growth[i].values.numpy().reshape(sizes[i], -1)
        for slot, values in zip(slots[i], others, strict=True):
            values[:, moved] = slot.initial_value
    return before, plan


@pytest.mark.parametrize(
    "granularity, dtype, stddev",
    [
        ("weight", "float32", 0.0),
        ("weight", "float32", 0.3),
        ("weight", "bfloat16", 0.3),
        ("weight", "float16", 0.0),
        ("weight", "float64", 0.0),
        ("kernel", "float32", 0.3),
    ],
)
def test_compiled_reallocation_is_what_numpy_makes_of_it(
    granularity, dtype, stddev
):
    method = methods.dsr(20, regrow_stddev=stddev)
    reallocate, layers, slots = compiled(network(granularity, dtype), method)
    unspent = 0
    # The last two take all: some are rescued, and some pardoned.
    for step, threshold in enumerate([0.3, 0.0, 0.05, 1.0, 1e9, 1e9]):
        fill(layers, slots, step)
        seed = tf.constant([7, step])
        expected, plan = reference(
            layers, slots, method, threshold, seed, unspent
        )
        found = reallocate({"threshold": threshold}, seed, unspent)
        assert found == plan
        unspent = found.unspent
        for i, values in enumerate(expected):
            for a, b in zip(arrays(layers[i], slots[i]), values, strict=True):
                assert (a == b).all()
    assert sum(plan.rescued) > 0 and sum(plan.pardoned) > 0


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_any_number_of_slots_is_set_back(optimizer):
    method = methods.dsr(20)
    net = network(optimizer=optimizer)
    reallocate, layers, slots = compiled(net, method)
    fill(layers, slots, 0)
    seed = tf.constant([0, 0])
    expected, _ = reference(layers, slots, method, 0.3, seed, 0)
    reallocate({"threshold": 0.3}, seed, 0)
    assert {len(own) for own in slots} == {0 if optimizer == "sgd" else 2}
    for i, values in enumerate(expected):
        for a, b in zip(arrays(layers[i], slots[i]), values, strict=True):
            assert (a == b).all()


def test_nothing_changes_where_a_weight_is_not_finite():
    reallocate, layers, slots = compiled(network(), methods.dsr(20))
    fill(layers, slots, 0)
    layers[2].kernel.assign(layers[2].kernel.numpy() * np.inf)
    before = [arrays(*row) for row in zip(layers, slots, strict=True)]
    with pytest.raises(methods.NonFiniteWeightError, match="tensor 2"):
        reallocate({"threshold": 0.3}, tf.constant([0, 0]), 0)
    after = [arrays(*row) for row in zip(layers, slots, strict=True)]
    for one, other in zip(before, after, strict=True):
        for a, b in zip(one, other, strict=True):
            assert np.array_equal(a, b, equal_nan=a.dtype != bool)


@pytest.mark.parametrize(
    "method",
    [methods.dsr(20), methods.set_method(0.2), methods.gradual_pruning(0.9, 4)],
    ids=["dsr", "set", "gradual"],
)
def test_reallocations_of_a_model_are_traced_once(method):
    reallocate, layers, slots = compiled(network(), method)
    state = method.prune.initial_state()
    for step in range(4):
        fill(layers, slots, step)
        plan = reallocate(state, tf.constant([0, step]), 0)
        state = method.prune.next_state(state, sum(plan.pruned))
    assert reallocate.num_traces == 2


def test_callback_compiles_once_for_a_model():
    x, y = np.zeros((32, 6, 6, 3)), np.zeros((32, 2))
    callback, made = DSR(20, period=1), []
    for net in (one := network(), one, network()):
        if not net.compiled:
            net.compile(net.optimizer, "mse")
        net.fit(x, y, batch_size=8, verbose=0, callbacks=[callback])
        made.append(callback._compiled)
    assert made[0] is made[1] is not made[2]
    assert [each.num_traces for each in made] == [2, 2, 2]


def test_growth_of_a_network_is_that_of_its_tensors_alone():
    # A tensor's draw depends on seed, step and its place, not on the others.
    masks = [np.arange(n) % 3 == 0 for n in (90, 30, 300)]
    sizes = [1, 9, 1]
    inactive, counts = [60, 20, 200], [7, 11, 13]
    seed = tf.constant([5, 6])

    def grow(masks, inactive, counts):
        weights = [np.zeros(len(mask)) for mask in masks]
        tensors = Tensors(weights, [tf.constant(m) for m in masks], sizes)
        return AtRandom(0.1)(tensors, inactive, counts, seed)

    together = grow(masks, inactive, counts)
    for i in range(3):
        # The others have nothing to grow.
        alone = grow(
            masks, inactive, [n * (i == j) for j, n in enumerate(counts)]
        )
        for one, other in (
            (alone[i].positions, together[i].positions),
            (alone[i].values, together[i].values),
        ):
            assert one.numpy().tolist() == other.numpy().tolist()


def test_tensorflow_still_knows_functions_that_stay_calls():
    # Else the graph of a large network would take seconds to optimize.
    function = module.compiled(lambda x: x + 1).get_concrete_function(1.0)
    assert function.function_def.attr["_noinline"].b
