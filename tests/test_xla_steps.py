"""Training steps that XLA compiles as a whole: of layers, and of methods."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import dsr_tf
from dsr_tf.callbacks import RigL
from dsr_tf.graph.kinds import possible_kernels
from dsr_tf.layers import sparse_layers
from dsr_tf.layers.tree import all_layers
from tests.distributed.determinism import METHODS
from tests.layer_table import LAYERS
from tests.layer_table import built


def name(case):
    make, shape = case
    return type(built(make, shape)).__name__


def inputs(layer, shape):
    """Returns six examples, and how the layer is called."""
    rng = np.random.default_rng(0)
    if isinstance(layer, keras.layers.Embedding):
        return rng.integers(0, 9, (6, *shape[1:])), layer
    x = rng.normal(size=(6, *shape[1:])).astype("float32")
    several = "Attention" in type(layer).__name__ or "Query" in repr(layer)
    return x, (lambda y: layer(y, y)) if several else layer


class Traced(keras.layers.Layer):
    """Returns its inputs, and counts how often it is traced."""

    times = 0

    def call(self, inputs):
        type(self).times += 1
        return inputs


@pytest.mark.slow
@pytest.mark.parametrize("case", LAYERS, ids=name)
def test_xla_compiles_the_steps_of_every_layer(case):
    make, shape = case
    shape = (None, *(3 if size is None else size for size in shape[1:]))
    layer = make()
    x, call = inputs(layer, shape)
    given = keras.Input(shape[1:], dtype=x.dtype)
    dense = keras.Model(given, keras.layers.Flatten()(Traced()(call(given))))
    kernels = [y for y in all_layers(layer) if possible_kernels(y)]
    if not kernels:
        pytest.skip("no kernel of it can be sparse")
    sparse = dsr_tf.sparsify(dense, 0.5, include=layer.name)
    budget = sum(y.num_active for y in sparse_layers(sparse))
    # Compiled as a whole, or refused: there is no falling back.
    sparse.compile("adam", "mse", jit_compile=True)
    targets = np.zeros_like(sparse(x))
    data = tf.data.Dataset.from_tensors((x, targets)).repeat()
    moves, before = RigL(period=3, stop=None), Traced.times
    sparse.fit(data, steps_per_epoch=7, verbose=0, callbacks=[moves])
    assert moves.state.num_reallocations == 2
    assert sum(y.num_active for y in sparse_layers(sparse)) == budget
    # Keras looks at shapes once, without training. Then come a function with
    # gradients of all positions, and one without.
    assert Traced.times - before == 3


# There are steps without gradients of all positions, and with them; they are
# the same for several methods, so few have another policy or storage.
OTHERWISE = {
    "dsr": ("masks", "mixed_float16"),
    "dsr by threshold": ("masks", "float32"),
    "set": ("blocks", "mixed_bfloat16"),
    "rigl": ("blocks", "mixed_float16"),
}
OF_METHODS = [
    (name, *OTHERWISE.get(name, ("masks", "mixed_bfloat16")))
    for name in METHODS
]


def network(storage):
    """Returns a dense network with two kernels of different size."""
    # Both store blocks; others take XLA longer.
    conv = keras.layers.Conv2D(16, 1, activation="relu")
    first = [keras.layers.Flatten(), keras.layers.Dense(64, activation="relu")]
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            Traced(),
            *([conv] if storage == "blocks" else first),
            keras.layers.Flatten(),
            keras.layers.Dense(4),
        ]
    )


def places(model):
    return [x.placement.numpy() for x in sparse_layers(model)]


@pytest.mark.parametrize(
    "method, storage, policy", OF_METHODS, indirect=["policy"]
)
def test_xla_compiles_the_steps_of_every_method(method, storage, policy):
    kind = {"sparsity": 0.8}
    if storage == "blocks":
        kind = {"sparsity": 0.5, "granularity": (2, 1), "storage": storage}
    model = dsr_tf.sparsify(network(storage), include="*", **kind)
    assert [x.storage for x in sparse_layers(model)] == [storage] * 2
    # Fast enough for signs to flip, which is what DeepR waits for.
    model.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=True)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 6, 6, 2)).astype("float32")
    data = tf.data.Dataset.from_tensors((x, rng.normal(size=(20, 4)))).repeat()
    moves, before, first = METHODS[method](), Traced.times, places(model)
    fit = {"steps_per_epoch": 10, "verbose": 0, "callbacks": [moves]}
    model.fit(data, epochs=2, **fit)
    times = Traced.times - before
    assert moves.state.num_reallocations
    for one, other in zip(first, places(model), strict=True):
        assert not np.array_equal(one, other)
    # One more where gradients of all positions are kept in some steps.
    assert times <= 3
    model.fit(data, epochs=3, initial_epoch=2, **fit)
    assert Traced.times - before == times
