"""A budget that is split by the scores of weights."""

import re

import keras
import numpy as np
import pytest
from keras import layers

import dsr_tf
from dsr_tf import Balanced
from dsr_tf import runs
from dsr_tf.convert.shares import among_the_best
from dsr_tf.convert.shares import share_out
from dsr_tf.data import load_images
from dsr_tf.layers import sparse_layers
from dsr_tf.models import lenet_300_100
from dsr_tf.models import wide_resnet
from dsr_tf.runs.start import start_models
from dsr_tf.units import WEIGHT
from dsr_tf.units import Granularity
from dsr_tf.units import Units
from tests.configs import config

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(20, 8)).astype("float32"), RNG.normal(size=(20, 4))
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def network():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(16, name="one", kernel_regularizer="l2"),
            layers.BatchNormalization(),
            layers.Dropout(0.5, seed=1),
            layers.Dense(32, "relu", name="two"),
            layers.Dense(4, name="three"),
        ]
    )


def active(model):
    return [layer.num_active for layer in sparse_layers(model)]


def test_counts_of_weights_worked_by_hand():
    # Without .9 and .8, the best of each: .7 .6 .3 .2 | .5 .1. Three of them.
    kernels = [Units((1, 5), WEIGHT), Units((3, 1), WEIGHT)]
    scores = [
        np.array([[0.9, 0.7, 0.2, 0.6, 0.3]]),
        np.array([[0.5, 0.8, 0.1]]),
    ]
    scores[1] = scores[1].T
    assert among_the_best(kernels, scores, 3) == [2, 1]
    # 5 of 8.
    assert share_out(kernels, 3 / 8, scores) == [3, 2]


def test_units_count_by_their_mean():
    # Blocks of 2 inputs: means .5, .1 | single weights: .9 .4 .3 .05.
    blocks = Units((2, 3), Granularity.of((2, 1)))
    weights = Units((5, 1), WEIGHT)
    first = np.array([[1.0, 0.9, 0.2], [1.0, 0.1, 0.0]])
    rest = np.array([[2.0], [0.9], [0.4], [0.3], [0.05]])
    kernels, scores = [blocks, weights], [first, rest]
    # In order .9, the block of .5, .4, .3, the block of .1.
    found = [among_the_best(kernels, scores, n) for n in (1, 2, 3, 4, 5, 7)]
    assert found == [[0, 1], [0, 1], [2, 1], [2, 2], [2, 3], [4, 3]]


def test_what_scores_nothing_gets_the_rest_in_proportion():
    kernels = [Units((10, 10), WEIGHT), Units((5, 10), WEIGHT)]
    nothing = [np.zeros((10, 10)), np.zeros((5, 10))]
    assert share_out(kernels, 0.8, nothing) == [20, 10]
    one = [nothing[0], np.eye(5, 10)]
    # Four beside the best one: more go where they are.
    assert share_out(kernels, 0.8, one) == [1, 29]


def test_scores_worked_by_hand():
    # L = (w1 x1 + w2 x2 - y)² = (6 - 4 - 1)² = 1: dL/dw = 2 (3, -4).
    model = keras.Sequential(
        [keras.Input((2,)), layers.Dense(1, use_bias=False)]
    )
    model.layers[0].kernel.assign([[2.0], [1.0]])
    rule = Balanced(np.array([[3.0, -4.0]]), np.array([[1.0]]), "mse")
    (found,) = rule(model, [model.layers[0].kernel])
    assert found.tolist() == [[12.0], [8.0]]


def test_scores_are_of_the_loss_alone_and_change_nothing():
    model = network()
    before = [np.array(v) for v in model.variables]
    kernels = [model.get_layer(x).kernel for x in ("one", "two", "three")]
    found = Balanced(X, Y, "mse")(model, kernels)
    assert [x.shape for x in found] == [tuple(k.shape) for k in kernels]
    assert all((x > 0).any() for x in found)
    for old, new in zip(before, model.variables, strict=True):
        assert np.array_equal(old, np.array(new))
    # Of a function too, and the penalty of a kernel is no part of them.
    own = Balanced(X, Y, keras.losses.MeanSquaredError())(model, kernels)
    model.get_layer("one").kernel_regularizer = keras.regularizers.L2(9.0)
    again = Balanced(X, Y, "mse")(model, kernels)
    for a, b, c in zip(found, own, again, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
        assert np.array_equal(a, c)


@pytest.mark.parametrize(
    "granularity, storage, unit",
    [("weight", "masks", 1), ((2, 2), "masks", 4), ((2, 2), "blocks", 4)],
)
@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9])
def test_balanced_holds_the_budget(granularity, storage, unit, sparsity):
    model = network()
    sparse = dsr_tf.sparsify(
        model,
        sparsity,
        Balanced(X, Y, "mse"),
        granularity=granularity,
        storage=storage,
    )
    budget = int((1 - sparsity) * (8 * 16 + 16 * 32 + 32 * 4) + 0.1)
    assert budget - unit < sum(active(sparse)) <= budget
    assert all(n >= unit and n % unit == 0 for n in active(sparse))
    names = [layer.name for layer in sparse_layers(sparse)]
    kernels = [model.get_layer(name).kernel for name in names]
    scores = Balanced(X, Y, "mse")(model, kernels)
    if unit == 1:
        flat = np.concatenate([x.ravel() for x in scores])
        least = np.sort(flat)[-budget]
        assert active(sparse) == [int((x >= least).sum()) for x in scores]


def test_a_function_of_ones_own_scores_weights():
    def lean(model, kernels):
        assert model.name == "own" and len(kernels) == 3
        return [np.full(k.shape, i) for i, k in enumerate(kernels)]

    model = keras.Sequential(network().layers, name="own")
    model.build((None, 8))
    # One for each of 128, 512 and 128; the last is full; 253 for the second.
    sparse = dsr_tf.sparsify(model, 1 - 382 / 768, lean)
    assert active(sparse) == [1, 253, 128]


@pytest.mark.parametrize(
    "found",
    [
        None,
        3,
        [],
        [np.ones((8, 16)), np.ones((16, 32))],
        [np.ones((8, 16)), np.ones((16, 32)), np.ones((4, 32))],
        [np.ones((8, 16)), np.ones((16, 32)), np.full((32, 4), np.nan)],
        [np.ones((8, 16)), np.ones((16, 32)), np.full((32, 4), -1e-9)],
        ["x", "y", "z"],
    ],
)
def test_what_are_no_scores_is_refused(found):
    message = "`distribution`, where it is a function, must return an array of"
    with pytest.raises(ValueError, match=f"{message}.*Received: distribution="):
        dsr_tf.sparsify(network(), 0.5, lambda model, kernels: found)


@pytest.mark.parametrize(
    "x, y, shapes",
    [
        (np.ones((4, 7)), np.ones((4, 4)), r"\(4, 7\), y of shape \(4, 4\)"),
        (np.ones((4, 8)), np.ones((3, 5)), r"\(4, 8\), y of shape \(3, 5\)"),
        (np.ones((4, 8)), None, r"\(4, 8\), y None"),
        ("text", np.ones((4, 4)), r"x 'text', y of"),
    ],
)
def test_a_batch_that_does_not_fit_is_refused_in_a_sentence(x, y, shapes):
    with pytest.raises(
        ValueError, match="of a `Balanced` must be a batch"
    ) as e:
        dsr_tf.sparsify(network(), 0.5, dsr_tf.Balanced(x, y, "mse"))
    (line,) = str(e.value).splitlines()
    assert re.search(shapes, line), line


def test_networks_take_it():
    images = load_images("digits")
    x, y = next(iter(images.train_batches(100, seed=0)))
    first = Balanced(x, y, LOSS)
    arguments = {"input_shape": (8, 8, 1), "sparsity": 0.98, "seed": 2}
    plain = lenet_300_100(**arguments | {"sparsity": None})
    built = lenet_300_100(**arguments, distribution=first)
    assert active(built) == active(dsr_tf.sparsify(plain, 0.98, first))
    assert sum(active(built)) == int(0.02 * (19200 + 30000 + 1000) + 0.1)
    # The last layer is small, and matters.
    uniform = active(lenet_300_100(**arguments))
    assert active(built)[-1] > 2 * uniform[-1]
    assert [x.seed for x in sparse_layers(built)] == [
        x.seed for x in sparse_layers(lenet_300_100(**arguments))
    ]
    slices = wide_resnet(
        10, 1, (8, 8, 1), granularity="kernel", distribution=first
    )
    size = sum(x.kernel_units.num_weights for x in sparse_layers(slices))
    assert 0 <= int(0.1 * size + 0.1) - sum(active(slices)) < 9


def test_a_run_scores_the_weights_that_it_begins_with(tmp_path):
    images = load_images("digits")
    trained = lenet_300_100(input_shape=(8, 8, 1), sparsity=None, seed=5)
    trained.get_layer("dense_3").kernel.assign(np.ones((100, 10)))
    trained.save(tmp_path / "trained.keras")
    x, y = next(iter(images.train_batches(100, seed=0)))
    arguments = {"distribution": "balanced", "sparsity": 0.95}
    for start, like in (
        ({}, lenet_300_100(input_shape=(8, 8, 1), sparsity=None)),
        ({"init_from": str(tmp_path / "trained.keras")}, trained),
    ):
        begin = config("", method="static", **arguments, **start)
        model, _ = start_models(
            begin, (8, 8, 1), 10, lambda: images.train_batches(100, 0)
        )
        wanted = dsr_tf.sparsify(like, 0.95, Balanced(x, y, LOSS))
        assert active(model) == active(wanted)


@pytest.mark.slow
def test_a_balanced_run_goes_on(tmp_path):
    def trained(name, epochs):
        given = {"epochs": epochs, "flags": f"--epochs={epochs}\n"}
        given |= {"distribution": "balanced", "sparsity": 0.98}
        return runs.run(config(tmp_path / name, **given))

    whole = trained("whole", 2)
    first, again = trained("parts", 1), trained("parts", 2)
    assert first["num_active"] == again["num_active"] == 1004
    for name in ("train_seconds", "reallocation_seconds"):
        assert again.pop(name) > 0 and whole.pop(name) > 0
    assert again == whole
    starts = [x["num_active_at_start"] for x in whole["layers"]]
    assert sum(starts) == 1004 and starts[2] > 100
