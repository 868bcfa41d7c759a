"""Training of stored blocks, against that of the same blocks under masks."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from dsr_tf import Reallocator
from dsr_tf import methods
from dsr_tf.callbacks import DSR
from dsr_tf.callbacks import SET
from dsr_tf.callbacks import GradualPruning
from dsr_tf.callbacks import Reallocate
from dsr_tf.layers import BlockDense
from dsr_tf.layers import SparseDense
from dsr_tf.layers import sparse_layers
from dsr_tf.layers.slots import slots_of
from dsr_tf.methods import Growth
from dsr_tf.methods import Method
from dsr_tf.methods.allocate import in_proportion_to_survivors
from dsr_tf.methods.grow import AtRandom
from dsr_tf.methods.grow import ByScore
from dsr_tf.methods.prune import SmallestFraction
from dsr_tf.methods.shrinking import ShrinkAndReplace
from dsr_tf.schedules import Linear
from tests.test_optimizers import NAMES
from tests.test_optimizers import alone

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 8)).astype("float32")
Y = RNG.integers(0, 3, size=64)
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def network(kind, optimizer, sizes=(8, 12, 6), block=(2, 3), sparsity=0.5):
    """Returns a network that stores blocks, or has the same ones masked."""
    keras.utils.set_random_seed(0)
    net = keras.Sequential([keras.Input((sizes[0],))])
    for i, size in enumerate(sizes[1:]):
        net.add(
            kind(
                size,
                sparsity,
                block,
                seed=i,
                activation="tanh",
                name=f"layer_{i}",
            )
        )
    net.optimizer = optimizer
    optimizer.build(net.trainable_variables)
    return net


def twins(make_optimizer, **arguments):
    blocks, masked = (
        network(kind, make_optimizer(), **arguments)
        for kind in (BlockDense, SparseDense)
    )
    for one, other in zip(blocks.layers, masked.layers, strict=True):
        one.assign_kernel(other.kernel)
    # Some optimizers begin with a copy of the weights.
    blocks.optimizer = make_optimizer()
    blocks.optimizer.build(blocks.trainable_variables)
    return blocks, masked


def step_of(net, compiled=False, **arguments):
    """Returns a function that takes a step towards some outputs."""

    @tf.function(jit_compile=compiled)
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((net(x) - y) ** 2)
        weights = net.trainable_weights
        net.optimizer.apply(tape.gradient(loss, weights), weights)
        return loss

    return step


def assert_equal(blocks, masked, tolerance=1e-5):
    for one, other in zip(blocks.layers, masked.layers, strict=True):
        mask = other.kernel_mask.numpy()
        assert (one.kernel_mask.numpy() == mask).all()
        pairs = [(one.kernel, other.kernel), (one.bias, other.bias)]
        for a, b in pairs:
            np.testing.assert_allclose(a.numpy(), b.numpy(), atol=tolerance)
        positions = one.kernel_positions.numpy()
        assert (np.diff(positions) > 0).all()
        assert one.kernel_blocks.shape[0] == len(positions)


def slots_in(net, layer):
    return slots_of(net.optimizer)[id(layer.trained_kernel)]


def assert_equal_slots(blocks, masked, tolerance=1e-5):
    for one, other in zip(blocks.layers, masked.layers, strict=True):
        pairs = zip(slots_in(blocks, one), slots_in(masked, other), strict=True)
        places = one.kernel_positions.numpy()
        for slot, expected in pairs:
            rows = one.kernel_units.rows(expected.variable.numpy())[:, places]
            found = slot.variable.numpy().reshape(len(places), -1).T
            np.testing.assert_allclose(found, rows, atol=tolerance)


def gains(net):
    """Returns scores of all weights, the same for both storages."""
    rng = np.random.default_rng(3)
    return lambda: [
        tf.constant(rng.normal(size=layer.kernel_shape), tf.float32)
        for layer in net.layers
    ]


def with_weights(ctx, counts, seed):
    """Grows at the first inactive positions, with weights that tell where."""
    grown = []
    for i, (tensor, count) in enumerate(
        zip(ctx.tensors, tf.unstack(counts, len(ctx.tensors)), strict=True)
    ):
        free = tf.where(~tensor.mask)[:, 0][:count]
        rows = (
            tf.cast(free, tf.float32)[None]
            + tf.range(float(tensor.unit_size))[:, None]
        )
        grown.append(Growth(free, tf.reshape(0.01 * (rows + i), [-1])))
    return grown


METHODS = {
    "static": None,
    "dsr": lambda: methods.dsr(4, initial_threshold=0.2),
    "dsr with stddev": lambda: methods.dsr(
        4, initial_threshold=0.2, regrow_stddev=0.1
    ),
    "set": lambda: methods.set_method(0.3),
    "chts": lambda: methods.chts(0.3, 2.0),
    "gradual": lambda: methods.gradual_pruning(0.8, 6),
    "gradual within": lambda: methods.gradual_pruning(
        0.8, 6, across_tensors=False
    ),
    "own": lambda: Method(
        SmallestFraction(0.3), in_proportion_to_survivors, with_weights
    ),
    "by score": lambda: Method(SmallestFraction(0.3), None, ByScore()),
    "dsr by gradient": lambda: methods.dsr(
        4, initial_threshold=0.2, growth="gradient"
    ),
    "dsr by share": lambda: methods.dsr(0.2, growth="drawn"),
    "snfs": lambda: methods.sparse_momentum(0.3),
    "granet": lambda: methods.Method(
        ShrinkAndReplace(Linear(0.2, 0.6, 18), 0.3), None, ByScore()
    ),
    "mest soft": lambda: methods.Method(
        ShrinkAndReplace(Linear(0.2, 0.6, 18), 0.3, 0.5), None, AtRandom()
    ),
}


def moved_together(blocks, masked, name, num_steps=20, compiled=False):
    """Trains both, and holds one to the other at every step."""
    rng = np.random.default_rng(1)
    inputs, outputs = blocks.input_shape[-1], blocks.output_shape[-1]
    nets = blocks, masked
    steps = [step_of(net, compiled) for net in nets]
    moves = []
    if METHODS[name] is not None:
        for net in nets:
            method = METHODS[name]()
            # Others take gradients, which differ by rounding.
            given = name == "by score"
            own = {"growth_scores": gains(net)} if given else {}
            moves.append(
                Reallocator(net, net.optimizer, method, 3, seed=5, **own)
            )
    for _ in range(num_steps):
        x = tf.constant(rng.normal(size=(4, inputs)), tf.float32)
        y = tf.constant(rng.normal(size=(4, outputs)), tf.float32)
        for step in steps:
            step(x, y)
        for move in moves:
            move.step()
        assert_equal(blocks, masked)
    for move in moves:
        assert move.counters.num_reallocations == num_steps // 3
    if moves:
        one, other = (vars(move.counters) for move in moves)
        assert one["weights_moved"] == other["weights_moved"]
        assert moves[0].num_active == moves[1].num_active
    return moves


def sgd():
    return keras.optimizers.SGD(0.05, momentum=0.9)


@settings(max_examples=6)
@given(st.data())
def test_blocks_go_the_way_of_masks(data):
    name = data.draw(st.sampled_from(list(METHODS)))
    lengths = st.sampled_from([4, 6, 9, 10])
    sizes = data.draw(st.lists(lengths, min_size=3, max_size=4))
    block = data.draw(st.tuples(*[st.sampled_from([1, 2, 3])] * 2))
    sparsity = data.draw(st.sampled_from([0.2, 0.5, 0.7]))
    pair = twins(sgd, sizes=sizes, block=block, sparsity=sparsity)
    moved_together(*pair, name)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_moves_blocks_as_it_moves_masks(name):
    pair = twins(lambda: keras.optimizers.Adam(0.01))
    moves = moved_together(*pair, name)
    assert_equal_slots(*pair)
    if moves and not name.startswith("gradual"):
        assert moves[0].counters.weights_moved > 0


@pytest.mark.parametrize(
    "name", ["dsr", pytest.param("set", marks=pytest.mark.slow)]
)
def test_blocks_move_between_steps_that_xla_has_compiled(name):
    pair = twins(lambda: keras.optimizers.Adam(0.01))
    moved_together(*pair, name, num_steps=10, compiled=True)


# These do not treat each weight for itself: Adafactor and `clipnorm` go by
# means over a kernel, of which a block is another one; Muon takes blocks for no
# matrices.
OTHERWISE = ("Adafactor", "Muon")
SETTINGS = {
    "accumulation": {"gradient_accumulation_steps": 2},
    "averages": {"use_ema": True, "ema_overwrite_frequency": 2},
    "clipnorm": {"clipnorm": 0.1},
    "clipvalue": {"clipvalue": 0.01},
    "global_clipnorm": {"global_clipnorm": 0.1},
    "decay": {"weight_decay": 0.1},
    "scale": {"loss_scale_factor": 8.0},
    "amsgrad": {"amsgrad": True},
}


def named(names, fast):
    """Returns parameters, of which all others are slow."""
    return [
        pytest.param(x, marks=[pytest.mark.slow] * (x not in fast))
        for x in names
    ]


@pytest.mark.parametrize(
    "name", named([x for x in NAMES if x not in OTHERWISE], ["Lamb"])
)
def test_every_optimizer_goes_the_way_of_masks(name):
    pair = twins(lambda: alone(name))
    moved_together(*pair, "dsr", num_steps=9)
    assert_equal_slots(*pair)


@pytest.mark.parametrize(
    "setting", named(SETTINGS, ["accumulation", "averages"])
)
def test_what_keras_adds_goes_the_way_of_masks(setting):
    pair = twins(lambda: keras.optimizers.Adam(0.01, **SETTINGS[setting]))
    steps = [step_of(net) for net in pair]
    moves = [
        Reallocator(
            net, net.optimizer, methods.dsr(4, initial_threshold=0.2), 2
        )
        for net in pair
    ]
    rng = np.random.default_rng(1)
    for _ in range(12):
        x = tf.constant(rng.normal(size=(4, 8)), tf.float32)
        y = tf.constant(rng.normal(size=(4, 6)), tf.float32)
        for step, move in zip(steps, moves, strict=True):
            step(x, y)
            move.step()
        assert_equal(*pair)
    assert moves[0].counters.weights_moved > 0
    assert_equal_slots(*pair)


def test_losses_that_are_scaled_go_the_way_of_masks():
    def scaled():
        return keras.optimizers.LossScaleOptimizer(
            keras.optimizers.Adam(0.01), initial_scale=4.0
        )

    pair = twins(scaled)
    moved_together(*pair, "dsr", num_steps=9)
    assert_equal_slots(*pair)


def compiled(optimizer="adam", kind=BlockDense, **arguments):
    keras.utils.set_random_seed(2)
    net = keras.Sequential(
        [
            keras.Input((8,)),
            kind(16, 0.5, (2, 2), seed=1, activation="relu", name="one"),
            kind(3, 0.5, (2, 3), seed=2, name="two"),
        ]
    )
    net.compile(optimizer, LOSS, **arguments)
    return net


def fit(net, *callbacks, epochs=1):
    net.fit(
        X, Y, batch_size=8, epochs=epochs, verbose=0, shuffle=False,
        callbacks=list(callbacks),
    )  # fmt: skip


def dsr(**arguments):
    return DSR(3, 2, initial_threshold=0.1, **arguments)


def counts(net):
    return [layer.num_active for layer in sparse_layers(net)]


class Crossing(keras.callbacks.Callback):
    """Notes how many weights the layers had, after each batch."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def on_train_batch_end(self, batch, logs=None):
        self.seen.add(tuple(counts(self.model)))


@pytest.mark.parametrize("name", named(NAMES, ["Adafactor", "Muon"]))
def test_blocks_cross_layers_under_every_optimizer(name):
    # Traced first with slots of one length.
    net = compiled(alone(name))
    before = counts(net)
    fit(net)
    fit(net, moves := dsr(), crossing := Crossing(), epochs=2)
    # Ftrl's first step leaves all weights large.
    assert len(crossing.seen) > 1 or name == "Ftrl"
    assert sum(counts(net)) + moves.state.unspent == sum(before)
    for layer in sparse_layers(net):
        assert np.isfinite(layer.kernel.numpy()).all()
        rows = {x.variable.shape[0] for x in slots_in(net, layer)}
        assert rows <= {layer.kernel_positions.shape[0]}


def test_statistics_of_rows_and_columns_follow_their_blocks():
    net = compiled("adafactor")
    fit(net)
    layer = net.get_layer("one")
    slots = slots_in(net, layer)
    count = layer.kernel_positions.shape[0]
    shapes = [tuple(x.variable.shape) for x in slots]
    assert shapes == [(count, 2), (count, 2), (count, 2, 2)]
    before = [x.variable.numpy() for x in slots]
    layer.kernel_blocks.move(layer.kernel_positions.numpy()[2:])
    for slot, old in zip(slots, before, strict=True):
        assert old.all()
        assert (slot.variable.numpy() == old[2:]).all()


@pytest.mark.parametrize(
    "arguments",
    [{"jit_compile": True}, {"run_eagerly": True}, {"steps_per_execution": 2}],
)
def test_steps_may_be_compiled_eager_or_several(arguments):
    net = compiled(**arguments)
    before = counts(net)
    fit(net)
    fit(net, moves := dsr(), crossing := Crossing(), epochs=2)
    fit(net)
    assert len(crossing.seen) > 1
    assert sum(counts(net)) + moves.state.unspent == sum(before)


def test_fits_in_any_order_go_the_way_of_masks():
    nets = [compiled("adam", kind) for kind in (BlockDense, SparseDense)]
    for one, other in zip(*map(sparse_layers, nets), strict=True):
        one.assign_kernel(other.kernel)
    for net in nets:
        fit(net)
        fit(net, moves := dsr())
        fit(net, moves)
        net.compile("rmsprop", LOSS)
        fit(net, moves)
        fit(net)
        fit(net, SET(0.3, 2))
        fit(net, GradualPruning(0.8, 2, 2))
    assert_equal(*nets)


def test_a_static_fit_needs_no_callback():
    net = compiled()
    before = [x.kernel_positions.numpy() for x in sparse_layers(net)]
    fit(net, epochs=2)
    for layer, positions in zip(sparse_layers(net), before, strict=True):
        assert (layer.kernel_positions.numpy() == positions).all()


def test_slots_of_new_blocks_begin_anew():
    net = compiled(keras.optimizers.Adagrad(0.1))
    fit(net)
    layer = net.get_layer("one")
    before = layer.kernel_positions.numpy()
    moves = Reallocator(net, net.optimizer, methods.set_method(0.5), 1)
    moves.reallocate()
    positions = layer.kernel_positions.numpy()
    new = ~np.isin(positions, before)
    assert new.any() and not new.all()
    (slot,) = slots_in(net, layer)
    value = slot.variable.numpy()
    assert (value[new] == np.float32(0.1)).all()
    assert (value[~new] > np.float32(0.1)).any()
    assert not layer.kernel_blocks.numpy()[new].any()


def test_grown_blocks_obey_the_constraint():
    net = compiled()
    for layer in sparse_layers(net):
        layer.kernel_blocks.constraint = keras.constraints.NonNeg()
        layer.assign_kernel(abs(layer.kernel))
    fit(net, dsr(regrow_stddev=0.5))
    for layer in sparse_layers(net):
        assert (layer.kernel.numpy() >= 0).all()


def test_a_model_of_both_storages_trains():
    keras.utils.set_random_seed(2)
    net = keras.Sequential(
        [
            keras.Input((8,)),
            BlockDense(16, 0.5, (2, 2), seed=1, name="one"),
            SparseDense(8, 0.5, (2, 2), seed=2, name="two"),
            SparseDense(3, 0.5, seed=3, name="three"),
        ]
    )
    net.compile("adam", LOSS)
    before = counts(net)
    fit(net, moves := dsr(), crossing := Crossing(), epochs=3)
    assert len(crossing.seen) > 1
    assert sum(counts(net)) + moves.state.unspent == sum(before)


def test_slots_in_a_second_optimizer_go_along():
    one = compiled()
    two = keras.Sequential([keras.Input((8,)), *one.layers])
    two.compile("adam", LOSS)
    fit(two)
    layer = one.get_layer("one")
    before = layer.kernel_positions.numpy().tolist()
    held = [x.variable.numpy() for x in slots_in(two, layer)]
    fit(one, dsr(), epochs=2)
    positions = layer.kernel_positions.numpy().tolist()
    assert positions != before
    stayed = set(before)
    for slot, old in zip(slots_in(two, layer), held, strict=True):
        value = slot.variable.numpy()
        assert len(value) == len(positions)
        for row, position in zip(value, positions, strict=True):
            if position in stayed and row.any():
                assert (row == old[before.index(position)]).all()
    fit(two)


def test_a_weight_that_is_not_finite_moves_nothing():
    net = compiled()
    layer = net.get_layer("one")
    fit(net)
    kernel = layer.kernel.numpy()
    kernel[layer.kernel_mask.numpy()] = np.inf
    before = [x.kernel_positions.numpy() for x in sparse_layers(net)]
    moves = Reallocator(net, net.optimizer, methods.dsr(3), 1)
    layer.assign_kernel(kernel)
    with pytest.raises(FloatingPointError, match="layer 'one'.*No mask was"):
        moves.reallocate()
    for each, positions in zip(sparse_layers(net), before, strict=True):
        assert (each.kernel_positions.numpy() == positions).all()


def test_positions_that_break_the_budget_are_found():
    def twice(ctx, counts, seed):
        rows = []
        for tensor in ctx.tensors:
            free = tf.where(~tensor.mask)[:1, 0]
            rows.append(Growth(tf.tile(free, [2])))
        return rows

    net = compiled()
    fit(net)
    wrong = Method(SmallestFraction(0.1), None, twice)
    moves = Reallocator(net, net.optimizer, wrong, 2)
    with pytest.raises(ValueError, match="as many inactive ones as asked for"):
        moves.reallocate()


@pytest.mark.parametrize("jit_compile", [False, True])
def test_models_and_optimizers_may_be_built_by_the_first_step(jit_compile):
    keras.utils.set_random_seed(2)
    net = keras.Sequential(
        [
            BlockDense(16, 0.5, (2, 2), seed=1, activation="relu"),
            BlockDense(3, 0.5, (2, 3), seed=2),
        ]
    )
    optimizer = keras.optimizers.Adam(0.01)
    moves = Reallocator(
        net.layers, optimizer, methods.dsr(3, initial_threshold=0.2), 1
    )

    @tf.function(jit_compile=jit_compile)
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = LOSS(y, net(x))
        weights = net.trainable_weights
        optimizer.apply(tape.gradient(loss, weights), weights)

    if jit_compile:
        # TensorFlow makes no other variables where XLA compiles.
        net.build((None, 8))
        optimizer.build(net.trainable_variables)
    step(X[:8], Y[:8])
    for i, layer in enumerate(net.layers):
        first = BlockDense(layer.units, 0.5, layer.granularity, seed=i + 1)
        first.build((None, 16 if i else 8))
        places = first.kernel_positions.numpy()
        assert (layer.kernel_positions.numpy() == places).all()
        assert layer.kernel_blocks.numpy().all()
    seen = set()
    for _ in range(4):
        moves.step()
        seen.add(tuple(counts(net)))
        step(X[:8], Y[:8])
    assert moves.counters.weights_moved > 0
    assert len(seen) > 1


def test_fit_builds_models_with_blocks():
    net = keras.Sequential(
        [BlockDense(16, 0.5, (2, 2)), BlockDense(3, 0.5, (2, 3))]
    )
    net.compile("adam", LOSS)
    fit(net, moves := dsr(), epochs=2)
    assert moves.state.num_reallocations == 8
    assert sum(counts(net)) == 64 + 24 - moves.state.unspent


def test_reallocations_are_traced_once():
    net = compiled()
    fit(net, moves := dsr(), epochs=3)
    assert moves.reallocator._program.num_traces == 2
    fit(net, moves := Reallocate(methods.set_method(0.2), 2), epochs=2)
    assert moves.reallocator._program.num_traces == 1
