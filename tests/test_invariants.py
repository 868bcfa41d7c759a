"""What every method promises, whatever it does."""

import functools
from dataclasses import dataclass

import keras
import numpy as np
import pytest

from dsr_tf.callbacks import DSR
from dsr_tf.callbacks import ITOP
from dsr_tf.callbacks import MEST
from dsr_tf.callbacks import SET
from dsr_tf.callbacks import SNFS
from dsr_tf.callbacks import CHTs
from dsr_tf.callbacks import DeepR
from dsr_tf.callbacks import GradualPruning
from dsr_tf.callbacks import GraNet
from dsr_tf.callbacks import RigL
from dsr_tf.layers import BlockDense
from dsr_tf.layers import SparseConv2D
from dsr_tf.layers import SparseDense
from dsr_tf.layers import sparse_layers
from dsr_tf.schedules import Cosine
from dsr_tf.units import Units

RNG = np.random.default_rng(0)
X = RNG.normal(size=(320, 6, 6, 1)).astype("float32")
Y = RNG.integers(0, 3, size=320)

METHODS = {
    "static": (0.6, lambda seed: None),
    "dsr": (0.6, lambda seed: DSR(30, 5, 0.1, 0.05, 0.01, seed=seed)),
    "set": (0.6, lambda seed: SET(0.2, 5, seed=seed)),
    "chts": (0.6, lambda seed: CHTs(5, 0.2, percolate=True, seed=seed)),
    "deepr": (0.6, lambda seed: DeepR(1e-4, seed=seed)),
    "compressed": (0.0, lambda seed: GradualPruning(0.6, 4, 5)),
    "dsr by gradient": (
        0.6,
        lambda seed: DSR(30, 5, 0.1, 0.05, seed=seed, growth="gradient"),
    ),
    "dsr by share": (
        0.6,
        lambda seed: DSR(Cosine(0.3, 0.1), 5, seed=seed, growth="drawn"),
    ),
    "rigl": (0.6, lambda seed: RigL(0.3, 5, seed=seed)),
    "itop at random": (
        0.6,
        lambda seed: ITOP(5, 0.2, growth="random", seed=seed),
    ),
    "snfs": (0.6, lambda seed: SNFS(5, 0.3, seed=seed)),
    "granet": (0.3, lambda seed: GraNet(0.6, 5, 0.3, 0.2, seed=seed)),
    "mest": (0.6, lambda seed: MEST(5, seed=seed)),
    "mest soft": (
        0.55,
        lambda seed: MEST(5, soft=True, sparsity=0.6, seed=seed),
    ),
}
# Other settings of methods above: one training of weights, and one of blocks.
VARIANTS = {
    "itop": (0.6, lambda seed: ITOP(5, 0.2, seed=seed)),
    "dsr by momentum": (
        0.6,
        lambda seed: DSR(30, 5, 0.1, 0.05, seed=seed, growth="momentum"),
    ),
    "dsr with inputs": (
        0.6,
        lambda seed: DSR(30, 5, 0.1, 0.05, seed=seed, min_inputs=1),
    ),
    "compressed further": (
        0.3,
        lambda seed: GradualPruning(
            *(0.6, 4, 5), initial_sparsity=0.3, begin_step=7, power=1.0
        ),
    ),
}
SHRINK = ("compressed", "compressed further", "granet", "mest soft")
KEEP_COUNTS = (
    *("static", "set", "deepr", "rigl", "itop", "itop at random", "mest"),
    "chts",
)
FIRST = ("static", "dsr", "set", "deepr", "compressed")
# They read gradients, whatever the optimizer makes of them.
SCORED = ("rigl", "snfs")
# Signs are those of single weights.
GRANULARITIES = [
    (method, granularity, storage)
    for method in METHODS
    for granularity, storage in (
        ("weight", "masks"),
        ("4x4", "masks"),
        ("4x4", "blocks"),
    )
    if (method, granularity) != ("deepr", "4x4")
]
AGAIN = [*GRANULARITIES, *((method, "4x4", "blocks") for method in VARIANTS)]
# Slots that start at 0 and that do not, element-wise updates and others.
OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True),
    "adamw": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.01),
    "adagrad": lambda: keras.optimizers.Adagrad(0.05),
    "muon": lambda: keras.optimizers.Muon(0.01),
}


def model(sparsity, optimizer="sgd", granularity="weight", storage="masks"):
    dense = BlockDense if storage == "blocks" else SparseDense
    keras.utils.set_random_seed(0)
    net = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            SparseConv2D(8, 3, sparsity, seed=1, name="conv"),
            keras.layers.Flatten(),
            dense(
                20,
                sparsity,
                granularity=granularity,
                seed=2,
                kernel_regularizer="l1",
                activation="relu",
                name="hidden",
            ),
            dense(3, sparsity, granularity, seed=3, name="logits"),
        ]
    )
    net.compile(
        OPTIMIZERS[optimizer](),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return net


def trained(method, optimizer="sgd", seed=0, epochs=2, units=("weight",)):
    sparsity, callback = (METHODS | VARIANTS)[method]
    net = model(sparsity, optimizer, *units)
    watch = Watch()
    callbacks = [c for c in (callback(seed), watch) if c]
    net.fit(
        X, Y, batch_size=16, epochs=epochs, verbose=0, shuffle=False,
        callbacks=callbacks,
    )  # fmt: skip
    return net, watch.counts


@dataclass(frozen=True)
class Layer:
    """What a training has left in a layer."""

    mask: np.ndarray
    units: Units
    slots: list[np.ndarray]


@dataclass(frozen=True)
class Training:
    """What a training has left, without its model."""

    counts: list[list[int]]
    layers: list[Layer]
    weights: list[np.ndarray]


def training(method, optimizer="sgd", granularity="weight", storage="masks"):
    """Trains with seed 0, once for all tests."""
    return _training(method, optimizer, granularity, storage)


# Arguments that were left out would make another entry.
@functools.cache
def _training(method, optimizer, granularity, storage):
    net, counts = trained(method, optimizer, units=(granularity, storage))
    variables = net.optimizer.variables
    layers = [
        Layer(
            layer.kernel_mask.numpy(),
            layer.kernel_units,
            [v.numpy() for v in variables if v.shape == layer.kernel.shape],
        )
        for layer in sparse_layers(net)
    ]
    return Training(counts, layers, net.get_weights())


@pytest.fixture(scope="module", params=AGAIN, ids="-".join)
def again(request):
    """Returns names of a training, and a model that was so trained again."""
    method, *units = request.param
    return request.param, trained(method, units=units)[0]


class Watch(keras.callbacks.Callback):
    """Checks kernels against masks after every step, and counts."""

    def __init__(self):
        super().__init__()
        self.counts = []

    def on_train_batch_end(self, batch, logs=None):
        layers = sparse_layers(self.model)
        for layer in layers:
            off = layer.kernel_mask.numpy() == 0
            assert not layer.kernel.numpy()[off].any()
        self.counts.append([layer.num_active for layer in layers])


@pytest.mark.parametrize(
    "method, optimizer",
    [
        *[
            (method, optimizer)
            for method in METHODS
            for optimizer in OPTIMIZERS
            # What the others compute depends on no optimizer.
            if method in FIRST or optimizer == "adamw"
        ],
        *((method, "sgd") for method in SCORED),
        *((method, "adagrad") for method in VARIANTS),
    ],
)
def test_budget_and_zeros_hold_after_every_step(method, optimizer):
    counts = training(method, optimizer).counts
    budgets = [sum(row) for row in counts]
    target = [x.num_active for x in sparse_layers(model(0.6))]
    if method in SHRINK:
        assert budgets == sorted(budgets, reverse=True)
        assert budgets[0] > budgets[-1] == sum(target)
    else:
        assert set(budgets) == {sum(target)}
    if method in KEEP_COUNTS:
        assert all(row == target for row in counts)


@pytest.mark.parametrize(
    "method, storage, optimizer",
    [
        *[
            (method, storage, optimizer)
            for method, granularity, storage in GRANULARITIES
            for optimizer in ("sgd", "muon")
            if granularity == "4x4"
            if method in FIRST or optimizer == "sgd"
        ],
        *((method, "blocks", "sgd") for method in VARIANTS),
    ],
)
def test_blocks_are_whole_within_the_budget_after_every_step(
    method, storage, optimizer
):
    done = training(method, optimizer, "4x4", storage)
    counts = done.counts
    assert [x.units.size for x in done.layers] == [1, 16, 12]
    for layer in done.layers:
        layer.units.of_mask(layer.mask)
    budgets = [sum(row) for row in counts]
    target = [
        x.num_active for x in sparse_layers(model(0.6, granularity="4x4"))
    ]
    if method in SHRINK:
        assert budgets == sorted(budgets, reverse=True)
        budgets = budgets[-1:]
    # Less than one block may stay unspent.
    assert all(0 <= sum(target) - x < 16 for x in budgets)
    if method in KEEP_COUNTS:
        assert all(row == target for row in counts)
    if method == "dsr":
        assert counts[-1] != target


@pytest.mark.parametrize(
    "method, granularity, optimizer",
    [
        *[
            (method, granularity, optimizer)
            # There are no slots where blocks are not.
            for method, granularity, storage in GRANULARITIES
            for optimizer in ("sgd", "adamw", "adagrad")
            if storage == "masks"
            if method in FIRST or optimizer == "adagrad"
        ],
        *((x, "weight", y) for x in SCORED for y in ("sgd", "adamw")),
        *((method, "weight", "adagrad") for method in VARIANTS),
    ],
)
def test_slots_are_as_new_where_no_weight_is(method, granularity, optimizer):
    initial = np.float32(0.1 if optimizer == "adagrad" else 0.0)
    for layer in training(method, optimizer, granularity).layers:
        off = layer.mask == 0
        assert layer.slots
        assert all((slot[off] == initial).all() for slot in layer.slots)
        assert all((slot[~off] != initial).any() for slot in layer.slots)


def test_equal_seeds_give_equal_runs(again):
    (method, *units), other = again
    one = training(method, "sgd", *units).weights
    pairs = zip(one, other.get_weights(), strict=True)
    assert all((a == b).all() for a, b in pairs)


@pytest.mark.parametrize(
    "method",
    [
        *("dsr", "set", "deepr", "mest", "chts"),
        *("itop at random", "dsr by share", "mest soft"),
    ],
)
def test_seeds_make_a_difference(method):
    one = training(method).weights
    other = trained(method, seed=1)[0].get_weights()
    assert any((a != b).any() for a, b in zip(one, other, strict=True))


def test_trained_models_are_saved_whole(again, tmp_path):
    _, net = again
    net.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for saved, own in (
        (loaded.get_weights(), net.get_weights()),
        (loaded.optimizer.variables, net.optimizer.variables),
    ):
        pairs = zip(saved, own, strict=True)
        assert all((np.asarray(a) == np.asarray(b)).all() for a, b in pairs)
    assert (loaded.predict(X, verbose=0) == net.predict(X, verbose=0)).all()
