"""The share of weights that were ever active, against a union of all masks."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from dsr_tf import Reallocator
from dsr_tf import methods
from dsr_tf.callbacks import DSR
from dsr_tf.callbacks import MEST
from dsr_tf.callbacks import SET
from dsr_tf.callbacks import SNFS
from dsr_tf.callbacks import Checkpoint
from dsr_tf.callbacks import DeepR
from dsr_tf.callbacks import GradualPruning
from dsr_tf.callbacks import GraNet
from dsr_tf.callbacks import RigL
from dsr_tf.callbacks import resumable_fit
from dsr_tf.callbacks.contents import Contents
from dsr_tf.layers import BlockDense
from dsr_tf.layers import SparseDense
from dsr_tf.layers import sparse_layers
from dsr_tf.methods import Method
from dsr_tf.methods.allocate import in_proportion_to_survivors
from dsr_tf.methods.grow import ByScore
from dsr_tf.methods.prune import SmallestFraction
from dsr_tf.training.ever_active import EverActive

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 8)).astype("float32")
Y = RNG.integers(0, 4, size=80)
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def network(kind=SparseDense, sparsity=0.6, block=(2, 2), seed=0):
    """Returns a network; one of blocks or of the same blocks masked."""
    keras.utils.set_random_seed(seed)
    granularity = block if kind is BlockDense or block else "weight"
    net = keras.Sequential(
        [
            keras.Input((8,)),
            kind(12, sparsity, granularity, seed=seed, activation="tanh"),
            kind(4, sparsity, granularity, seed=seed + 1),
        ]
    )
    net.compile(keras.optimizers.SGD(0.1, momentum=0.9), LOSS)
    net.optimizer.build(net.trainable_variables)
    return net


def weights(**arguments):
    return network(block=None, **arguments)


def masks(net):
    flat = [x.kernel_mask.numpy().ravel() for x in sparse_layers(net)]
    return np.concatenate(flat)


class Union(keras.callbacks.Callback):
    """Joins the masks after every batch, and asks for them after an epoch."""

    def __init__(self):
        super().__init__()
        self.seen, self.shares = None, []

    def on_train_begin(self, logs=None):
        now = masks(self.model)
        self.seen = now if self.seen is None else self.seen | now

    def on_train_batch_end(self, batch, logs=None):
        self.seen = self.seen | masks(self.model)

    def on_epoch_end(self, epoch, logs=None):
        self.shares.append(self.seen.sum() / self.seen.size)


def fit(net, *callbacks, epochs=2):
    return net.fit(
        X,
        Y,
        batch_size=8,
        epochs=epochs,
        verbose=0,
        shuffle=False,
        callbacks=list(callbacks),
    ).history.get("ever_active")


CALLBACKS = {
    "dsr": lambda: DSR(8, 3, initial_threshold=0.1),
    "set": lambda: SET(0.3, 3),
    "deepr": lambda: DeepR(1e-2),
    "gradual": lambda: GradualPruning(0.6, 3, 4),
    "rigl": lambda: RigL(0.3, 3),
    "snfs": lambda: SNFS(3, 0.3),
    "granet": lambda: GraNet(0.8, 3, 0.7, 0.3),
    "mest": lambda: MEST(3),
}


@pytest.mark.parametrize("name", CALLBACKS)
def test_logs_hold_the_share_of_the_union_of_all_masks(name):
    net = weights(sparsity=0.0 if name == "gradual" else 0.7)
    union, moves = Union(), CALLBACKS[name]()
    start = masks(net).mean()
    logged = fit(net, moves, union)
    assert (
        logged == union.shares == [*logged[:1], moves.reallocator.ever_active]
    )
    if name == "gradual":
        assert logged == [1.0, 1.0] and masks(net).mean() < 0.5
    else:
        assert start < logged[0] <= logged[1]


def test_a_case_worked_by_hand():
    # Largest scores first; weights of 1, 2 and 3 stand at 0 to 2.
    #             active   prunes  grows        ever
    # first       110000   0       2, 3 is less 111000
    # second      011000   1       5            111001
    keras.utils.set_random_seed(0)
    net = keras.Sequential([keras.Input((6,)), SparseDense(1, 0.5)])
    (layer,) = net.layers
    layer.set_mask(np.array([[1, 1, 0, 0, 0, 0]]).T)
    layer.assign_kernel(np.arange(1.0, 7.0)[:, None])
    optimizer = keras.optimizers.SGD(0.0)
    optimizer.build(net.trainable_variables)
    scores = [0.0, 0.0, 2.0, 1.0, 0.0, 0.0]
    method = Method(SmallestFraction(0.5), None, ByScore())
    moves = Reallocator(
        net,
        optimizer,
        method,
        growth_scores=lambda: [tf.constant(scores)[:, None]],
    )
    assert moves.ever_active == 2 / 6
    moves.reallocate()
    assert moves.ever_active == 3 / 6
    scores[:] = [0.0, 0.0, 0.0, 0.0, 0.0, 3.0]
    # The new weight began at 0, and is the smallest.
    layer.assign_kernel(np.arange(6.0, 0.0, -1.0)[:, None])
    moves.reallocate()
    assert layer.kernel_mask.numpy().ravel().tolist() == [
        *(False, True, False),
        *(False, False, True),
    ]
    assert moves.ever_active == 4 / 6
    # What was active before counts once.
    scores[:] = [3.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    moves.reallocate()
    assert moves.ever_active == 4 / 6


METHODS = {
    "dsr": lambda: methods.dsr(3, initial_threshold=0.2),
    "set": lambda: methods.set_method(0.3),
    "across": lambda: Method(
        SmallestFraction(0.4),
        in_proportion_to_survivors,
        methods.grow.AtRandom(0.1),
    ),
}


@settings(max_examples=4)
@given(
    st.sampled_from(list(METHODS)),
    st.sampled_from([(1, 2), (2, 1), (2, 2)]),
    st.sampled_from([0.3, 0.8]),
    st.integers(0, 9),
)
def test_both_storages_count_what_numpy_counts(name, block, sparsity, seed):
    ends = []
    for kind in (SparseDense, BlockDense):
        net = network(kind, sparsity, block, seed)
        moves = Reallocator(net, net.optimizer, METHODS[name](), seed=seed)
        seen = masks(net)
        for step in range(3):
            for layer in sparse_layers(net):
                drawn = np.random.default_rng((seed, step))
                layer.assign_kernel(drawn.normal(size=layer.kernel_shape))
            net.optimizer.iterations.assign_add(1)
            moves.reallocate()
            seen |= masks(net)
            assert moves.ever_active == seen.sum() / seen.size
        ends.append((moves.ever_active, masks(net).tolist()))
    assert ends[0] == ends[1]


@pytest.mark.parametrize("kind", [SparseDense, BlockDense])
def test_masks_that_are_assigned_join(kind):
    net, moves = network(kind), SET(0.3, 3)
    union = Union()
    fit(net, moves, union)
    for layer in sparse_layers(net):
        layer.set_mask(~layer.kernel_mask.numpy())
    assert moves.reallocator.ever_active == 1.0
    for layer in sparse_layers(net):
        layer.set_mask(~layer.kernel_mask.numpy())
    # Nobody said that a training began with those.
    assert fit(net, moves, union) == union.shares[2:]
    for layer in sparse_layers(net):
        layer.set_mask(~layer.kernel_mask.numpy())
    assert fit(net, moves, epochs=1) == [1.0]


def test_a_model_compiled_again_goes_on():
    net, moves, union = weights(), SET(0.3, 3), Union()
    fit(net, moves, union)
    net.compile(keras.optimizers.Adam(), LOSS)
    assert fit(net, moves, union) == union.shares[2:]


def test_a_layer_that_was_frozen_for_a_while_is_remembered():
    net, moves, union = weights(), SET(0.3, 3), Union()
    fit(net, moves, union)
    last = net.layers[-1]
    last.trainable = False
    net.compile("sgd", LOSS)
    fit(net, moves, union, epochs=1)
    size = net.layers[0].kernel_mask.numpy().size
    assert moves.reallocator.ever_active == union.seen[:size].mean()
    last.trainable = True
    net.compile("sgd", LOSS)
    assert fit(net, moves, union, epochs=1) == union.shares[-1:]


class Stop(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 5:
            raise KeyboardInterrupt


def train(path, name, kind, *callbacks, seed=0):
    def batches(epoch, step):
        data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)
        return data.skip(step).concatenate(data.repeat())

    block = (2, 2) if kind is BlockDense else None
    net = network(kind, block=block, seed=seed)
    moves = CALLBACKS[name]()
    resumable_fit(
        net,
        batches,
        Checkpoint(path, moves, every_steps=4),
        epochs=2,
        steps_per_epoch=10,
        callbacks=[moves, *callbacks],
    )
    return moves.reallocator


@pytest.mark.parametrize(
    "name, kind", [("dsr", BlockDense), ("deepr", SparseDense)]
)
def test_a_resumed_run_goes_on_with_what_was_active(tmp_path, name, kind):
    whole = train(tmp_path / "whole", name, kind)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", name, kind, Stop())
    # Of other first masks nothing is left.
    resumed = train(tmp_path / "run", name, kind, seed=7)
    assert resumed.ever_active == whole.ever_active
    assert resumed.ever_active > resumed.num_active / (8 * 12 + 12 * 4)
    # Blocks have gone from layer to layer since the first step.
    finished = train(tmp_path / "run", name, kind, seed=7)
    assert finished.ever_active == whole.ever_active


def test_checkpoints_that_do_not_know_it_count_what_is_active(
    tmp_path, monkeypatch
):
    parts = Contents._apart

    def without(contents):
        return {k: x for k, x in parts(contents).items() if k != "ever_active"}

    monkeypatch.setattr(Contents, "_apart", without)
    before = train(tmp_path, "set", SparseDense)
    share = before.num_active / (8 * 12 + 12 * 4)
    assert before.ever_active > share
    monkeypatch.undo()
    again = train(tmp_path, "set", SparseDense, seed=7)
    assert again.ever_active == share


def test_a_loop_restores_it(tmp_path):
    net, other = network(), network(seed=5)
    reallocators = [
        Reallocator(x, x.optimizer, methods.set_method(0.3))
        for x in (net, other)
    ]
    first, second = reallocators
    first.reallocate()
    path = tf.train.Checkpoint(model=net, **first.state).save(tmp_path / "c")
    expected = first.ever_active
    first.reallocate()
    for x, reallocator in zip((net, other), reallocators, strict=True):
        status = tf.train.Checkpoint(model=x, **reallocator.state).restore(path)
        status.assert_existing_objects_matched()
        assert reallocator.ever_active == expected
    for reallocator in reallocators:
        reallocator.reallocate()
    assert first.ever_active == second.ever_active > expected


def test_layers_may_be_built_after_it_was_restored():
    net, late = network(), keras.Sequential([SparseDense(3, 0.5)])
    ever, restored = (EverActive(sparse_layers(x)) for x in (net, network()))
    for layer in sparse_layers(net):
        layer.set_mask(np.ones(layer.kernel_shape))
    restored.deserialize(ever.serialize())
    assert restored.share == 1.0
    unbuilt = EverActive(sparse_layers(late))
    unbuilt.deserialize(unbuilt.serialize())
    late.build((None, 4))
    assert unbuilt.share == 0.5


def test_it_is_not_known_of_layers_that_are_not_built():
    net = keras.Sequential([SparseDense(3, 0.5, name="late")])
    moves = Reallocator(net, keras.optimizers.SGD(), methods.set_method(0.3))
    with pytest.raises(ValueError, match="All layers must be built.*'late'"):
        _ = moves.ever_active


@pytest.mark.parametrize("method", [methods.deepr(1e-2), methods.dsr(8)])
def test_it_may_be_made_within_the_scope_of_a_strategy(strategy, method):
    with strategy.scope():
        net = weights()
        moves = Reallocator(net, net.optimizer, method, period=1)
        seen = masks(net)
        for layer in sparse_layers(net):
            layer.kernel.assign(-layer.kernel * 1e-4)
        moves.reallocate()
        seen |= masks(net)
        assert moves.ever_active == seen.sum() / seen.size
    assert moves.counters.weights_moved > 0
