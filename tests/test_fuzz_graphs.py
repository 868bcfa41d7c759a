"""Random graphs of layers, there and back again."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from keras import layers
from keras import ops

import dsr_tf
from dsr_tf.layers import sparse_layers
from dsr_tf.layers.tree import all_layers

LENGTH, WIDTH = 3, 4
X = np.random.default_rng(0).normal(size=(2, LENGTH, WIDTH)).astype("float32")


@keras.saving.register_keras_serializable(package="fuzz")
class Own(layers.Layer):
    """A layer of one's own, with a weight and a layer inside."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(WIDTH, WIDTH), name="kernel")
        self.inner = layers.Dense(WIDTH, activation="tanh")
        self.inner.build(shape)
        super().build(shape)

    def call(self, x):
        return self.inner(ops.matmul(x, self.kernel))


def inner_model(depth):
    """A sub-model whose outputs are two: of a layer, and of one behind it."""
    inputs = keras.Input((LENGTH, WIDTH))
    x = layers.Dense(WIDTH, name="a")(inputs)
    y = part(depth)(x)
    return keras.Model(inputs, [x, y])


def part(depth):
    if depth == 0:
        return layers.Conv1D(WIDTH, 2, padding="same", name="b")
    return keras.Sequential(
        [layers.Dense(WIDTH, name="a"), layers.ReLU(), part(depth - 1)]
    )


# Each makes a layer that takes and returns (LENGTH, WIDTH).
KINDS = {
    "dense": lambda: layers.Dense(WIDTH, activation="relu"),
    "conv": lambda: layers.Conv1D(WIDTH, 2, padding="same"),
    "norm": layers.LayerNormalization,
    "own": Own,
    "nested": lambda: part(1),
    "deep": lambda: part(2),
    "distributed": lambda: layers.TimeDistributed(layers.Dense(WIDTH)),
    "distributed model": lambda: layers.TimeDistributed(
        keras.Sequential([layers.Dense(WIDTH), layers.Dense(WIDTH)])
    ),
    "both ways": lambda: layers.Bidirectional(
        layers.GRU(WIDTH // 2, return_sequences=True)
    ),
    "recurrent": lambda: layers.LSTM(WIDTH, return_sequences=True),
    "spectral": lambda: layers.SpectralNormalization(layers.Dense(WIDTH)),
}


COMMON = ("again", "add", "two", "flip")
index = st.integers(0, 9)
plans = st.lists(
    st.tuples(st.sampled_from([*KINDS, *COMMON]), index, index),
    min_size=1,
    max_size=5,
)


def graph(plan):
    """Makes a model of parts; some are called twice, some have two outputs.

    Args:
        plan: Of each part, its kind and from which of the tensors so far, or
            layers, it is made.
    """
    keras.utils.set_random_seed(0)
    inputs = keras.Input((LENGTH, WIDTH))
    tensors, made = [inputs], []
    for kind, first, second in plan:
        x, y = (tensors[i % len(tensors)] for i in (first, second))
        if kind in KINDS or not made:
            made.append(KINDS.get(kind, Own)())
            tensors.append(made[-1](x))
        elif kind == "again":
            tensors.append(made[second % len(made)](x))
        elif kind == "add":
            tensors.append(layers.Add()([x, y]) if y is not x else x + 1)
        elif kind == "two":
            tensors += inner_model(second % 2)(x)
        else:
            tensors.append(ops.flip(x[:, ::-1], -1))
    last = layers.Dense(2, name="last")(tensors[-1])
    others = [tensors[plan[0][1] % len(tensors)]]
    return keras.Model(inputs, {"last": last, "others": others})


def outputs(model):
    return [np.asarray(y) for y in keras.tree.flatten(model(X))]


def equal(one, other):
    pairs = zip(one, other, strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def names(model):
    """Names of the layers that Keras itself makes again."""
    return [(type(x), x.name) for x in model.layers]


def check_there_and_back(model):
    same = dsr_tf.densify(dsr_tf.sparsify(model, 0.0))
    assert names(same) == names(model)
    assert [type(x) for x in all_layers(same)] == [
        type(x) for x in all_layers(model)
    ]
    assert equal(same.get_weights(), model.get_weights())
    assert equal(outputs(same), outputs(model))


def check_budget(model, sparse, sparsity):
    kernels = sparse_layers(sparse)
    size = sum(x.kernel_units.num_weights for x in kernels)
    active = sum(x.num_active for x in kernels)
    assert active == int((1 - sparsity) * size + 0.1)
    assert len(sparse.weights) == len(model.weights) + len(kernels)


def check_file(sparse, folder):
    path = folder / "model.keras"
    sparse.save(path)
    again = keras.models.load_model(path)
    assert equal(again.get_weights(), sparse.get_weights())
    assert equal(outputs(again), outputs(sparse))


def check_arrays(sparse, folder):
    path = folder / "arrays.npz"
    dsr_tf.export(sparse, path, "npz", overwrite=True, verbose=False)
    arrays = np.load(path)
    held = [n for n in arrays if not n.endswith(("/indices", "/shape"))]
    total = dsr_tf.summary(sparse, print_fn=None).model
    assert sum(arrays[n].size for n in held) == total.active_parameters


def check(model, sparsity, folder):
    check_there_and_back(model)
    sparse = dsr_tf.sparsify(model, sparsity, include=lambda layer: True)
    check_budget(model, sparse, sparsity)
    plain = dsr_tf.densify(sparse)
    assert equal(outputs(plain), outputs(sparse))
    check_file(sparse, folder)
    check_arrays(sparse, folder)


@settings(max_examples=12)
@given(plans, st.sampled_from([0.3, 0.5, 0.7]))
def test_graphs_go_there_and_back(tmp_path_factory, plan, sparsity):
    check(graph(plan), sparsity, tmp_path_factory.mktemp("graph"))


@pytest.mark.slow
@settings(max_examples=40)
@given(plans, st.sampled_from([0.3, 0.5, 0.7]))
def test_many_graphs_go_there_and_back(tmp_path_factory, plan, sparsity):
    check(graph(plan), sparsity, tmp_path_factory.mktemp("graph"))
