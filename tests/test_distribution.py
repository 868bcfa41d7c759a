import keras
import numpy as np
import pytest
import tensorflow as tf

from dsr_tf import methods
from dsr_tf.callbacks import DSR
from dsr_tf.distribute import share_batches
from dsr_tf.layers import SparseConv2D
from dsr_tf.layers import SparseDense
from dsr_tf.layers import sparse_layers
from dsr_tf.layers.slots import Slot
from dsr_tf.training.program import Program
from dsr_tf.training.state import Arrays


def replicas(variable):
    values = variable.value.values
    assert len(values) == 2
    return [v.numpy() for v in values]


@pytest.mark.slow
@pytest.mark.parametrize("regrow_stddev", [0, 0.1])
def test_replicas_stay_equal_within_the_budget(strategy, regrow_stddev):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = keras.Sequential(
            [
                keras.Input((6, 6, 1)),
                SparseConv2D(8, 3, 0.5),
                keras.layers.Flatten(),
                SparseDense(
                    20, 0.9, activation="relu", kernel_regularizer="l1"
                ),
                SparseDense(3, 0.3),
            ]
        )
        model.compile(
            keras.optimizers.Adam(0.01),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
    layers = sparse_layers(model)
    start = [replicas(layer.kernel_mask)[0] for layer in layers]
    budget = sum(layer.num_active for layer in layers)
    callback = DSR(
        40, period=4, initial_threshold=0.05, regrow_stddev=regrow_stddev
    )
    rng = np.random.default_rng(0)
    x = rng.normal(size=(160, 6, 6, 1))
    y = rng.integers(0, 3, 160)
    model.fit(x, y, batch_size=16, epochs=2, verbose=0, callbacks=[callback])

    assert callback.state.num_reallocations == 5
    assert callback.state.weights_moved > 0
    for variable in model.weights + model.optimizer.variables:
        if hasattr(variable.value, "values"):
            first, second = replicas(variable)
            assert (first == second).all()
    for layer, old in zip(layers, start, strict=True):
        kernel, _ = replicas(layer.kernel)
        mask, _ = replicas(layer.kernel_mask)
        assert not kernel[mask == 0].any()
        assert (mask != old).any()
    assert sum(layer.num_active for layer in layers) == budget


@pytest.mark.parametrize(
    "optimizer, arguments, message",
    [
        (keras.optimizers.SGD, {"steps_per_execution": 2}, "placeholder"),
        (
            lambda: keras.optimizers.SGD(gradient_accumulation_steps=2),
            {},
            "merge_call",
        ),
    ],
)
def test_what_keras_cannot_do_is_refused(
    strategy, optimizer, arguments, message
):
    with strategy.scope():
        model = keras.Sequential([keras.Input((4,)), SparseDense(3, 0.5)])
        model.compile(optimizer(), "mse", **arguments)
    x = np.zeros((8, 4))
    with pytest.raises(ValueError, match=message):
        model.fit(x, x[:, :3], verbose=0, callbacks=[DSR(2, period=2)])


@pytest.mark.parametrize("size", [6, None])
def test_batches_that_do_not_divide_are_refused(strategy, size):
    batches = tf.data.Dataset.range(64).batch(size or 8, size is not None)
    batches = batches.map(lambda x: x[:3] if size else x)
    with pytest.raises(ValueError, match="a multiple of its number of"):
        share_batches(strategy, lambda num_shards, index: batches)


def test_reallocation_of_replicas_is_that_of_one_device(strategy):
    def reallocated():
        layer = SparseDense(30, 0.5, seed=1)
        layer.build((None, 20))
        layer.kernel.assign(kernel * layer.kernel_mask.numpy())
        slot = keras.Variable(kernel, name="slot")
        program = Program(
            methods.dsr(20, 0.1, 1e-3, regrow_stddev=0.1),
            [layer],
            [[Slot(slot, 0.1)]],
            Arrays(),
            ["threshold"],
        )
        program({"threshold": 0.3}, None, tf.constant([0, 1]), 0)
        return [layer.kernel_mask, layer.kernel, slot]

    kernel = np.random.default_rng(0).normal(size=(20, 30)).astype("float32")
    alone = reallocated()
    with strategy.scope():
        mirrored = reallocated()
    for one, several in zip(alone, mirrored, strict=True):
        for replica in replicas(several):
            assert (replica == one.numpy()).all()


@pytest.mark.parametrize("names", ["kernel kernel_mask", "kernel_mask kernel"])
def test_checkpoints_bring_mirrored_kernels_whole(strategy, tmp_path, names):
    layers = []
    with strategy.scope():
        for seed in (1, 2):
            layers.append(SparseDense(6, 0.5, seed=seed))
            layers[-1].build((None, 8))
    old, new = (
        {f"{i}": getattr(layer, name) for i, name in enumerate(names.split())}
        for layer in layers
    )
    path = tf.train.Checkpoint(**old).save(tmp_path / "c")
    tf.train.Checkpoint(**new).restore(path)
    for name in names.split():
        expected = replicas(getattr(layers[0], name))[0]
        for found in replicas(getattr(layers[1], name)):
            np.testing.assert_array_equal(found, expected)
