"""Slices of convolutions that move as one."""

import keras
import numpy as np
import pytest

from dsr_tf.callbacks import DSR
from dsr_tf.callbacks import ITOP
from dsr_tf.callbacks import MEST
from dsr_tf.callbacks import SET
from dsr_tf.callbacks import SNFS
from dsr_tf.callbacks import CHTs
from dsr_tf.callbacks import GradualPruning
from dsr_tf.callbacks import GraNet
from dsr_tf.callbacks import RigL
from dsr_tf.layers import SparseConv2D
from dsr_tf.layers import SparseDense
from dsr_tf.layers import sparse_layers

RNG = np.random.default_rng(0)
X = RNG.normal(size=(160, 6, 6, 4)).astype("float32")
Y = RNG.integers(0, 3, size=160)


def model(sparsity=0.6, optimizer=None):
    keras.utils.set_random_seed(0)
    net = keras.Sequential(
        [
            keras.Input((6, 6, 4)),
            SparseConv2D(
                8, 3, sparsity, granularity="kernel", seed=1, name="three"
            ),
            SparseConv2D(
                8, 1, sparsity, granularity="kernel", seed=2, name="one"
            ),
            SparseConv2D(
                6, 2, sparsity, granularity="kernel", seed=3, name="two"
            ),
            keras.layers.Flatten(),
            SparseDense(3, sparsity, seed=4, name="logits"),
        ]
    )
    net.compile(
        optimizer or keras.optimizers.SGD(0.1, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return net


def fit(net, callback, epochs=3):
    net.fit(
        X, Y, batch_size=16, epochs=epochs, verbose=0, shuffle=False,
        callbacks=[callback],
    )  # fmt: skip


def budget(net):
    return sum(layer.num_active for layer in sparse_layers(net))


def assert_slices_are_whole(net):
    for layer in sparse_layers(net):
        mask = layer.kernel_mask.numpy().reshape(layer.unit_size, -1)
        assert (mask == mask[0]).all()
        assert not layer.kernel.numpy()[layer.kernel_mask.numpy() == 0].any()


def test_masks_start_as_whole_slices():
    net = model()
    assert [x.unit_size for x in sparse_layers(net)] == [9, 1, 4, 1]
    # int(.4 * slices + .1) of 32, 64 and 48 slices, and of 162 weights.
    # 6x6 images give 4x4, 4x4 and 3x3.
    active = [x.num_active for x in sparse_layers(net)]
    assert active == [12 * 9, 25, 19 * 4, 64]
    assert_slices_are_whole(net)


@pytest.mark.parametrize("stddev", [0.0, 0.01])
def test_reallocation_moves_whole_slices_within_the_budget(stddev):
    net = model()
    before = budget(net)
    first = [x.kernel_mask.numpy() for x in sparse_layers(net)]
    active = []
    dsr = DSR(20, period=5, initial_threshold=0.05, regrow_stddev=stddev)

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            active.append(budget(net))
            assert active[-1] + dsr.state.unspent == before
            assert 0 <= dsr.state.unspent < 9

    net.fit(X, Y, batch_size=16, epochs=4, verbose=0, callbacks=[dsr, Watch()])
    assert dsr.state.weights_moved > 0
    assert_slices_are_whole(net)
    assert any(
        (x.kernel_mask.numpy() != old).any()
        for x, old in zip(sparse_layers(net), first, strict=True)
    )
    # Weights moved between layers whose slices differ in size.
    assert len(active) > 1 and [x.num_active for x in sparse_layers(net)] != [
        12 * 9,
        25,
        19 * 4,
        64,
    ]


def test_a_slice_goes_by_its_mean_magnitude():
    # Means .2, .5 and .3, and threshold .25. The largest weight of all is in
    # the slice that goes: one large of four.
    layer = SparseConv2D(1, 2, 0.0, granularity="kernel", use_bias=False)
    net = keras.Sequential([keras.Input((2, 2, 4)), layer])
    mask = np.zeros((2, 2, 4, 1))
    mask[:, :, :3] = 1
    layer.set_mask(mask)
    kernel = np.zeros((2, 2, 4, 1), np.float32)
    kernel[0, 0, 0] = -0.8
    kernel[:, :, 1] = 0.5
    kernel[:, :, 2] = -0.3
    layer.kernel.assign(kernel)
    net.compile(keras.optimizers.SGD(0.0), "mse")
    dsr = DSR(1, period=1, initial_threshold=0.25)
    net.fit(
        np.zeros((1, 2, 2, 4)), np.zeros((1, 1, 1, 1)),
        callbacks=[dsr], verbose=0,
    )  # fmt: skip
    assert layer.kernel_mask.numpy()[0, 0, :, 0].tolist() == [0, 1, 1, 1]
    assert dsr.threshold == 0.25
    assert not layer.kernel.numpy()[:, :, 0].any()


def test_slots_follow_the_slices():
    net = model(optimizer=keras.optimizers.Adam(0.01))
    fit(net, DSR(20, period=5, initial_threshold=0.05))
    shape = (3, 3, 4, 8)
    off = net.get_layer("three").kernel_mask.numpy() == 0
    slots = [
        v.numpy() for v in net.optimizer.variables if tuple(v.shape) == shape
    ]
    assert len(slots) == 2
    assert not any(slot[off].any() for slot in slots)


def test_set_replaces_slices_within_each_layer():
    net = model()
    before = [x.num_active for x in sparse_layers(net)]
    fit(net, moves := SET(0.3, period=5))
    assert [x.num_active for x in sparse_layers(net)] == before
    assert moves.state.weights_moved > 0
    assert_slices_are_whole(net)


WITHIN = {
    "rigl": lambda: RigL(0.3, 3),
    "itop": lambda: ITOP(3, 0.3),
    "mest": lambda: MEST(3),
    "chts": lambda: CHTs(3, 0.3),
}
ACROSS = {
    "snfs": lambda: SNFS(3, 0.3),
    "granet": lambda: GraNet(0.7, 3, 0.6, 0.3),
    "drawn": lambda: DSR(0.1, 3, growth="drawn"),
}


@pytest.mark.parametrize("name", WITHIN | ACROSS)
def test_other_methods_move_whole_slices_within_the_budget(name):
    net, moves = model(), (WITHIN | ACROSS)[name]()
    before = [x.num_active for x in sparse_layers(net)]
    target = budget(model(0.7) if name == "granet" else net)
    fit(net, moves, epochs=1)
    after = [x.num_active for x in sparse_layers(net)]
    assert moves.state.weights_moved > 0
    assert_slices_are_whole(net)
    assert target - 9 < sum(after) <= target
    assert (after == before) == (name in WITHIN)


def test_gradual_pruning_keeps_the_slices_of_a_new_model():
    net = model(sparsity=0.0)
    prune = GradualPruning(0.6, 3, period=5, across_tensors=False)
    fit(net, prune)
    expected = [x.num_active for x in sparse_layers(model(0.6))]
    assert [x.num_active for x in sparse_layers(net)] == expected
    assert_slices_are_whole(net)


def test_gradual_pruning_across_slices_stays_within_the_budget():
    net = model(sparsity=0.0)
    fit(net, GradualPruning(0.6, 3, period=5))
    target = budget(model(0.6))
    assert target - 9 < budget(net) <= target
    assert_slices_are_whole(net)


def test_equal_seeds_give_equal_runs():
    runs = []
    for _ in range(2):
        net = model()
        fit(net, DSR(20, period=5, initial_threshold=0.05, regrow_stddev=0.01))
        runs.append(net.get_weights())
    assert all((a == b).all() for a, b in zip(*runs, strict=True))


def test_model_is_saved_with_its_slices(tmp_path):
    net = model()
    fit(net, DSR(20, period=5, initial_threshold=0.05))
    net.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    pairs = zip(net.get_weights(), loaded.get_weights(), strict=True)
    assert all((a == b).all() for a, b in pairs)
    assert loaded.get_layer("three").unit_size == 9


def test_masks_in_part_of_a_slice_are_refused():
    layer = model().get_layer("three")
    mask = np.ones((3, 3, 4, 8))
    mask[0, 0, 0, 0] = 0
    with pytest.raises(ValueError, match="equal throughout each unit of 9"):
        layer.set_mask(mask)


def test_dense_layers_have_no_slices():
    with pytest.raises(ValueError, match=r"one of \('weight',\)"):
        SparseDense(3, 0.5, granularity="kernel")
    with pytest.raises(ValueError, match=r"one of \('weight', 'kernel'\)"):
        SparseConv2D(3, 3, 0.5, granularity="block")


def test_target_counts_slices():
    net = model()
    # 12 + 25 + 19 slices and 64 weights: 120 in all, and all could move.
    with pytest.raises(ValueError, match="num_pruned=120, budget=120"):
        fit(net, DSR(120, period=5))
    fit(net, DSR(119, period=5), epochs=1)
