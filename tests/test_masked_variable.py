"""Kernels and slots are clean, by whatever route a value comes."""

import gc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

import dsr_tf
from dsr_tf.callbacks import DSR
from dsr_tf.callbacks import SET
from dsr_tf.layers import SparseDense
from dsr_tf.layers import SparseEinsumDense
from dsr_tf.layers import masked_variable
from dsr_tf.layers import sparse_layers
from dsr_tf.layers.appliers import applying_optimizer
from dsr_tf.layers.masked_reading import masked_kernel
from dsr_tf.layers.slots import slots_of

RNG = np.random.default_rng(0)
X = RNG.normal(size=(96, 256)).astype("float32")
Y = RNG.integers(0, 3, size=96)
LARGE = (256, 256)


def network(optimizer, dtype="float32", regularizer=None, **arguments):
    keras.utils.set_random_seed(0)
    net = keras.Sequential(
        [
            keras.Input((256,)),
            SparseDense(
                256,
                0.9,
                seed=1,
                kernel_regularizer=regularizer,
                activation="relu",
                dtype=dtype,
            ),
            SparseDense(3, 0.5, seed=2),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    net.compile(optimizer, loss, **({"jit_compile": False} | arguments))
    return net


def fit(net, epochs=2):
    moves = DSR(300, period=3, initial_threshold=0.02, regrow_stddev=0.01)
    net.fit(
        X, Y, batch_size=16, epochs=epochs, shuffle=False, verbose=0,
        callbacks=[moves],
    )  # fmt: skip
    assert moves.state.weights_moved > 0
    return net.get_weights() + [v.numpy() for v in net.optimizer.variables]


SETTINGS = {
    "sgd": lambda: keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "adam": lambda: keras.optimizers.Adam(1e-3),
    "muon": lambda: keras.optimizers.Muon(1e-3),
    "averages": lambda: keras.optimizers.SGD(
        0.1, use_ema=True, ema_overwrite_frequency=2
    ),
    "accumulation": lambda: keras.optimizers.SGD(
        0.1, momentum=0.9, gradient_accumulation_steps=2
    ),
}


class Watch(keras.callbacks.Callback):
    """Checks after every step that the large kernel obeys its mask."""

    def on_train_batch_end(self, batch, logs=None):
        layer = self.model.layers[0]
        off = ~layer.kernel_mask.numpy()
        assert not layer.kernel.numpy()[off].any()


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"steps_per_execution": 3},
        {"run_eagerly": True},
        {"jit_compile": True},
    ],
)
@pytest.mark.parametrize("optimizer", ["sgd", "muon", "averages"])
def test_slots_of_an_older_mask_bring_no_weight_back(optimizer, arguments):
    net = network(SETTINGS[optimizer](), **arguments)
    fit(net, epochs=1)
    layer = net.layers[0]
    layer.set_mask(~layer.kernel_mask.numpy())
    net.fit(X, Y, batch_size=16, verbose=0, callbacks=[Watch()])


def test_restored_weights_bring_none_back():
    net = network(SETTINGS["sgd"]())
    older = net.get_weights()
    fit(net)
    net.set_weights(older)
    net.fit(X, Y, batch_size=16, verbose=0, callbacks=[Watch()])


def test_slots_stay_as_new_where_no_weight_was():
    net = network(SETTINGS["adam"](), regularizer="l1")
    net.fit(X, Y, batch_size=16, epochs=2, verbose=0)
    mask = net.layers[0].kernel_mask.numpy()
    slots = [v.numpy() for v in net.optimizer.variables if v.shape == LARGE]
    assert len(slots) == 2
    for slot in slots:
        assert slot[mask].any()
        assert not slot[~mask].any()


@pytest.mark.parametrize("size", [4, 256])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_masked_gradients_are_0_whatever_comes(size, dtype):
    upstream = np.ones((size, size))
    upstream[0, :4] = [np.inf, -np.inf, np.nan, -1]
    mask = np.ones((size, size), bool)
    mask[0] = False
    kernel = tf.zeros((size, size), dtype)
    with tf.GradientTape() as tape:
        tape.watch(kernel)
        masked = masked_kernel(kernel, tf.constant(mask))
    gradient = tape.gradient(masked, kernel, tf.constant(upstream, dtype))
    assert (np.asarray(gradient, "float64") == mask).all()


def dense(seed=1, **arguments):
    """Returns a small layer, and where it has no weights."""
    layer = SparseDense(6, 0.75, seed=seed, **arguments)
    layer.build((None, 8))
    return layer, ~layer.kernel_mask.numpy()


def holds(layer):
    """Whether a layer is 0 wherever its mask is."""
    return not layer.kernel.numpy()[~layer.kernel_mask.numpy()].any()


def test_keras_tells_which_optimizer_changes_a_variable():
    seen = []

    class Asking(keras.constraints.Constraint):
        def __call__(self, w):
            seen.append(applying_optimizer())
            return w

    weight = keras.Variable(np.ones(3))
    weight.constraint = Asking()
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.apply([tf.ones(3)], [weight])
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1))
    scaled.apply([tf.ones(3)], [weight])
    assert seen == [optimizer, scaled.inner_optimizer]
    assert applying_optimizer() is None


ROUTES = {
    "assign": lambda layer, v: layer.kernel.assign(v),
    "assign_add": lambda layer, v: layer.kernel.assign_add(v),
    "assign_sub": lambda layer, v: layer.kernel.assign_sub(v),
    "set_weights": lambda layer, v: layer.set_weights(
        [v, *layer.get_weights()[1:]]
    ),
    "sgd": lambda layer, v: keras.optimizers.SGD(0.1).apply(
        [v], [layer.kernel]
    ),
    "muon": lambda layer, v: keras.optimizers.Muon(0.1).apply(
        [v], [layer.kernel]
    ),
    "traced": lambda layer, v: tf.function(layer.kernel.assign)(v),
}


@pytest.mark.parametrize("route", sorted(ROUTES))
def test_no_route_leads_outside_the_mask(route):
    layer, off = dense()
    for _ in range(2):
        ROUTES[route](layer, tf.ones((8, 6)))
        assert holds(layer)
        assert layer.kernel.numpy()[~off].all()


def test_checkpoints_of_dense_kernels_are_masked(tmp_path):
    layer, off = dense()
    plain = keras.layers.Dense(6)
    plain.build((None, 8))
    path = tf.train.Checkpoint(kernel=plain.kernel).save(tmp_path / "c")
    tf.train.Checkpoint(kernel=layer.kernel).restore(path)
    expected = np.where(off, 0, plain.kernel.numpy())
    np.testing.assert_array_equal(layer.kernel, expected)


@pytest.mark.parametrize("mask_first", [True, False])
def test_checkpoints_bring_kernel_and_mask_in_any_order(tmp_path, mask_first):
    (old, _), (layer, _) = dense(seed=1), dense(seed=2)
    order = {"a": "kernel_mask", "b": "kernel"}
    if not mask_first:
        order = {"a": "kernel", "b": "kernel_mask"}
    saved = {key: getattr(old, name) for key, name in order.items()}
    path = tf.train.Checkpoint(**saved).save(tmp_path / "c")
    own = {key: getattr(layer, name) for key, name in order.items()}
    tf.train.Checkpoint(**own).restore(path)
    np.testing.assert_array_equal(layer.kernel, old.kernel)
    np.testing.assert_array_equal(layer.kernel_mask, old.kernel_mask)


def test_weights_under_another_mask_come_back_whole():
    (old, _), (layer, _) = dense(seed=1), dense(seed=2)
    layer.set_weights(old.get_weights())
    for mine, other in zip(layer.weights, old.weights, strict=True):
        np.testing.assert_array_equal(mine, other)


def test_what_was_trained_since_is_not_overwritten():
    layer, off = dense()
    layer.kernel.assign(np.ones((8, 6)))
    keras.optimizers.SGD(1.0).apply([tf.ones((8, 6))], [layer.kernel])
    layer.set_mask(np.ones((8, 6)))
    assert not layer.kernel.numpy().any()


def test_a_dense_kernel_does_not_outlive_its_use():
    net = keras.Sequential([keras.Input((40,)), keras.layers.Dense(30)])
    sparse = dsr_tf.sparsify(net, 0.9)
    (layer,) = sparse_layers(sparse)
    assert holds(layer)
    before = layer.kernel.numpy()
    layer.set_mask(np.ones((40, 30)))
    np.testing.assert_array_equal(layer.kernel, before)
    # What was assigned before a step is not held for ever.
    layer.set_mask(before != 0)
    given = tf.constant(RNG.normal(size=(40, 30)).astype("float32"))
    alive = weakref.ref(given)
    layer.kernel.assign(given)
    del given
    assert alive() is not None
    sparse.compile("sgd", "mse", jit_compile=False)
    sparse.fit(X[:, :40], X[:, :30], verbose=0)
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize("name, passes", [("SGD", 0), ("Muon", 1)])
def test_the_second_pass_is_left_out_where_nothing_needs_it(
    name, passes, monkeypatch
):
    made = []
    kind = masked_variable.MaskConstraint

    def counted(*arguments):
        made.append(arguments)
        return kind(*arguments)

    monkeypatch.setattr(masked_variable, "MaskConstraint", counted)
    net = network(getattr(keras.optimizers, name)(1e-3))
    net.fit(
        X, Y, batch_size=16, verbose=0, callbacks=[SET(0.1, period=5), Watch()]
    )
    assert bool(made) == bool(passes)
    # Without a callback nobody has looked at slots.
    net = network(getattr(keras.optimizers, name)(1e-3))
    made.clear()
    net.fit(X, Y, batch_size=16, verbose=0, callbacks=[Watch()])
    assert made


def test_averages_of_masks_are_refused():
    (one, _), (other, _) = dense(seed=1), dense(seed=2)
    mean = [
        (np.asarray(a, float) + np.asarray(b, float)) / 2
        for a, b in zip(one.get_weights(), other.get_weights(), strict=True)
    ]
    with pytest.raises(ValueError, match="only zeros and ones"):
        one.set_weights(mean)
    assert one.num_active == other.num_active


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["kernel", "mask", "step"]), st.integers(0, 9)
        ),
        max_size=8,
    )
)
@settings(max_examples=40, deadline=None)
def test_any_sequence_leaves_kernel_and_slots_clean(changes):
    layer, _ = dense()
    optimizer = keras.optimizers.Adam(0.1)
    optimizer.build([layer.kernel])
    for what, seed in changes:
        rng = np.random.default_rng(seed)
        if what == "kernel":
            layer.kernel.assign(rng.normal(size=(8, 6)))
        elif what == "mask":
            layer.set_mask(rng.random((8, 6)) < 0.5)
        else:
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(
                    layer(tf.constant(rng.normal(size=(4, 8))))
                )
            own = [layer.kernel]
            optimizer.apply(tape.gradient(loss, own), own)
        off = ~layer.kernel_mask.numpy()
        assert holds(layer)
        for slot in slots_of(optimizer)[id(layer.kernel)]:
            assert not slot.variable.numpy()[off].any()


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "muon", "averages"])
def test_a_mask_and_back_leaves_no_momentum(optimizer):
    net = network(SETTINGS[optimizer]())
    net.fit(X, Y, batch_size=16, verbose=0)
    layer = net.layers[0]
    first = layer.kernel_mask.numpy()
    second = np.roll(first, 1, axis=0)
    layer.set_mask(second)
    layer.set_mask(first)
    was_off = first & ~second
    assert not layer.kernel.numpy()[was_off].any()
    found = slots_of(net.optimizer)[id(layer.kernel)]
    assert found
    for slot in found:
        start = slot.initial_value or 0.0
        assert (slot.variable.numpy()[was_off | ~first] == start).all()


def test_both_models_of_a_layer_have_clean_slots():
    shared = SparseDense(256, 0.9, seed=1)
    nets = []
    for optimizer in (
        keras.optimizers.Adam(1e-3),
        keras.optimizers.SGD(0.1, 0.9),
    ):
        net = keras.Sequential([keras.Input((256,)), shared])
        net.compile(optimizer, "mse", jit_compile=False)
        net.fit(X, X, batch_size=16, verbose=0)
        nets.append(net)
    before = shared.kernel_mask.numpy()
    moves = SET(0.3, period=2)
    nets[0].fit(X, X, batch_size=16, verbose=0, callbacks=[moves])
    moved = before != shared.kernel_mask.numpy()
    assert moved.any()
    other = slots_of(nets[1].optimizer)[id(shared.kernel)]
    assert other
    for slot in other:
        assert not slot.variable.numpy()[moved].any()
    assert holds(shared)


def test_averages_and_restored_weights_do_not_break_the_budget():
    net = network(keras.optimizers.SGD(0.1, use_ema=True))
    budget = [layer.num_active for layer in sparse_layers(net)]
    stop = keras.callbacks.EarlyStopping(
        "loss", patience=0, mode="max", restore_best_weights=True
    )
    for _ in range(2):
        net.fit(
            X, Y, batch_size=16, epochs=4, verbose=0,
            callbacks=[SET(0.3, period=2), stop],
        )  # fmt: skip
        layers = sparse_layers(net)
        assert all(map(holds, layers))
        assert [layer.num_active for layer in layers] == budget


def test_swapped_averages_obey_the_mask():
    net = network(keras.optimizers.SGD(0.1, use_ema=True))
    seen = []

    class See(keras.callbacks.Callback):
        def on_test_begin(self, logs=None):
            seen.append(all(map(holds, sparse_layers(self.model))))

    net.fit(
        X, Y, batch_size=16, epochs=3, verbose=0, validation_data=(X, Y),
        callbacks=[
            SET(0.3, period=2),
            keras.callbacks.SwapEMAWeights(swap_on_epoch=False),
            See(),
        ],
    )  # fmt: skip
    assert seen == [True] * 3
    assert all(map(holds, sparse_layers(net)))


def test_what_grows_obeys_the_constraint_of_the_user():
    layer = SparseDense(256, 0.9, kernel_constraint="non_neg", seed=1)
    net = keras.Sequential([keras.Input((256,)), layer])
    net.compile("sgd", "mse", jit_compile=False)
    moves = DSR(300, period=1, initial_threshold=0.02, regrow_stddev=0.5)

    class See(Watch):
        def on_train_batch_end(self, batch, logs=None):
            super().on_train_batch_end(batch)
            assert layer.kernel.numpy().min() == 0

    net.fit(X, X, batch_size=16, verbose=0, callbacks=[moves, See()])
    assert moves.state.weights_moved > 0
    assert layer.kernel.numpy().max() > 0


@pytest.mark.parametrize(
    "constraint", [keras.constraints.MaxNorm(0.5), keras.constraints.UnitNorm()]
)
def test_assigned_kernels_obey_the_constraint_of_the_user(constraint):
    layer, off = dense(kernel_constraint=constraint)
    layer.kernel.assign(np.ones((8, 6)))
    expected = constraint(tf.constant(np.where(off, 0, 1), tf.float32))
    np.testing.assert_allclose(layer.kernel, expected, rtol=1e-6)
    assert holds(layer)


def test_what_obeys_a_constraint_is_loaded_to_the_bit():
    constraint = keras.constraints.MaxNorm(0.3)
    (old, _), (new, _) = (
        dense(seed=seed, kernel_constraint=constraint) for seed in (1, 2)
    )
    for _ in range(3):
        old.kernel.assign(RNG.normal(size=(8, 6)))
        new.set_weights(old.get_weights())
        np.testing.assert_array_equal(new.kernel, old.kernel)


def test_slots_of_kernels_of_rank_1_are_found():
    net = keras.Sequential(
        [keras.Input((40,)), SparseEinsumDense("ab,b->ab", (40,), 0.5, seed=1)]
    )
    net.compile(keras.optimizers.Adam(0.05), "mse", jit_compile=False)
    x = RNG.normal(size=(64, 40)).astype("float32")
    net.fit(
        x, 2 * x, batch_size=8, epochs=3, verbose=0,
        callbacks=[SET(0.4, period=2)],
    )  # fmt: skip
    layer = net.layers[0]
    found = slots_of(net.optimizer)[id(layer.kernel)]
    assert len(found) == 2
    for slot in found:
        assert slot.variable.numpy().any()
        assert not slot.variable.numpy()[~layer.kernel_mask.numpy()].any()


class Tied(keras.layers.Layer):
    """Uses the kernel of a sparse layer, past that layer."""

    def __init__(self, layer, raw):
        super().__init__()
        self.layer, self.raw = layer, raw

    def call(self, inputs):
        kernel = self.layer.kernel
        values = kernel.value if self.raw else kernel
        return keras.ops.matmul(inputs, keras.ops.transpose(values))


@pytest.mark.parametrize("name", ["Muon", "Adam"])
def test_averages_that_end_a_fit_obey_the_mask(name):
    optimizer = getattr(keras.optimizers, name)(1e-2, use_ema=True)
    net = network(optimizer)
    for moves in ([], [DSR(300, period=5)]):
        net.fit(X, Y, batch_size=16, verbose=0, callbacks=moves)
        assert all(map(holds, sparse_layers(net)))
        optimizer.finalize_variable_values(net.trainable_variables)
        assert all(map(holds, sparse_layers(net)))


@pytest.mark.parametrize("first", ["a_optimizer", "z_optimizer"])
def test_a_checkpoint_brings_slots_whatever_comes_first(tmp_path, first):
    def trained(seed):
        keras.utils.set_random_seed(seed)
        layer = SparseDense(256, 0.9, seed=seed)
        net = keras.Sequential([keras.Input((256,)), layer])
        net.compile(keras.optimizers.Adam(use_ema=True), "mse")
        net.fit(X, X, batch_size=16, verbose=0)
        return net

    one, other = trained(1), trained(2)
    path = tf.train.Checkpoint(model=one, **{first: one.optimizer}).save(
        tmp_path / "c"
    )
    tf.train.Checkpoint(model=other, **{first: other.optimizer}).restore(path)
    for mine, its in zip(
        [*one.variables, *one.optimizer.variables],
        [*other.variables, *other.optimizer.variables],
        strict=True,
    ):
        np.testing.assert_array_equal(mine, its)


def test_a_fit_without_a_callback_masks_what_another_one_left(tmp_path):
    layer = SparseDense(256, 0.9, seed=1)
    net = keras.Sequential([keras.Input((256,)), layer])
    net.compile(keras.optimizers.Adam(0.05), "mse", jit_compile=False)
    moves = SET(0.3, period=1)
    net.fit(X, X, batch_size=16, verbose=0, callbacks=[moves])
    older = [v.numpy() for v in net.optimizer.variables]
    masking = net.train_function
    net.fit(X, X, batch_size=16, epochs=3, verbose=0, callbacks=[moves])
    for variable, value in zip(net.optimizer.variables, older, strict=True):
        variable.assign(value)
    net.fit(X, X, batch_size=16, verbose=0, callbacks=[Watch()])
    assert masking is net.train_function


def test_arithmetic_on_a_kernel_has_masked_gradients():
    layer, off = dense()
    kernel = layer.kernel
    for function in (
        lambda: kernel * 2.0 + 1.0,
        lambda: 3.0 - kernel,
        lambda: kernel[:, :],
        lambda: -kernel / 2.0,
        lambda: tf.ones((2, 8)) @ kernel,
        lambda: 2.0**kernel,
        lambda: kernel % 3.0,
        lambda: kernel @ tf.ones((6, 2)),
    ):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(function())
        gradient = tape.gradient(total, kernel.value).numpy()
        assert not gradient[off].any()
        assert gradient[~off].all()


@pytest.mark.parametrize("raw", [True, False])
def test_a_kernel_used_past_its_layer_is_masked(raw):
    inputs = keras.Input((256,))
    layer = SparseDense(64, 0.9, seed=1)
    net = keras.Model(inputs, Tied(layer, raw)(layer(inputs)))
    net.compile(keras.optimizers.SGD(0.1, 0.9), "mse", jit_compile=False)

    class See(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            assert holds(layer)

    net.fit(
        X, X, batch_size=16, epochs=2, verbose=0,
        callbacks=[SET(0.3, period=4), See()],
    )  # fmt: skip
    slots = slots_of(net.optimizer)[id(layer.kernel)]
    off = ~layer.kernel_mask.numpy()
    assert raw or not slots[0].variable.numpy()[off].any()


def test_own_training_steps_are_masked():
    class Noisy(keras.Sequential):
        def train_step(self, data):
            weights = self.trainable_weights
            self.optimizer.apply([tf.ones(w.shape) for w in weights], weights)
            return {"loss": tf.constant(0.0)}

    net = Noisy([keras.Input((256,)), SparseDense(64, 0.9, seed=1)])
    net.compile("sgd", "mse", jit_compile=False)
    moves = SET(0.3, period=4)
    net.fit(X, X, batch_size=16, verbose=0, callbacks=[moves, Watch()])
