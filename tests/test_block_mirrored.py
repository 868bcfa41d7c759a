"""Stored blocks on several replicas."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import dsr_tf
from dsr_tf.callbacks import DSR
from dsr_tf.callbacks import SET
from dsr_tf.distribute import ReplicasDifferError
from dsr_tf.distribute.fingerprint import fingerprint
from dsr_tf.layers import BlockDense
from dsr_tf.layers import sparse_layers

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 8)).astype("float32")
Y = RNG.integers(0, 3, size=64)
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def adam():
    return keras.optimizers.Adam(0.01)


def adafactor():
    return keras.optimizers.Adafactor(0.01)


def scaled():
    return keras.optimizers.LossScaleOptimizer(adam())


def network(strategy, optimizer=adam):
    keras.utils.set_random_seed(2)
    with strategy.scope():
        net = keras.Sequential(
            [
                keras.Input((8,)),
                BlockDense(16, 0.5, (2, 2), seed=1, activation="relu"),
                BlockDense(3, 0.5, (2, 3), seed=2),
            ]
        )
        net.compile(optimizer(), LOSS)
    return net


def fit(net, *callbacks, epochs=1):
    net.fit(
        X, Y, batch_size=8, epochs=epochs, verbose=0, shuffle=False,
        callbacks=list(callbacks),
    )  # fmt: skip


def dsr():
    return DSR(3, 2, initial_threshold=0.2)


def counts(net):
    return [layer.num_active for layer in sparse_layers(net)]


def assert_replicas_are_equal(net):
    for variable in [*net.variables, *net.optimizer.variables]:
        first, second = (x.numpy() for x in variable.value.values)
        assert first.shape == second.shape and (first == second).all()


@pytest.mark.parametrize(
    "optimizer",
    [
        adam,
        pytest.param(adafactor, marks=pytest.mark.slow),
        pytest.param(scaled, marks=pytest.mark.slow),
    ],
)
def test_blocks_cross_layers_on_all_replicas(strategy, optimizer):
    net = network(strategy, optimizer)
    before = counts(net)
    # Traced first with slots of one length.
    fit(net)
    seen = set()
    noting = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.add(tuple(counts(net)))
    )
    fit(net, moves := dsr(), noting, epochs=2)
    assert len(seen) > 1
    assert sum(counts(net)) + moves.state.unspent == sum(before)
    assert_replicas_are_equal(net)
    fit(net, SET(0.3, 2))
    assert_replicas_are_equal(net)


def test_masks_change_between_steps(strategy):
    net = network(strategy)
    fit(net)
    layer = net.layers[0]
    layer.set_mask(np.ones((8, 16)))
    assert_replicas_are_equal(net)
    fit(net)
    assert_replicas_are_equal(net)
    assert layer.num_active == 128


@pytest.mark.slow
def test_what_is_saved_is_that_of_one_device(strategy, tmp_path):
    net = network(strategy)
    fit(net, dsr(), epochs=2)
    net.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert counts(loaded) == counts(net)
    y = net.predict(X, verbose=0)
    np.testing.assert_allclose(loaded.predict(X, verbose=0), y, atol=1e-6)
    fit(loaded, dsr())
    with strategy.scope():
        again = keras.models.load_model(tmp_path / "model.keras")
    fit(again, dsr())
    assert_replicas_are_equal(again)


@pytest.mark.slow
def test_checkpoints_bring_blocks_back_to_all_replicas(strategy, tmp_path):
    net = network(strategy)
    fit(net, dsr(), epochs=2)
    holder = tf.train.Checkpoint(model=net, optimizer=net.optimizer)
    path = holder.save(tmp_path / "c")
    variables = [*net.variables, *net.optimizer.variables]
    saved = [keras.ops.convert_to_numpy(v) for v in variables]
    fit(net, dsr(), epochs=2)
    holder.restore(path)
    for variable, value in zip(variables, saved, strict=True):
        assert (keras.ops.convert_to_numpy(variable) == value).all()
    assert_replicas_are_equal(net)
    fit(net, dsr())


@pytest.mark.slow
def test_models_are_converted_on_all_replicas(strategy):
    with strategy.scope():
        plain = keras.Sequential(
            [keras.Input((8,)), keras.layers.Dense(16), keras.layers.Dense(3)]
        )
        net = dsr_tf.sparsify(plain, 0.5, granularity=(2, 2), storage="blocks")
        net.compile("adam", LOSS)
    fit(net, dsr(), epochs=2)
    assert_replicas_are_equal(net)
    y = net.predict(X, verbose=0)
    dense = dsr_tf.densify(net)
    np.testing.assert_allclose(dense.predict(X, verbose=0), y, atol=1e-5)


@pytest.mark.parametrize("name", ["kernel_positions", "kernel_blocks"])
def test_a_replica_that_differs_stops_the_run(strategy, name):
    net = network(strategy)
    variable = getattr(net.layers[0], name)

    class Tamper(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 2:
                other = variable.value.values[1]
                value = other[::-1]
                if name == "kernel_positions":
                    # A step with them is to come, so that they must ascend.
                    free = set(range(32)) - set(other.numpy().tolist())
                    value = sorted([*other.numpy()[1:], min(free)])
                other.assign(value)

    with pytest.raises(ReplicasDifferError, match=name):
        fit(net, Tamper(), dsr())


def test_fingerprints_depend_on_every_number_and_on_their_count():
    run = tf.function(
        fingerprint, input_signature=[tf.TensorSpec([None], tf.int64)]
    )
    rows = [[1, 2, 3], [3, 2, 1], [1, 2], [1, 2, 3, 0], [1, 2, 4], [0], [0, 0]]
    found = {int(run(tf.constant(row, tf.int64))) for row in rows}
    assert len(found) == len(rows)
    blocks = tf.function(
        fingerprint, input_signature=[tf.TensorSpec([None, 2, 2])]
    )
    values = RNG.normal(size=(3, 2, 2)).astype("float32")
    assert int(blocks(values)) == int(blocks(values.copy()))
    assert int(blocks(values)) != int(blocks(values[::-1]))
    values[1, 0, 1] = np.nextafter(values[1, 0, 1], 9)
    assert int(blocks(values)) != int(blocks(-values))
