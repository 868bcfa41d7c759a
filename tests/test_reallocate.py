import gc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

from dsr_tf.callbacks import DSR
from dsr_tf.callbacks import SET
from dsr_tf.callbacks import GradualPruning
from dsr_tf.callbacks import Reallocate
from dsr_tf.layers import SparseConv2D
from dsr_tf.layers import SparseDense
from dsr_tf.layers import sparse_layers
from dsr_tf.layers.slots import find_slots
from dsr_tf.schedules import Constant

RNG = np.random.default_rng(0)
X = RNG.normal(size=(320, 6, 6, 1)).astype("float32")
Y = RNG.integers(0, 3, size=320)


def model(optimizer=None, seed=0, **compile_args):
    keras.utils.set_random_seed(seed)
    net = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            SparseConv2D(8, 3, 0.5, name="conv"),
            keras.layers.Flatten(),
            SparseDense(20, 0.8, activation="relu", name="hidden"),
            SparseDense(3, 0.3, name="logits"),
        ]
    )
    net.compile(
        optimizer or keras.optimizers.SGD(0.05, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        **compile_args,
    )
    return net


def fit(net, *callbacks, epochs=2, **kwargs):
    return net.fit(
        X, Y, batch_size=16, epochs=epochs, verbose=0, shuffle=False,
        callbacks=list(callbacks), **kwargs,
    )  # fmt: skip


def budget(net):
    return sum(layer.num_active for layer in sparse_layers(net))


def masks(net):
    return [x.kernel_mask.numpy() for x in sparse_layers(net)]


def assert_obeys_masks(net):
    for layer in sparse_layers(net):
        assert not layer.kernel.numpy()[layer.kernel_mask.numpy() == 0].any()


def weights_equal(one, other):
    pairs = zip(one.get_weights(), other.get_weights(), strict=True)
    return all((a == b).all() for a, b in pairs)


class Watch(keras.callbacks.Callback):
    """Records the optimizer step of every reallocation of a callback.

    To be named after it.
    """

    def __init__(self, callback):
        super().__init__()
        self.callback = callback
        self.steps = []
        self._seen = 0

    def on_train_batch_end(self, batch, logs=None):
        seen, self._seen = self._seen, self.callback.state.num_reallocations
        if seen != self._seen:
            assert self._seen == seen + 1
            self.steps.append(int(self.model.optimizer.iterations.numpy()))


def test_fit_moves_weights_within_the_budget():
    net = model()
    before, start = budget(net), masks(net)
    callback = DSR(30, period=5, initial_threshold=0.05)
    fit(net, callback)
    assert budget(net) == before
    assert any((a != b).any() for a, b in zip(start, masks(net), strict=True))
    assert callback.state.num_reallocations == 8
    assert callback.state.weights_moved > 0
    assert_obeys_masks(net)


def test_epoch_logs_tell_what_moved():
    net = model()
    callback = DSR(30, period=5, initial_threshold=0.05)
    history = fit(net, callback).history
    assert history["active_weights"] == [budget(net)] * 2
    assert sum(history["weights_moved"]) == callback.state.weights_moved
    assert history["threshold"][-1] == callback.threshold


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adagrad", "ftrl"])
def test_moved_positions_start_afresh(optimizer):
    # Adagrad and Ftrl begin with accumulators of 0.1.
    net = model(
        keras.optimizers.SGD(0.05, momentum=0.9)
        if optimizer == "sgd"
        else keras.optimizers.get(optimizer)
    )
    callback = DSR(40, period=10**6, initial_threshold=0.1, regrow_stddev=0.0)
    fit(net, callback)
    before = masks(net)
    callback.reallocator.reallocate()
    slots = find_slots(net.optimizer, net.trainable_variables)
    index = {id(v): i for i, v in enumerate(net.trainable_variables)}
    for layer, old in zip(sparse_layers(net), before, strict=True):
        new = layer.kernel_mask.numpy()
        moved = new != old
        assert moved.any()
        assert not layer.kernel.numpy()[moved].any()
        own = slots[index[id(layer.kernel)]]
        assert own
        for slot in own:
            values = slot.variable.numpy()
            assert (values[moved] == np.float32(slot.initial_value)).all()
            stays = (new == 1) & (old == 1)
            assert (values[stays] != np.float32(slot.initial_value)).any()


def test_inactive_slots_keep_their_initial_value():
    net = model(keras.optimizers.Adagrad(0.05))
    fit(net, DSR(30, period=5, initial_threshold=0.05))
    slots = find_slots(net.optimizer, net.trainable_variables)
    index = {id(v): i for i, v in enumerate(net.trainable_variables)}
    for layer in sparse_layers(net):
        (slot,) = slots[index[id(layer.kernel)]]
        assert slot.initial_value == pytest.approx(0.1)
        off = slot.variable.numpy()[layer.kernel_mask.numpy() == 0]
        assert (off == np.float32(0.1)).all()


def test_regrow_stddev_gives_new_weights_values():
    net = model()
    callback = DSR(40, period=10**6, initial_threshold=0.1, regrow_stddev=0.5)
    fit(net, callback)
    before = masks(net)
    callback.reallocator.reallocate()
    grown = np.concatenate(
        [
            layer.kernel.numpy()[(layer.kernel_mask.numpy() == 1) & (old == 0)]
            for layer, old in zip(sparse_layers(net), before, strict=True)
        ]
    )
    assert grown.all() and 0.3 < grown.std() < 0.7
    assert_obeys_masks(net)


def test_equal_seeds_give_equal_runs():
    runs = []
    for seed in (1, 1, 2):
        net = model()
        fit(net, DSR(30, 5, initial_threshold=0.05, regrow_stddev=0.1,
                     seed=seed))  # fmt: skip
        runs.append(net)
    assert weights_equal(runs[0], runs[1])
    assert not weights_equal(runs[0], runs[2])


def test_result_does_not_depend_on_steps_per_execution():
    runs = []
    for steps in (1, 5, 10):
        net = model(steps_per_execution=steps)
        fit(net, DSR(30, 10, initial_threshold=0.05))
        runs.append(net)
    assert weights_equal(runs[0], runs[1])
    assert weights_equal(runs[0], runs[2])


@pytest.mark.parametrize(
    "steps_per_execution, expected",
    [(1, [6, 12, 18, 24, 30, 36]), (4, [8, 12, 20, 24, 32, 36])],
)
def test_reallocation_fires_on_crossing_a_multiple(
    steps_per_execution, expected
):
    callback = DSR(5, period=6)
    watch = Watch(callback)
    fit(model(steps_per_execution=steps_per_execution), callback, watch)
    assert watch.steps == expected


def test_late_reallocations_are_announced(caplog):
    fit(model(steps_per_execution=5), DSR(5, period=10), epochs=1)
    assert not caplog.records
    fit(model(steps_per_execution=4), DSR(5, period=10), epochs=1)
    assert "can come up to 3 steps late" in caplog.text


def test_period_follows_its_schedule_and_stops():
    callback = DSR(5, period={0: 5, 1: 10, 2: 20}, stop_epoch=3)
    watch = Watch(callback)
    fit(model(), callback, watch, epochs=5)
    assert watch.steps == [5, 10, 15, 20, 30, 40, 60]


def test_steps_are_optimizer_steps_under_gradient_accumulation():
    callback = DSR(5, period=3)
    watch = Watch(callback)
    net = model(keras.optimizers.SGD(0.05, gradient_accumulation_steps=4))
    fit(net, callback, watch)
    assert watch.steps == [3, 6, 9]


@pytest.mark.slow
def test_settings_serve_any_number_of_models():
    shared, nets = DSR(30, period=5, initial_threshold=0.05), []
    alone = []
    for seed in (0, 1):
        nets.append(model(seed=seed))
        fit(nets[-1], shared)
        fit(net := model(seed=seed), own := DSR(30, 5, 0.1, 0.05))
        alone.append(net)
        assert shared.state.weights_moved == own.state.weights_moved
        assert shared.state.num_reallocations == 8
        assert shared.threshold == own.threshold
    assert all(map(weights_equal, nets, alone))
    # In turn, each goes on where it was.
    for net in nets:
        fit(net, shared, epochs=1)
        assert shared.model is net
        assert shared.state.num_reallocations == 12


def test_before_any_fit_there_is_the_initial_threshold_and_no_state():
    callback = DSR(30, period=5, initial_threshold=0.05)
    assert callback.threshold == 0.05
    for name in ("state", "reallocator"):
        with pytest.raises(ValueError, match="given to `fit` before it has"):
            getattr(callback, name)


def test_models_that_are_gone_are_not_kept():
    callback = DSR(30, period=5)
    fit(first := model(), callback, epochs=1)
    alive = weakref.ref(first)
    fit(model(), callback, epochs=1)
    del first
    gc.collect()
    assert alive() is None


def test_a_model_compiled_again_goes_on():
    callback = DSR(30, period=5, initial_threshold=0.05)
    net = model()
    fit(net, callback, epochs=1)
    threshold, moved = callback.threshold, callback.state.weights_moved
    net.compile(
        keras.optimizers.Adam(0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    assert callback.threshold == threshold != 0.05
    fit(net, callback, epochs=1)
    assert callback.state.num_reallocations == 8
    assert callback.state.weights_moved > moved
    assert_obeys_masks(net)
    # The slots that were set back are those of the new optimizer.
    slots = find_slots(net.optimizer, net.trainable_variables)
    index = {id(v): i for i, v in enumerate(net.trainable_variables)}
    for layer in sparse_layers(net):
        own = slots[index[id(layer.kernel)]]
        off = layer.kernel_mask.numpy() == 0
        assert len(own) == 2
        assert not any(slot.variable.numpy()[off].any() for slot in own)


def test_a_callback_serves_after_a_training_of_no_steps():
    net, callback = model(), DSR(30, period=5)
    callback.set_model(net)
    callback.on_train_begin()
    callback.on_train_end()
    fit(net, callback, epochs=1)
    fit(net, callback, epochs=1)
    assert callback.state.num_reallocations == 8


@pytest.mark.parametrize("numbers", [range(8), [0, 1] * 4, [0] * 8])
def test_a_callback_serves_in_a_loop_of_batches(numbers):
    net, callback = model(), DSR(30, period=2)
    callback.set_model(net)
    callback.on_train_begin()
    for batch in numbers:
        net.train_on_batch(X[:16], Y[:16])
        callback.on_train_batch_end(batch)
    assert callback.state.num_reallocations == 4


def test_two_callbacks_that_move_weights_are_refused():
    net = model()
    before = net.get_weights()
    for pair in (
        (DSR(30, period=5), SET(0.2, period=5)),
        (same := DSR(30, period=5), same),
    ):
        names = " and ".join(type(x).__name__ for x in pair)
        with pytest.raises(ValueError, match=f"Received: {names}"):
            fit(net, *pair)
    pairs = zip(before, net.get_weights(), strict=True)
    assert all((a == b).all() for a, b in pairs)
    # One after the other they may.
    fit(net, DSR(30, period=5), epochs=1)
    fit(net, moves := SET(0.2, period=5), epochs=1)
    assert moves.state.weights_moved > 0


@pytest.mark.parametrize("params", [{}, {"epochs": 1, "steps": 20}])
def test_a_list_of_callbacks_may_be_given_again(params):
    net = model()
    callback = DSR(30, period=5)
    both = keras.callbacks.CallbackList(
        [callback], add_history=True, model=net, **params
    )
    for _ in range(2):
        net.fit(X, Y, batch_size=16, verbose=0, callbacks=both)
    assert callback.state.num_reallocations == 8


@pytest.mark.parametrize(
    "optimizer, num_steps",
    [
        (lambda: keras.optimizers.SGD(0.05), 40),
        (lambda: accumulating(4), 10),
        (lambda: keras.optimizers.LossScaleOptimizer(accumulating(4)), 10),
    ],
    ids=["plain", "accumulating", "scaled"],
)
def test_schedules_are_told_the_optimizer_steps_of_the_fit(
    optimizer, num_steps
):
    seen = []
    callback = SET(lambda moment: seen.append(moment) or 0.1, period=5)
    net = model(optimizer())
    fit(net, callback)
    assert {moment.num_steps for moment in seen} == {num_steps}
    assert [moment.step for moment in seen] == list(range(5, num_steps + 1, 5))
    # A `fit` that goes on ends so many steps later.
    fit(net, callback)
    assert seen[-1].num_steps == 2 * num_steps == seen[-1].step


def accumulating(steps):
    return keras.optimizers.SGD(0.05, gradient_accumulation_steps=steps)


def test_an_interrupted_fit_is_no_obstacle():
    class Interrupt(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise KeyboardInterrupt

    net, callback = model(), DSR(30, period=5)
    with pytest.raises(KeyboardInterrupt):
        fit(net, callback, Interrupt())
    fit(net, callback, epochs=1)
    assert callback.state.num_reallocations == 4


def test_second_fit_goes_on_with_threshold_and_steps():
    callback = DSR(5, period=15, initial_threshold=1e-3)
    watch = Watch(callback)
    net = model()
    fit(net, callback, watch, epochs=1)
    threshold = callback.threshold
    assert threshold != 1e-3
    fit(net, callback, watch, epochs=1)
    assert watch.steps == [15, 30]
    assert callback.state.num_reallocations == 2


def test_change_of_period_does_not_depend_on_steps_per_execution():
    steps = []
    for steps_per_execution in (1, 4):
        callback = DSR(5, period={0: 40, 1: 8})
        watch = Watch(callback)
        net = model(steps_per_execution=steps_per_execution)
        fit(net, callback, watch)
        steps.append(watch.steps)
    assert steps == [[24, 32, 40]] * 2


def test_state_survives_a_checkpoint(tmp_path):
    callback = DSR(30, period=5, initial_threshold=1e-3)
    fit(model(), callback)
    path = tf.train.Checkpoint(state=callback.state).save(tmp_path / "c")
    other, net = DSR(30, period=5, initial_threshold=1e-3), model()
    # Before it trains for the first time.
    state = other.reallocator_of(net).counters
    tf.train.Checkpoint(state=state).restore(path)
    fit(net, other, epochs=0)
    assert other.state is state
    assert other.threshold == callback.threshold != 1e-3
    assert other.state.num_reallocations == callback.state.num_reallocations
    assert other.state.weights_moved == callback.state.weights_moved


class Poison(keras.callbacks.Callback):
    """Sets the active weights of a layer to a value after batch 7."""

    def __init__(self, layer, value):
        super().__init__()
        self.layer, self.value = layer, value

    def on_train_batch_end(self, batch, logs=None):
        if batch == 7:
            mask = self.layer.kernel_mask.numpy()
            self.layer.kernel.assign(np.where(mask, self.value, 0.0))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_non_finite_weight_stops_training_untouched(bad):
    net = model()
    callback = DSR(5, period=8)
    before = masks(net)
    with pytest.raises(FloatingPointError, match="'hidden' at .* step 8"):
        fit(net, Poison(net.get_layer("hidden"), bad), callback)
    assert all((a == b).all() for a, b in zip(before, masks(net), strict=True))
    assert callback.state.num_reallocations == 0


def test_nested_and_shared_layers_count_once():
    keras.utils.set_random_seed(0)
    shared = SparseDense(8, 0.5)
    inner = keras.Sequential([keras.Input((8,)), SparseDense(8, 0.5), shared])
    inputs = keras.Input((8,))
    net = keras.Model(inputs, shared(inner(inputs)))
    net.compile("sgd", "mse")
    x = RNG.normal(size=(64, 8))
    net.fit(x, x, verbose=0, callbacks=[DSR(9, 1, initial_threshold=0.3)])
    assert budget(net) == 64


def test_frozen_layers_keep_their_masks():
    net = model()
    net.get_layer("hidden").trainable = False
    net.compile("sgd", "sparse_categorical_crossentropy")
    before = masks(net)
    fit(net, DSR(30, 2, initial_threshold=0.5))
    after = masks(net)
    assert (before[1] == after[1]).all()
    assert (before[0] != after[0]).any()


@pytest.mark.parametrize("built", [True, False])
def test_model_without_sparse_layers_is_refused(built):
    net = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(3)])
    if built:
        net.build((None, 6, 6, 1))
    net.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="Replace `keras.layers.Dense`"):
        fit(net, DSR(5, period=5))
    assert int(net.optimizer.iterations.numpy()) == 0


def test_frozen_model_is_refused():
    net = model()
    net.trainable = False
    with pytest.raises(ValueError, match="Set `trainable = True`"):
        fit(net, DSR(5, period=5))


def test_numpy_integers_are_counts():
    callback = DSR(np.int64(20), np.int32(5), seed=np.uint8(1))
    assert callback.period == Constant(5) and callback.seed == 1


def test_unbuilt_models_are_built_by_their_first_step():
    layers = [keras.layers.Flatten(), SparseDense(8, 0.5), SparseDense(3, 0.5)]
    net = keras.Sequential(layers)
    net.compile("sgd", "sparse_categorical_crossentropy")
    callback = DSR(20, period=5, initial_threshold=0.1)
    fit(net, callback)
    assert callback.state.weights_moved > 0
    assert budget(net) == (36 * 8 + 8 * 3) // 2


def test_num_pruned_must_be_below_the_budget():
    net = model()
    size = budget(net)
    fit(net, DSR(size - 1, period=100))
    before = net.get_weights()
    with pytest.raises(ValueError, match=f"budget={size}"):
        fit(net, DSR(size, period=100))
    after = net.get_weights()
    assert all((a == b).all() for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("period", [0, -5, 2.5, None, True, {0: 0}, {0: "a"}])
def test_period_must_be_a_count(period):
    with pytest.raises(ValueError, match="`period` must be an integer"):
        DSR(5, period)


@pytest.mark.parametrize("period", [{}, {1: 100}])
def test_period_schedule_must_begin_at_epoch_zero(period):
    with pytest.raises(ValueError, match="`period` must have a value for"):
        DSR(5, period)


@pytest.mark.parametrize("period", [{0: 10, -1: 5}, {0: 1, 0.5: 1}])
def test_period_schedule_must_name_epochs(period):
    with pytest.raises(ValueError, match="`period's epochs` must be"):
        DSR(5, period)


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"num_pruned": 0}, "`num_pruned` must be"),
        ({"tolerance": 1.0}, "`tolerance` must be"),
        ({"initial_threshold": 0.0}, "`initial_threshold` must be"),
        ({"regrow_stddev": -1.0}, "`regrow_stddev` must be"),
        ({"stop_epoch": -1}, "`stop_epoch` must be"),
        ({"seed": -1}, "`seed` must be"),
        ({"seed": 2**31}, "`seed` must be"),
        ({"num_pruned": True}, "`num_pruned` must be"),
        ({"tolerance": None}, "`tolerance` must be"),
        ({"regrow_stddev": "0.1"}, "`regrow_stddev` must be"),
    ],
)
def test_arguments_are_checked_at_construction(kwargs, message):
    with pytest.raises(ValueError, match=message):
        DSR(**{"num_pruned": 5, "period": 5, **kwargs})


def test_set_moves_weights_within_each_layer():
    net = model()
    before = [x.num_active for x in sparse_layers(net)]
    start = masks(net)
    history = fit(net, SET(0.2, period=5)).history
    assert [x.num_active for x in sparse_layers(net)] == before
    for old, new in zip(start, masks(net), strict=True):
        assert (old != new).any()
    assert history["weights_moved"][0] == 4 * sum(
        int(0.2 * count) + 1 for count in before
    )
    assert_obeys_masks(net)


@pytest.mark.parametrize("across", [True, False])
def test_gradual_pruning_reaches_the_count_of_a_sparse_model(across):
    keras.utils.set_random_seed(0)
    layers = [SparseDense(20, 0.0), SparseDense(3, 0.0)]
    net = keras.Sequential(
        [keras.Input((6, 6, 1)), keras.layers.Flatten(), *layers]
    )
    net.compile("adam", "sparse_categorical_crossentropy")
    prune = GradualPruning(0.9, 4, period=5, across_tensors=across)
    history = fit(net, prune).history
    # int(0.1 * 720 + 0.1) and int(0.1 * 60 + 0.1)
    assert ([x.num_active for x in layers] == [72, 6]) is not across
    assert history["active_weights"] == [78, 78]
    assert history["weights_moved"] == [0, 0]
    assert_obeys_masks(net)


def test_gradual_pruning_of_sparse_layers_is_refused():
    net = keras.Sequential([keras.Input((36,)), SparseDense(3, 0.9)])
    net.compile("sgd", "mse")
    with pytest.raises(ValueError, match="leaves 54 weights, but the layers"):
        net.fit(
            X.reshape(320, 36), np.zeros((320, 3)), verbose=0,
            callbacks=[GradualPruning(0.5, 4, period=5)],
        )  # fmt: skip


def test_a_method_of_ones_own_is_a_composition():
    from dsr_tf.methods import Method
    from dsr_tf.methods import grow
    from dsr_tf.methods import prune

    own = Method(
        prune=prune.AdaptiveThreshold(20, 0.1, 0.05),
        allocate=lambda ctx, pruned: tf.ones_like(pruned),
        grow=grow.AtRandom(),
    )
    net = model()
    before = budget(net)
    fit(net, Reallocate(own, period=5))
    assert budget(net) == before


def test_unreachable_target_leaves_the_threshold_finite():
    net = model()
    callback = DSR(budget(net) - 1, 1, tolerance=0.0, initial_threshold=1e-3)
    fit(net, callback, epochs=8)
    assert callback.threshold == 2.0**127


class Warmup(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule as users write it: without a config."""

    def __call__(self, step):
        return 0.05


def test_slots_are_found_under_any_schedule():
    class Registered(Warmup):
        def get_config(self):
            return {}

    net = model(keras.optimizers.SGD(Registered(), momentum=0.9))
    fit(net, DSR(30, period=5, initial_threshold=0.05))
    assert_obeys_masks(net)


def test_optimizer_without_a_config_is_refused():
    net = model(keras.optimizers.SGD(Warmup(), momentum=0.9))
    with pytest.raises(ValueError, match="Define `get_config`. Received: SGD"):
        fit(net, DSR(30, period=5))


@pytest.mark.parametrize(
    "compile_args",
    [{"run_eagerly": True}, {"jit_compile": False}, {"jit_compile": True}],
)
def test_fit_moves_weights_however_it_is_compiled(compile_args):
    net = model(**compile_args)
    before = budget(net)
    callback = DSR(30, period=5, initial_threshold=0.05)
    fit(net, callback, epochs=1)
    assert callback.state.weights_moved > 0
    assert budget(net) == before
    assert_obeys_masks(net)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_fit_moves_weights_in_mixed_precision(policy):
    keras.config.set_dtype_policy(policy)
    try:
        net = model()
    finally:
        keras.config.set_dtype_policy("float32")
    before = budget(net)
    callback = DSR(30, period=5, initial_threshold=0.05)
    fit(net, callback)
    assert callback.state.weights_moved > 0
    assert budget(net) == before
    assert_obeys_masks(net)


def test_early_stopping_restores_masks_with_weights():
    net = model()
    before = budget(net)
    stop = keras.callbacks.EarlyStopping(
        "loss", mode="max", patience=2, restore_best_weights=True
    )
    fit(net, DSR(30, 5, initial_threshold=0.05), stop, epochs=6)
    assert stop.stopped_epoch > 0
    assert budget(net) == before
    assert_obeys_masks(net)


def test_loaded_model_trains_on(tmp_path):
    net = model()
    fit(net, DSR(30, 5, initial_threshold=0.05), epochs=1)
    net.save(tmp_path / "net.keras")
    loaded = keras.models.load_model(tmp_path / "net.keras")
    for each in (net, loaded):
        fit(each, DSR(30, 5, initial_threshold=0.05), epochs=1)
    assert weights_equal(net, loaded)


@pytest.mark.parametrize("epochs", [1, 2])
def test_non_finite_weight_is_found_after_reallocation_stopped(epochs):
    net = model()
    poison = Poison(net.get_layer("logits"), np.nan)
    with pytest.raises(FloatingPointError, match="step 20"):
        fit(net, poison, DSR(5, 5, stop_epoch=0), epochs=epochs)


def test_slots_of_other_variables_are_refused():
    net = model()
    fit(net)
    with pytest.raises(ValueError, match="built with the model's trainable"):
        find_slots(net.optimizer, net.trainable_variables[:2])


def test_slots_are_found_through_loss_scaling():
    net = model(
        keras.optimizers.LossScaleOptimizer(
            keras.optimizers.Adam(amsgrad=True, use_ema=True)
        )
    )
    fit(net, DSR(30, period=5, initial_threshold=0.05))
    slots = find_slots(net.optimizer, net.trainable_variables)
    for variable, own in zip(net.trainable_variables, slots, strict=True):
        assert len(own) == 4
        flat = variable.path.replace("/", "_")
        assert all(flat in slot.variable.path for slot in own)
    assert_obeys_masks(net)
