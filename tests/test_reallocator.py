"""Reallocators without `fit`, and what one model must not know of another."""

import gc
import math
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

from dsr_tf import Reallocator
from dsr_tf import methods
from dsr_tf import schedules
from dsr_tf.callbacks import DSR
from dsr_tf.callbacks import SET
from dsr_tf.callbacks import Checkpoint
from dsr_tf.callbacks import CHTs
from dsr_tf.callbacks import DeepR
from dsr_tf.callbacks import GradualPruning
from dsr_tf.callbacks import PreemptedError
from dsr_tf.callbacks import RigL
from dsr_tf.callbacks import resumable_fit
from dsr_tf.layers import SparseConv2D
from dsr_tf.layers import SparseDense
from dsr_tf.layers import sparse_layers
from dsr_tf.layers.slots import trained_variables
from dsr_tf.methods.allocate import in_proportion_to_survivors
from dsr_tf.methods.grow import AtRandom
from dsr_tf.methods.grow import ByScore
from dsr_tf.methods.grow import Growth
from dsr_tf.methods.prune import SmallestFraction

RNG = np.random.default_rng(0)
X = RNG.normal(size=(320, 36)).astype("float32")
Y = RNG.integers(0, 3, size=320)
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

METHODS = {
    "dsr": (0.6, lambda: methods.dsr(30, initial_threshold=0.05), 5),
    "set": (0.6, lambda: methods.set_method(0.2), 5),
    "chts": (0.6, lambda: methods.chts(0.2, 2.0), 5),
    "deepr": (0.6, lambda: methods.deepr(1e-3), 1),
    "gradual": (0.0, lambda: methods.gradual_pruning(0.6, 4), 5),
}
# The same, as callbacks.
CALLBACKS = {
    "dsr": lambda: DSR(30, 5, initial_threshold=0.05),
    "set": lambda: SET(0.2, 5),
    "chts": lambda: CHTs(5, 0.2, 2.0),
    "deepr": lambda: DeepR(1e-3),
    "gradual": lambda: GradualPruning(0.6, 4, 5),
}


def model(sparsity=0.6, seed=0):
    keras.utils.set_random_seed(seed)
    net = keras.Sequential(
        [
            keras.Input((36,)),
            keras.layers.Reshape((6, 6, 1)),
            SparseConv2D(8, 3, sparsity, seed=1, name="conv"),
            keras.layers.Flatten(),
            SparseDense(20, sparsity, seed=2, activation="relu", name="hidden"),
            SparseDense(3, sparsity, seed=3, name="logits"),
        ]
    )
    net.compile(keras.optimizers.SGD(0.05, momentum=0.9), LOSS)
    net.optimizer.build(net.trainable_variables)
    return net


def fit(net, *callbacks, epochs=2, **kwargs):
    return net.fit(
        X, Y, batch_size=16, epochs=epochs, verbose=0, shuffle=False,
        callbacks=list(callbacks), **kwargs,
    )  # fmt: skip


def loop(net, reallocator, first=0, last=40):
    """Trains without `fit`, on the batches that `fit` would take."""

    @tf.function
    def train_step(x, y):
        with tf.GradientTape() as tape:
            loss = LOSS(y, net(x, training=True))
        weights = net.trainable_weights
        net.optimizer.apply(tape.gradient(loss, weights), weights)

    ran = []
    for step in range(first, last):
        start = 16 * (step % 20)
        train_step(X[start : start + 16], Y[start : start + 16])
        if reallocator.step():
            ran.append(step + 1)
    return ran


def arrays(net):
    held = [*net.weights, *net.optimizer.variables]
    return [keras.ops.convert_to_numpy(x) for x in held]


def equal(one, other):
    pairs = zip(arrays(one), arrays(other), strict=True)
    return all((a == b).all() for a, b in pairs)


@pytest.mark.parametrize("name", METHODS)
def test_loop_without_fit_trains_as_fit_does(name):
    sparsity, method, period = METHODS[name]
    by_fit, by_loop = model(sparsity), model(sparsity)
    fit(by_fit, CALLBACKS[name]())
    reallocator = Reallocator(by_loop, by_loop.optimizer, method(), period)
    ran = loop(by_loop, reallocator)
    assert ran == list(range(period, 41, period))
    assert equal(by_fit, by_loop)
    assert name == "gradual" or reallocator.counters.weights_moved > 0


@pytest.mark.parametrize("name", METHODS)
def test_loop_goes_on_from_a_checkpoint(name, tmp_path):
    sparsity, method, period = METHODS[name]
    whole, half, rest = (model(sparsity) for _ in range(3))

    def reallocator(net):
        return Reallocator(net, net.optimizer, method(), period)

    loop(whole, reallocator(whole))
    moves = reallocator(half)
    loop(half, moves, last=17)
    path = tf.train.Checkpoint(
        model=half, optimizer=half.optimizer, **moves.state
    ).save(tmp_path / "c")
    again = reallocator(rest)
    tf.train.Checkpoint(
        model=rest, optimizer=rest.optimizer, **again.state
    ).restore(path)
    loop(rest, again, first=17)
    assert equal(whole, rest)
    assert again.counters.num_reallocations == 40 // period


def test_a_list_of_layers_is_enough():
    net = model()
    layers = sparse_layers(net)[1:]
    before = [layer.num_active for layer in sparse_layers(net)]
    first = net.get_layer("conv").kernel_mask.numpy()
    moves = Reallocator(layers, net.optimizer, methods.set_method(0.2), 5)
    loop(net, moves)
    assert moves.counters.weights_moved > 0
    assert [x.num_active for x in sparse_layers(net)] == before
    assert (net.get_layer("conv").kernel_mask.numpy() == first).all()


@pytest.mark.parametrize("begin_step, first", [(0, 6), (4, 10), (6, 12)])
def test_period_counts_from_the_first_step_on(begin_step, first):
    net = model()
    moves = Reallocator(
        net, net.optimizer, methods.set_method(0.2), 6, begin_step=begin_step
    )
    assert loop(net, moves, last=20) == list(range(first, 21, 6))


def test_stop_and_period_may_be_shares_and_schedules():
    net = model()
    moves = Reallocator(
        net,
        net.optimizer,
        methods.set_method(schedules.Cosine(0.3, 0.0)),
        schedules.ByEpoch(((0, 4), (1, 8))),
        stop=0.8,
        steps_per_epoch=20,
        num_steps=40,
    )
    assert loop(net, moves) == [4, 8, 12, 16, 20, 24]


def test_layers_of_another_optimizer_are_refused():
    net, other = model(), model(seed=1)
    moves = Reallocator(net, other.optimizer, methods.set_method(0.1))
    with pytest.raises(ValueError, match="`optimizer` must train.*'conv'"):
        moves.step()


def test_reallocate_works_at_any_step():
    net = model()
    moves = Reallocator(net, net.optimizer, methods.set_method(0.2), 10**6)
    moves.reallocate()
    moved = moves.counters.weights_moved
    loop(net, moves, last=3)
    moves.reallocate()
    assert moves.counters.weights_moved == 2 * moved > 0
    assert moves.counters.last_step == 3


def test_optimizer_that_is_not_built_is_refused():
    moves = Reallocator(model(), keras.optimizers.SGD(), methods.dsr(5))
    with pytest.raises(ValueError, match="`optimizer` must be built.*SGD"):
        moves.reallocate()


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"model_or_layers": []}, "`model_or_layers` must be"),
        ({"model_or_layers": [keras.layers.Dense(3)]}, "`model_or_layers` mu"),
        ({"model_or_layers": None}, "`model_or_layers` must be"),
        ({"optimizer": "adam"}, "`optimizer` must be a keras Optimizer"),
        ({"method": "dsr"}, "`method` must be a dsr_tf Method"),
        ({"period": 0}, "`period` must be an integer"),
        ({"stop": 0.0}, "`stop` must be"),
        ({"stop": 1.5}, "`stop` must be"),
        ({"seed": -1}, "`seed` must be"),
        ({"steps_per_epoch": 0}, "`steps_per_epoch` must be"),
        ({"num_steps": 2.5}, "`num_steps` must be"),
        ({"method": methods.dsr(10**6)}, "`num_pruned` must be smaller"),
    ],
)
def test_arguments_are_checked_at_construction(wrong, message):
    net = model()
    given = {
        "model_or_layers": net,
        "optimizer": net.optimizer,
        "method": methods.set_method(0.1),
    }
    with pytest.raises(ValueError, match=message):
        Reallocator(**{**given, **wrong})


def test_what_is_not_known_is_asked_for():
    net = model()
    method = methods.set_method(0.1)
    moves = Reallocator(net, net.optimizer, method, {0: 5, 1: 10})
    with pytest.raises(ValueError, match="Give the `Reallocator` its `steps"):
        moves.step()
    moves = Reallocator(net, net.optimizer, method, 1, stop=0.5)
    with pytest.raises(ValueError, match="a `Reallocator` its `num"):
        moves.step()


def test_non_finite_weight_stops_a_loop_untouched():
    net = model()
    moves = Reallocator(net, net.optimizer, methods.set_method(0.2), 1)
    layer = net.get_layer("hidden")
    before = [x.kernel_mask.numpy() for x in sparse_layers(net)]
    bad = np.where(layer.kernel_mask.numpy(), np.nan, 0.0)
    layer.kernel.assign(bad)
    net.optimizer.iterations.assign(1)
    with pytest.raises(FloatingPointError, match="'hidden'.*No mask was"):
        moves.step()
    after = [x.kernel_mask.numpy() for x in sparse_layers(net)]
    assert all((a == b).all() for a, b in zip(before, after, strict=True))


def test_optimizer_still_names_what_it_trains():
    # The name is private; this fails when it goes.
    net = model()
    trained = trained_variables(net.optimizer)
    assert list(map(id, trained)) == list(map(id, net.trainable_variables))


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_a_callback_begins_anew_with_a_new_model(name):
    sparsity = METHODS[name][0]
    shared, alone = model(sparsity), model(sparsity)
    callback = CALLBACKS[name]()
    fit(model(sparsity, seed=1), callback)
    shared_logs = fit(shared, callback).history
    own = CALLBACKS[name]()
    assert shared_logs == fit(alone, own).history
    assert equal(shared, alone)
    assert callback.state.weights_moved == own.state.weights_moved
    assert callback.state.method == own.state.method


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_a_callback_goes_on_with_the_same_model(name):
    sparsity = METHODS[name][0]
    net, callback = model(sparsity), CALLBACKS[name]()
    fit(net, callback, epochs=1)
    seen = callback.state.num_reallocations
    fit(model(sparsity, seed=1), callback, epochs=1)
    fit(net, callback, epochs=1)
    assert callback.state.num_reallocations == 2 * seen
    whole, own = model(sparsity), CALLBACKS[name]()
    fit(whole, own, epochs=1)
    fit(whole, own, epochs=1)
    assert equal(net, whole)


def test_gradual_pruning_of_folds_prunes_each_alike():
    prune = GradualPruning(0.9, num_prunes=8, period=3)
    counts = []
    for seed in (0, 1):
        net = model(0.0, seed)
        counts.append(fit(net, prune, epochs=3).history["active_weights"])
    assert counts[0] == counts[1] and counts[0][0] > counts[0][-1]


def test_unspent_weights_are_not_another_models():
    # 3x3 slices: less than one may stay unspent.
    def slices(seed):
        keras.utils.set_random_seed(seed)
        net = keras.Sequential(
            [
                keras.Input((36,)),
                keras.layers.Reshape((6, 6, 1)),
                SparseConv2D(8, 3, 0.5, granularity="kernel"),
                SparseConv2D(7, 2, 0.5, granularity="kernel"),
                keras.layers.Flatten(),
                keras.layers.Dense(3),
            ]
        )
        net.compile("sgd", LOSS)
        return net

    callback = DSR(20, 2, initial_threshold=0.2)
    seen = []
    for seed in range(4):
        net = slices(seed)
        budget = sum(x.num_active for x in sparse_layers(net))
        history = fit(net, callback).history["active_weights"]
        seen.append(callback.state.unspent)
        assert max(history) <= budget
        assert history[-1] + callback.state.unspent == budget
    assert any(seen)


def test_a_model_compiled_again_goes_on():
    net, callback = model(), DSR(30, 5, initial_threshold=0.05)
    fit(net, callback)
    threshold, moved = callback.threshold, callback.state.weights_moved
    net.compile(keras.optimizers.Adam(), LOSS)
    fit(net, callback, epochs=1)
    assert callback.state.num_reallocations == 12
    assert callback.state.weights_moved > moved
    assert threshold != 0.05


def test_models_are_not_kept_alive():
    callback = DSR(30, 5)
    net = model()
    fit(net, callback, epochs=1)
    gone = weakref.ref(net)
    fit(model(seed=1), callback, epochs=1)
    del net
    keras.utils.clear_session()
    gc.collect()
    assert gone() is None


def test_deepr_takes_the_signs_of_weights_that_were_assigned():
    net = model()
    rewire = DeepR(0.0)
    net.optimizer.learning_rate.assign(0.0)
    fit(net, rewire, epochs=1)
    assert rewire.state.weights_moved == 0
    for layer in sparse_layers(net):
        layer.kernel.assign(-layer.kernel)
    fit(net, rewire, epochs=1)
    assert rewire.state.weights_moved == 0


class Interrupt(keras.callbacks.Callback):
    """Ends the first `fit` after some batches, as a person would."""

    def __init__(self, batch):
        super().__init__()
        self.batch = batch

    def on_train_batch_end(self, batch, logs=None):
        if batch == self.batch:
            self.batch = None
            raise KeyboardInterrupt


@pytest.mark.parametrize("name", METHODS)
def test_logs_after_an_interrupt_count_from_their_epoch(name):
    net, callback = model(METHODS[name][0]), CALLBACKS[name]()
    interrupt = Interrupt(12)
    with pytest.raises(KeyboardInterrupt):
        fit(net, callback, interrupt)
    before = callback.state.weights_moved
    history = fit(net, callback, interrupt).history["weights_moved"]
    assert sum(history) == callback.state.weights_moved - before


def test_checkpoint_after_an_interrupt_begins_at_the_start(tmp_path):
    net, interrupt = model(), Interrupt(4)
    checkpoint = Checkpoint(tmp_path / "c", every_steps=10**6)
    with pytest.raises(KeyboardInterrupt):
        fit(net, interrupt, checkpoint)
    fit(net, interrupt, checkpoint)
    assert (checkpoint.position.epoch, checkpoint.position.step) == (2, 0)


@pytest.mark.parametrize(
    "others, names",
    [
        ([DSR(30, 5), DSR(30, 5)], "DSR and DSR"),
        ([SET(0.1, 5), DeepR(0.1)], "SET and DeepR"),
        ([moves := SET(0.1, 5), moves], "SET and SET"),
    ],
)
def test_two_callbacks_that_move_weights_are_refused(others, names):
    net = model()
    with pytest.raises(ValueError, match=f"one callback.*{names}"):
        fit(net, *others)
    assert int(net.optimizer.iterations.numpy()) == 0
    # One after the other they may.
    for callback in dict.fromkeys(others):
        fit(net, callback, epochs=1)


def test_reallocator_of_a_callback_that_was_not_used_is_said():
    with pytest.raises(ValueError, match="must have been given to `fit`"):
        _ = SET(0.1, 5).reallocator
    assert DSR(5, 5, initial_threshold=1e-3).threshold == 1e-3


def test_resumable_fit_without_validation_goes_on_in_an_epoch(tmp_path):
    def batches(epoch, step):
        data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(16)
        return data.skip(step).concatenate(data.repeat())

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 6:
                checkpoint.stop()

    def run(net, folder, *callbacks):
        nonlocal checkpoint
        moves = DSR(30, 5, initial_threshold=0.05)
        checkpoint = Checkpoint(tmp_path / folder, moves)
        resumable_fit(
            net, batches, checkpoint, epochs=2, steps_per_epoch=20,
            callbacks=[moves, *callbacks],
        )  # fmt: skip

    checkpoint = None
    whole, net = model(), model()
    run(whole, "whole")
    with pytest.raises(PreemptedError, match="after 7 batches"):
        run(net, "c", Stop())
    net = model(seed=1)
    run(net, "c")
    assert equal(whole, net)


def scores_of(net, seed=0):
    rng = np.random.default_rng(seed)
    return [
        tf.constant(rng.normal(size=x.kernel.shape), tf.float32)
        for x in sparse_layers(net)
    ]


@pytest.mark.parametrize("across", [False, True])
def test_units_grow_where_scores_are_largest(across):
    net = model()
    share = in_proportion_to_survivors if across else None
    method = methods.Method(SmallestFraction(0.3), share, ByScore())
    scores = scores_of(net)
    moves = Reallocator(
        net, net.optimizer, method, growth_scores=lambda: scores
    )
    before = [x.kernel_mask.numpy() for x in sparse_layers(net)]
    budget = moves.num_active
    moves.reallocate()
    assert moves.num_active == budget
    for layer, old, score in zip(moves.layers, before, scores, strict=True):
        came = layer.kernel_mask.numpy() & ~old
        worth = np.abs(score.numpy())
        assert came.any()
        # None that could have come is worth more.
        rest = ~layer.kernel_mask.numpy() & ~old
        assert worth[came].min() >= worth[rest].max()
        assert not layer.kernel.numpy()[came].any()


def test_slices_grow_by_the_mean_of_their_scores():
    net = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            SparseConv2D(8, 3, 0.5, granularity="kernel", seed=0),
        ]
    )
    optimizer = keras.optimizers.SGD()
    optimizer.build(net.trainable_variables)
    (score,) = scores_of(net)
    method = methods.Method(SmallestFraction(0.3), grow=ByScore())
    moves = Reallocator(net, optimizer, method, growth_scores=lambda: [score])
    (layer,) = moves.layers
    old = layer.kernel_mask.numpy()[0, 0]
    moves.reallocate()
    new = layer.kernel_mask.numpy()[0, 0]
    worth = np.abs(score.numpy()).mean(axis=(0, 1))
    assert worth[new & ~old].min() >= worth[~new & ~old].max()


def test_a_layer_that_is_named_twice_is_refused():
    net = model()
    layer = net.get_layer("hidden")
    with pytest.raises(ValueError, match="each once"):
        Reallocator([layer, layer], net.optimizer, methods.set_method(0.1))


def inactive(ctx):
    return [tf.where(~tensor.mask)[:4, 0] for tensor in ctx.tensors]


def repeated(ctx):
    return [tf.repeat(tensor.positions[:2], 2) for tensor in ctx.tensors]


def active(ctx, counts, seed):
    return [Growth(tensor.positions[:1]) for tensor in ctx.tensors]


def none(ctx, counts, seed):
    return [Growth(tensor.positions[:0]) for tensor in ctx.tensors]


@pytest.mark.parametrize(
    "prune, grow",
    [
        (inactive, AtRandom()),
        (repeated, AtRandom()),
        (SmallestFraction(0.2), active),
        (SmallestFraction(0.2), none),
    ],
)
@pytest.mark.parametrize("share", [None, in_proportion_to_survivors])
def test_a_method_that_breaks_the_budget_is_refused(prune, share, grow):
    net = model()
    method = methods.Method(prune, share, grow)
    moves = Reallocator(net, net.optimizer, method, 5)
    with pytest.raises(ValueError, match="`prune` must return active pos"):
        moves.reallocate()


@pytest.mark.parametrize("wrong", [0, -3, math.nan, math.inf, None, "a"])
def test_period_of_ones_own_function_is_checked(wrong):
    net = model()
    moves = Reallocator(
        net, net.optimizer, methods.set_method(0.1), lambda moment: wrong
    )
    with pytest.raises(ValueError, match="`period` must be a number above 0"):
        loop(net, moves, last=1)


def test_arrays_are_restored_before_there_are_any(tmp_path):
    def unbuilt():
        net = keras.Sequential([SparseDense(20, 0.6, seed=0)])
        optimizer = keras.optimizers.SGD(0.0)
        return net, optimizer, Reallocator(net, optimizer, methods.deepr(0.0))

    net, optimizer, moves = unbuilt()
    net.build((None, 36))
    optimizer.build(net.trainable_variables)
    moves.reallocate()
    signs = [x.numpy() for x in moves.arrays.values]
    path = tf.train.Checkpoint(**moves.state).save(tmp_path / "c")
    net, optimizer, moves = unbuilt()
    tf.train.Checkpoint(**moves.state).restore(path)
    net.build((None, 36))
    optimizer.build(net.trainable_variables)
    # Zeros have no sign of their own: theirs are those of the checkpoint.
    net.layers[0].kernel.assign(tf.zeros_like(net.layers[0].kernel.value))
    moves.reallocate()
    assert signs and all(
        (a == b.numpy()).all()
        for a, b in zip(signs, moves.arrays.values, strict=True)
    )


def test_a_ramp_goes_on_where_the_model_is_compiled_again():
    net = model()
    callback = SET(0.1, schedules.Linear(5, 5))
    fit(net, callback)
    net.compile(keras.optimizers.SGD(0.05), LOSS)
    fit(net, callback, epochs=1)
    assert callback.state.num_reallocations == 12


def test_a_call_within_a_function_is_refused():
    net = model()
    optimizer = net.optimizer
    moves = Reallocator(net, optimizer, methods.set_method(0.1), 2)
    for name in ("step", "reallocate"):
        with pytest.raises(ValueError, match=f"`{name}` must be called out"):
            tf.function(getattr(moves, name))()


def test_a_length_that_is_missing_is_said_at_the_first_step():
    net = model()
    optimizer = net.optimizer
    by_share = methods.rigl(schedules.Cosine(0.3, 0.0))
    moves = Reallocator(net, optimizer, by_share, 100)
    with pytest.raises(ValueError, match="its `num_steps`; or take a step"):
        moves.step()
    known = Reallocator(net, optimizer, by_share, 100, num_steps=9)
    assert not known.step()


def test_a_length_that_is_missing_is_said_before_the_first_batch():
    net = model()
    batches = tf.data.Dataset.from_tensors((X[:16], Y[:16])).repeat(5)
    batches = batches.filter(lambda x, y: True)
    with pytest.raises(ValueError, match="Give `fit` its `steps_per_epoch`"):
        net.fit(batches, verbose=0, callbacks=[RigL(period=100)])
    assert int(net.optimizer.iterations) == 0
    net.fit(
        batches.repeat(),
        steps_per_epoch=5,
        verbose=0,
        callbacks=[RigL(period=2)],
    )
