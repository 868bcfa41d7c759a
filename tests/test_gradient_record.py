"""The gradients of all positions of kernels, as methods get them."""

import functools
import gc

import keras
import numpy as np
import pytest
import tensorflow as tf

import dsr_tf
from dsr_tf import methods
from dsr_tf.callbacks import SET
from dsr_tf.callbacks import Reallocate
from dsr_tf.layers import BlockDense
from dsr_tf.layers import SparseDense
from dsr_tf.layers import sparse_layers
from dsr_tf.layers.gradient_record import GradientRecord
from dsr_tf.methods.grow import ByScore
from dsr_tf.methods.prune import Prune
from dsr_tf.methods.prune import SmallestFraction
from dsr_tf.methods.scores import GRADIENT
from dsr_tf.methods.scores import MOMENTUM
from dsr_tf.methods.scores import Scores

RNG = np.random.default_rng(0)
X = RNG.normal(size=(96, 8)).astype("float32")
Y = RNG.integers(0, 3, size=96)
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
STORAGES = ("masks", "blocks")
BATCH = 8


class Watcher(Prune):
    """Prunes nothing, and keeps the growth scores that it sees."""

    def __init__(self, scores=GRADIENT):
        self.scores = scores
        self.seen = []

    def __call__(self, ctx):
        def note(*scores):
            self.seen.append([x.numpy() for x in scores])

        scores = [tensor.growth_scores for tensor in ctx.tensors]
        done = tf.py_function(note, scores, [])
        with tf.control_dependencies([done] if done is not None else []):
            return [tf.zeros([0], tf.int64)] * len(scores)


class Expected(keras.callbacks.Callback):
    """Keeps the gradients of the same network, dense, before each batch.

    Args:
        twin: A network that gets its weights, and is asked in its place.
    """

    def __init__(self, twin=None):
        super().__init__()
        self.twin, self.gradients = twin, []

    def on_train_batch_begin(self, batch, logs=None):
        model, rows = self.model, slice(batch * BATCH, (batch + 1) * BATCH)
        if self.twin:
            self.twin.set_weights(model.get_weights())
            model = self.twin
        self.gradients.append(dense_gradients(model, X[rows], Y[rows]))


def dense_gradients(model, x, y):
    """Returns the gradients of the kernels of a dense copy."""
    copy = dsr_tf.densify(model)
    with tf.GradientTape() as tape:
        loss = LOSS(y, copy(x, training=True))
    names = [layer.name for layer in sparse_layers(model)]
    kernels = [copy.get_layer(name).kernel for name in names]
    return [x.numpy() for x in tape.gradient(loss, kernels)]


def network(storage="masks", granularity=(2, 2), twice=False):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8,))
    hidden = keras.layers.Dense(8, activation="tanh", name="hidden")
    outputs = hidden(hidden(inputs) if twice else inputs)
    outputs = keras.layers.Dense(3, dtype="float32", name="logits")(outputs)
    return dsr_tf.sparsify(
        keras.Model(inputs, outputs),
        0.5,
        granularity=granularity,
        storage=storage,
        seed=0,
    )


def trained(model, callbacks, optimizer=None, **arguments):
    arguments = {"jit_compile": False, **arguments}
    model.compile(optimizer or keras.optimizers.Adam(0.01), LOSS, **arguments)
    model.fit(*(X, Y, BATCH), verbose=0, shuffle=False, callbacks=callbacks)
    return model


@functools.cache
def plain_gradients():
    """Returns the gradients of each step of a training of `network()`."""
    expected = Expected()
    trained(network(), [expected])
    return expected.gradients


def seen(model, scores=GRADIENT, period=4, **arguments):
    watcher = Watcher(scores)
    moves = Reallocate(methods.Method(watcher, None, ByScore(scores)), period)
    trained(model, [moves], **arguments)
    return watcher.seen


def in_units(model, gradients):
    """Returns the mean magnitudes over the units of each layer."""
    return [
        layer.kernel_units.magnitudes(gradient)
        for layer, gradient in zip(sparse_layers(model), gradients, strict=True)
    ]


def assert_close(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=1e-7)


FORMS = {
    "plain": {},
    "compiled": {"jit_compile": True},
    "executions of 2": {"steps_per_execution": 2},
    "executions of 3": {"steps_per_execution": 3},
    "compiled executions": {"jit_compile": True, "steps_per_execution": 4},
    "eager": {"run_eagerly": True},
}


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("form", FORMS)
def test_scores_are_the_gradient_of_the_step_before(storage, form):
    # An execution of 3 steps ends after 6 and 9 of 12 steps.
    steps = {"executions of 3": [5, 8, 11]}.get(form, [3, 7, 11])
    found = seen(network(storage), **FORMS[form])
    assert len(found) == 3
    for scores, step in zip(found, steps, strict=True):
        gradients = plain_gradients()[step]
        assert_close(scores, in_units(network(), gradients))


def test_scores_are_of_single_positions_before_the_mask():
    expected = Expected()
    model = network(granularity="weight")
    trained(model, [expected])
    found = seen(network(granularity="weight"), period=12)
    for layer, scores, gradient in zip(
        sparse_layers(model), found[0], expected.gradients[11], strict=True
    ):
        assert_close([scores], [np.abs(gradient).ravel()])
        outside = layer.kernel_mask.numpy().ravel() == 0
        assert np.count_nonzero(scores[outside]) > outside.sum() / 3


@pytest.mark.parametrize("storage", STORAGES)
def test_all_uses_of_a_kernel_count(storage):
    expected = Expected()
    trained(network(twice=True), [expected])
    found = seen(network(storage, twice=True), period=6)
    assert_close(found[0], in_units(network(), expected.gradients[5]))


@pytest.mark.parametrize("storage", STORAGES)
def test_all_batches_of_a_step_count(storage):
    def adam():
        return keras.optimizers.Adam(0.01, gradient_accumulation_steps=3)

    expected = Expected()
    trained(network(), [expected], adam())
    found = seen(network(storage), period=2, optimizer=adam())
    assert len(found) == 2
    for scores, last in zip(found, (5, 11), strict=True):
        batches = expected.gradients[last - 2 : last + 1]
        mean = [np.mean(x, axis=0) for x in zip(*batches, strict=True)]
        assert_close(scores, in_units(network(), mean))


@pytest.mark.parametrize("storage", STORAGES)
def test_what_a_loss_is_multiplied_by_does_not_count(storage):
    def scaled():
        inner = keras.optimizers.Adam(0.01)
        return keras.optimizers.LossScaleOptimizer(
            inner, initial_scale=2.0**10, dynamic_growth_steps=2
        )

    expected = Expected()
    trained(network(), [expected], scaled())
    found = seen(network(storage), optimizer=scaled())
    for scores, step in zip(found, (3, 7, 11), strict=True):
        assert_close(scores, in_units(network(), expected.gradients[step]))


def test_a_step_that_is_skipped_does_not_count():
    """The loss overflows at first: such steps are taken again."""

    def scaled():
        return keras.optimizers.LossScaleOptimizer(
            keras.optimizers.Adam(0.01), initial_scale=2.0**127
        )

    found = seen(network(), period=2, optimizer=scaled(), loss_weights=[100.0])
    assert 0 < len(found) < 6
    assert all(np.isfinite(x).all() for row in found for x in row)


def running_mean(gradients, decay):
    mean = [np.zeros_like(x) for x in gradients[0]]
    for row in gradients:
        mean = [
            decay * m + (1 - decay) * g for m, g in zip(mean, row, strict=True)
        ]
    return mean


@pytest.mark.parametrize("form", ["plain", "compiled", "executions of 2"])
@pytest.mark.parametrize("storage", STORAGES)
def test_momentum_is_the_running_mean_of_gradients(storage, form):
    found = seen(network(storage), MOMENTUM, period=6, **FORMS[form])
    for scores, step in zip(found, (6, 12), strict=True):
        mean = running_mean(plain_gradients()[:step], 0.9)
        assert_close(scores, in_units(network(), mean))


def test_a_mean_that_was_restored_is_not_lost_where_xla_compiles():
    optimizer = keras.optimizers.SGD()
    record = GradientRecord((3,), tf.distribute.get_strategy())
    record.serve(optimizer)
    record.keep_from(0, decay=0.5)
    # As a checkpoint restores them, before the step is traced.
    step, _, kept = record.variables
    step.assign(0)
    kept.assign([4.0, 8.0, 0.0])
    keep = tf.function(
        lambda: record.keep(lambda: tf.constant([2.0, 2.0, 2.0])),
        jit_compile=True,
    )
    optimizer.iterations.assign(1)
    keep()
    assert record.read().numpy().tolist() == [3.0, 5.0, 1.0]


def test_momentum_begins_where_earlier_gradients_do_not_matter():
    scores = Scores(0.2)
    assert scores.num_steps == 5
    found = seen(network(), scores, period=6)
    for values, step in zip(found, (6, 12), strict=True):
        mean = running_mean(plain_gradients()[step - 5 : step], 0.2)
        assert_close(values, in_units(network(), mean))


def test_a_second_fit_keeps_gradients_too():
    """Its training function was traced without, for another method."""
    model = network()
    trained(model, [SET(0.3, 4)])
    watcher = Watcher()
    moves = Reallocate(methods.Method(watcher, None, ByScore()), 4)
    for _ in range(2):
        model.fit(X, Y, BATCH, verbose=0, shuffle=False, callbacks=[moves])
    model.fit(X, Y, BATCH, verbose=0, shuffle=False, callbacks=[SET(0.3, 4)])
    assert len(watcher.seen) == 6


def test_memory_is_given_back_between_reallocations():
    model = network()
    moves = Reallocate(
        methods.Method(SmallestFraction(0.3), None, ByScore()), period=5
    )
    trained(model, [moves])
    gc.collect()
    for layer in sparse_layers(model):
        kept = layer.trained_kernel.record.variables
        assert max(x.read_value().shape.num_elements() for x in kept) == 1


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("storage", STORAGES)
def test_own_loops_keep_gradients_too(storage, compiled):
    model = network(storage)
    optimizer = keras.optimizers.Adam(0.01)
    watcher = Watcher()
    moves = dsr_tf.Reallocator(
        model, optimizer, methods.Method(watcher, None, ByScore()), period=4
    )
    expected = Expected()
    expected.set_model(model)
    step = step_of(model, optimizer, compiled)
    for batch in range(12):
        expected.on_train_batch_begin(batch)
        rows = slice(batch * BATCH, (batch + 1) * BATCH)
        step(X[rows], Y[rows])
        moves.step()
    for scores, number in zip(watcher.seen, (3, 7, 11), strict=True):
        gradients = expected.gradients[number]
        assert_close(scores, in_units(network(), gradients))


def step_of(model, optimizer, compiled=False):
    @tf.function(jit_compile=compiled)
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = LOSS(y, model(x, training=True))
        weights = model.trainable_weights
        optimizer.apply(tape.gradient(loss, weights), weights)

    return step


def test_a_step_that_was_traced_before_is_refused():
    model, optimizer = network(), keras.optimizers.Adam(0.01)
    step = step_of(model, optimizer)
    step(X[:8], Y[:8])
    method = methods.Method(SmallestFraction(0.3), None, ByScore())
    moves = dsr_tf.Reallocator(model, optimizer, method, period=2)
    step(X[:8], Y[:8])
    with pytest.raises(ValueError, match="must have been traced after"):
        moves.step()


def test_one_reallocator_at_a_time_reads_gradients():
    model, optimizer = network(), keras.optimizers.Adam(0.01)
    method = methods.Method(SmallestFraction(0.3), None, ByScore())
    first = dsr_tf.Reallocator(model, optimizer, method, period=2)
    second = dsr_tf.Reallocator(model, optimizer, method, period=2)
    step = step_of(model, optimizer)
    for _ in range(2):
        step(X[:BATCH], Y[:BATCH])
    with pytest.raises(ValueError, match="one `Reallocator` at a time"):
        first.step()
    assert second.step()
    # In turn, they take over from each other.
    first.begin()
    for _ in range(2):
        step(X[:BATCH], Y[:BATCH])
    assert first.step() and first.counters.num_reallocations == 1
    with pytest.raises(ValueError, match="2 of 2 layers"):
        second.step()


def test_parts_that_read_different_scores_are_refused():
    with pytest.raises(ValueError, match="the same growth scores"):
        methods.Method(Watcher(MOMENTUM), None, ByScore(GRADIENT))


@pytest.mark.slow
def test_gradients_of_all_replicas_are_added_up(strategy):
    with strategy.scope():
        found = seen(network())
    for scores, step in zip(found, (3, 7, 11), strict=True):
        assert_close(scores, in_units(network(), plain_gradients()[step]))


class Around(keras.layers.Layer):
    """Holds a layer that it uses."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def build(self, shape):
        if not self.inner.built:
            self.inner.build(shape)


class Steps(Around):
    """Uses a layer in each turn of a loop."""

    def call(self, inputs):
        def step(x):
            return tf.tanh(self.inner(x))

        _, outputs = tf.while_loop(
            lambda i, x: i < 3,
            lambda i, x: (i + 1, step(x)),
            (0, inputs),
            maximum_iterations=3,
        )
        return outputs


class Branch(Around):
    """Uses a layer in a branch, for the first batch."""

    def call(self, inputs):
        taken = tf.equal(inputs[0, 0], X[0, 0])
        return tf.cond(taken, lambda: self.inner(inputs), lambda: inputs)


def with_inner(layer, storage):
    """Returns a model of a layer around another, and the inner one."""
    keras.utils.set_random_seed(0)
    kind = BlockDense if storage == "blocks" else SparseDense
    inner = kind(8, sparsity=0.5, granularity=(2, 2), seed=0)
    logits = keras.layers.Dense(3)
    outer = layer(inner)
    return keras.Sequential([keras.Input((8,)), outer, logits]), inner


def inner_gradient(model, inner, x, y):
    """Returns the gradient of a dense kernel of the same weights."""
    outer, logits = model.layers
    plain = keras.layers.Dense(8)
    plain.build((None, 8))
    plain.set_weights([inner.kernel, inner.bias])
    other = type(outer)(plain)
    with tf.GradientTape() as tape:
        loss = LOSS(y, logits(other(tf.constant(x))))
    found = tape.gradient(loss, plain.kernel.value)
    return np.zeros((8, 8), "float32") if found is None else found.numpy()


class Inner(keras.callbacks.Callback):
    """Keeps the gradients of an inner layer, dense, before each batch."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner
        self.gradients = []

    def on_train_batch_begin(self, batch, logs=None):
        rows = slice(batch * BATCH, (batch + 1) * BATCH)
        found = inner_gradient(self.model, self.inner, X[rows], Y[rows])
        self.gradients.append(self.inner.kernel_units.magnitudes(found))


# TensorFlow differentiates no branch that reads a variable of a changing
# length, as stored blocks are.
@pytest.mark.parametrize(
    "storage, layer",
    [("masks", Steps), ("blocks", Steps), ("masks", Branch)],
)
@pytest.mark.parametrize("form", ["plain", "compiled"])
def test_gradients_within_loops_and_branches_are_kept(storage, layer, form):
    model, inner = with_inner(layer, storage)
    expected, watcher = Inner(inner), Watcher()
    moves = Reallocate(methods.Method(watcher, None, ByScore()), 1)
    trained(model, [expected, moves], **FORMS[form])
    for found, gradient in zip(watcher.seen, expected.gradients, strict=True):
        np.testing.assert_allclose(found[0], gradient, rtol=1e-3, atol=1e-7)
    # Only the first batch takes the branch.
    taken = [bool(gradient.any()) for gradient in expected.gradients]
    assert taken == [layer is Steps or batch == 0 for batch in range(12)]


def recurrent(unroll, kind=keras.layers.LSTM):
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Reshape((8, 1)), kind(6, unroll=unroll)]
    model = keras.Sequential([keras.Input((8,)), *layers])
    model.add(keras.layers.Dense(3))
    return dsr_tf.sparsify(model, 0.5, seed=0)


@pytest.mark.parametrize("scores", [GRADIENT, MOMENTUM])
@pytest.mark.parametrize("kind", [keras.layers.LSTM, keras.layers.GRU])
def test_recurrent_layers_have_the_scores_of_unrolled_ones(scores, kind):
    loop, unrolled = (
        seen(recurrent(unroll, kind), scores) for unroll in (False, True)
    )
    for found, expected in zip(loop, unrolled, strict=True):
        assert_close(found, expected)
        assert all((x > 0).any() for x in expected)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_recurrent_layers_have_scores_in_mixed_precision(policy):
    keras.config.set_dtype_policy(policy)
    try:
        loop, unrolled = (seen(recurrent(unroll)) for unroll in (False, True))
    finally:
        keras.config.set_dtype_policy("float32")
    for found, expected in zip(loop, unrolled, strict=True):
        for one, other in zip(found, expected, strict=True):
            # The unrolled sum is of halves; that of the loop is of float32.
            np.testing.assert_allclose(
                one, other, rtol=0.1, atol=0.02 * other.max()
            )


def wide(storage, policy):
    """Returns a network of many positions, which computes by a policy."""
    keras.utils.set_random_seed(0)
    layers = [
        keras.layers.Dense(64, activation="tanh", dtype=policy)
        for _ in range(2)
    ]
    logits = keras.layers.Dense(3, name="logits")
    return dsr_tf.sparsify(
        keras.Sequential([keras.Input((8,)), *layers, logits]),
        0.5,
        exclude=["logits"],
        granularity=(2, 2) if storage == "blocks" else "weight",
        storage=storage,
        seed=0,
    )


def would_grow(layer, scores):
    """Returns which units RigL grows where it replaces three tenths."""
    active = layer.kernel_units.of_mask(layer.kernel_mask.numpy()).astype(bool)
    order = np.argsort(np.where(active, np.inf, -scores), kind="stable")
    return set(order[: int(0.3 * active.sum())])


@pytest.mark.parametrize(
    "storage, scores",
    [("masks", GRADIENT), ("masks", MOMENTUM), ("blocks", GRADIENT)],
)
def test_scores_in_mixed_precision_are_near_those_of_float32(storage, scores):
    model = wide(storage, "mixed_bfloat16")
    expected = Expected(wide(storage, "float32"))
    watcher = Watcher(scores)
    method = methods.Method(watcher, None, ByScore(scores))
    trained(model, [expected, Reallocate(method, 12)])
    mean = running_mean(expected.gradients, scores.decay)
    (found,) = watcher.seen
    for layer, one, other in zip(
        sparse_layers(model), found, in_units(model, mean), strict=True
    ):
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, other, 0, atol=other.max() / 2**6)
        assert (one != other).any()
        both = [would_grow(layer, x) for x in (one, np.asarray(other))]
        assert len(both[0] & both[1]) >= 0.95 * len(both[0]) > 0


def test_small_gradients_of_half_precision_are_not_lost_in_sums():
    optimizer = keras.optimizers.SGD(gradient_accumulation_steps=4)
    record = GradientRecord((1,), tf.distribute.get_strategy())
    record.serve(optimizer)
    record.keep_from(0)
    # A bfloat16 holds 256 and 258, and no number between them.
    for value in (256.0, 1.0, 1.0, 1.0):
        record.keep(lambda x=value: tf.constant([x], tf.bfloat16))
    assert record.read().numpy() == 259 / 4


def test_small_gradients_of_half_precision_are_not_lost_in_means():
    optimizer = keras.optimizers.SGD()
    record = GradientRecord((1,), tf.distribute.get_strategy())
    record.serve(optimizer)
    record.keep_from(0, MOMENTUM.decay)
    for step in range(MOMENTUM.num_steps):
        optimizer.iterations.assign(step)
        record.keep(lambda: tf.constant([1.0], tf.bfloat16))
    assert record.read().numpy() == pytest.approx(1 - 0.9**66, abs=1e-6)


@pytest.mark.slow
def test_recurrent_layers_have_the_scores_of_all_replicas(strategy):
    with strategy.scope():
        found = seen(recurrent(unroll=False))
    expected = seen(recurrent(unroll=True))
    for one, other in zip(found, expected, strict=True):
        assert_close(one, other)
