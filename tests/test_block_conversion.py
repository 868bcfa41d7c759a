"""Models that are made to store blocks, and what becomes of them."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import dsr_tf
from dsr_tf.callbacks import DSR
from dsr_tf.callbacks import Checkpoint
from dsr_tf.callbacks import SparsityLogger
from dsr_tf.callbacks import resumable_fit
from dsr_tf.data import load_images
from dsr_tf.layers import BlockDense
from dsr_tf.layers import copy_masks
from dsr_tf.layers import copy_weights
from dsr_tf.layers import sparse_layers
from tests.killing import KillAt
from tests.killing import Killed
from tests.zoo import ZOO

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 8)).astype("float32")
Y = RNG.integers(0, 3, size=64)
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def dense(*more):
    keras.utils.set_random_seed(0)
    net = keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(16, "relu", name="one"),
            *more,
            layers.Dense(4, name="two"),
        ]
    )
    net.compile(keras.optimizers.Adam(0.01), LOSS)
    return net


def sparse(net=None, storage="blocks", **arguments):
    return dsr_tf.sparsify(
        net or dense(), 0.5, granularity=(2, 2), storage=storage, **arguments
    )


def fit(net, *callbacks, epochs=1):
    net.fit(
        X, Y, batch_size=8, epochs=epochs, verbose=0, shuffle=False,
        callbacks=list(callbacks),
    )  # fmt: skip


def dsr():
    return DSR(12, 2, initial_threshold=0.2)


def moved(net):
    """Trains a model until its layers have other numbers of blocks."""
    before = counts(net)
    fit(net, dsr(), epochs=2)
    assert counts(net) != before and sum(counts(net)) == sum(before)
    return net


def counts(net):
    return [layer.num_active for layer in sparse_layers(net)]


def masks(net):
    return [layer.kernel_mask.numpy() for layer in sparse_layers(net)]


def storages(net):
    return [layer.storage for layer in sparse_layers(net)]


def equal(one, other):
    pairs = zip(one, other, strict=True)
    return all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in pairs)


def close(one, other, x=X, tolerance=1e-5):
    pairs = zip(
        *(keras.tree.flatten(net(x, training=False)) for net in (one, other)),
        strict=True,
    )
    return all(np.allclose(a, b, atol=tolerance, rtol=1e-3) for a, b in pairs)


SLOW = [pytest.mark.slow]
NAMES = [pytest.param(x, marks=SLOW * (x != "wrappers")) for x in ZOO]


@pytest.mark.parametrize("name", NAMES)
def test_models_of_all_kinds_store_blocks(name, tmp_path):
    case = ZOO[name]()
    given = {"granularity": (2, 2), "in_place": case.in_place}
    tolerance = 2e-2 if "half" in name else 1e-4
    masked = None
    if not case.in_place:
        masked = dsr_tf.sparsify(case.model, 0.5, **given)
    model = dsr_tf.sparsify(case.model, 0.5, storage="blocks", **given)
    if masked:
        assert equal(masks(model), masks(masked))
        assert close(model, masked, case.x, tolerance)
    model.compile(keras.optimizers.SGD(1e-4, 0.9), "mse", jit_compile=False)
    trained = [x for x in sparse_layers(model) if x.trainable]
    before = sum(x.num_active for x in trained)
    moves = DSR(before // 10, period=1, initial_threshold=0.1)
    model.fit(
        case.x, case.y, batch_size=2, verbose=0, shuffle=False,
        callbacks=[moves],
    )  # fmt: skip
    after = sum(x.num_active for x in trained)
    assert after + moves.state.unspent == before
    if masked:
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        assert close(model, loaded, case.x, 1e-6)
        assert storages(model) == storages(loaded)
        assert counts(model) == counts(loaded)
        assert equal(model.optimizer.variables, loaded.optimizer.variables)
        plain = dsr_tf.densify(model)
        assert not sparse_layers(plain)
        assert close(model, plain, case.x, tolerance)
    y = keras.tree.map_structure(np.asarray, model(case.x, training=False))
    plain = dsr_tf.densify(model, in_place=True)
    assert plain is model and not sparse_layers(plain)
    pairs = zip(
        *map(keras.tree.flatten, (y, plain(case.x, training=False))),
        strict=True,
    )
    assert all(np.allclose(a, b, atol=tolerance, rtol=1e-3) for a, b in pairs)


def test_attention_stores_blocks():
    model = dsr_tf.sparsify(
        ZOO["encoder"]().model, 0.5, granularity=(2, 2), storage="blocks"
    )
    assert set(storages(model)) == {"blocks"}
    shapes = [tuple(x.kernel_shape) for x in sparse_layers(model)]
    assert (8, 2, 4) in shapes and (2, 4, 8) in shapes


def test_kernels_that_several_layers_hold_keep_masks(caplog):
    model = dense(layers.SpectralNormalization(layers.Dense(8, name="inner")))
    found = sparse(model)
    assert storages(found) == ["blocks", "masks", "blocks"]
    assert "whose kernel no other layer holds" in caplog.text
    # It divides the kernel by its norm, which it gets nearer at every call.
    for _ in range(50):
        found(X, training=True)
    inner = sparse_layers(found)[1].kernel.numpy()
    np.testing.assert_allclose(np.linalg.norm(inner, 2), 1, rtol=1e-2)


def test_blocks_need_a_granularity_of_blocks():
    with pytest.raises(ValueError, match="that of blocks, such as"):
        dsr_tf.sparsify(dense(), 0.5, storage="blocks")
    with pytest.raises(ValueError, match="`storage` must be"):
        sparse(storage="pool")


def test_the_largest_blocks_are_kept():
    net = dense()
    fit(net)
    found = sparse(net, keep="magnitude")
    for layer, old in zip(sparse_layers(found), net.layers, strict=True):
        units, kernel = layer.kernel_units, old.kernel.numpy()
        mask = layer.kernel_mask.numpy()
        means = units.magnitudes(kernel)
        kept = units.of_mask(mask)
        assert means[kept].min() >= means[~kept].max()
        assert (layer.kernel.numpy() == np.where(mask, kernel, 0)).all()
        assert (layer.bias.numpy() == old.bias.numpy()).all()


def test_in_place_there_may_be_no_slots_yet():
    net = dense()
    fit(net)
    before = net.get_weights()
    with pytest.raises(ValueError, match="Call `model.compile` again, with a"):
        sparse(net, in_place=True)
    assert equal(before, net.get_weights())
    net.compile("adam", LOSS)
    assert sparse(net, in_place=True) is net
    moved(net)
    with_masks = dense()
    fit(with_masks)
    fit(sparse(with_masks, "masks", in_place=True))


def test_models_train_on_once_they_are_dense_again():
    net = moved(sparse())
    y = net.predict(X, verbose=0)
    net.optimizer.learning_rate = 0.005
    dsr_tf.densify(net, in_place=True)
    np.testing.assert_allclose(net.predict(X, verbose=0), y, atol=1e-5)
    fit(net)
    assert float(net.optimizer.learning_rate) == np.float32(0.005)


def test_copies_of_models_with_wrappers_train():
    inputs = keras.Input((5, 8))
    x = layers.TimeDistributed(layers.Dense(6))(inputs)
    net = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))
    net.compile("adam", LOSS)
    found = sparse(net)
    x = RNG.normal(size=(16, 5, 8))
    found.fit(x, Y[:16], batch_size=4, verbose=0, callbacks=[dsr()])
    assert storages(found) == ["blocks", "blocks"]


def test_layers_that_are_shared_stay_one():
    inputs, one = keras.Input((8,)), layers.Dense(8)
    net = keras.Model(inputs, layers.Dense(3)(one(one(inputs))))
    net.compile("adam", LOSS)
    found = sparse(net)
    assert len(sparse_layers(found)) == 2
    moved(found)


def test_models_may_be_sparse_in_part():
    first = moved(sparse(sparse(include="one"), "masks"))
    assert storages(first) == ["blocks", "masks"]
    again = sparse(sparse(include="one"), keep="magnitude")
    assert storages(again) == ["blocks", "blocks"]
    before = sparse(include="one")
    second = sparse(before, "masks", seed=5)
    assert equal(masks(before), masks(second)[:1])
    assert storages(sparse(sparse(None, "masks", include="one"))) == [
        "masks",
        "blocks",
    ]


@pytest.mark.parametrize("target", ["masks", "blocks"])
@pytest.mark.parametrize("source", ["masks", "blocks"])
def test_masks_and_weights_go_from_any_storage_to_any(source, target):
    one, other = sparse(storage=source, seed=1), sparse(storage=target, seed=2)
    moved(one), fit(other)
    copy_masks(one, other)
    copy_weights(one, other)
    assert equal(masks(one), masks(other))
    assert close(one, other)
    fit(other)
    plain = dense()
    copy_weights(one, plain)
    assert close(one, plain)
    copy_weights(plain, other)
    assert close(one, other)


def test_keras_clones_begin_anew_and_take_weights_over():
    net = moved(sparse())
    clone = keras.models.clone_model(net)
    assert storages(clone) == storages(net)
    clone.set_weights(net.get_weights())
    assert equal(masks(net), masks(clone)) and close(net, clone)


def test_compiled_clones_load_weights_and_slots_of_other_counts(tmp_path):
    """Their optimizer has taken no step, and knows the first blocks only."""
    net = moved(sparse())
    net.save_weights(tmp_path / "net.weights.h5")
    clone = keras.models.clone_model(net)
    clone.load_weights(tmp_path / "net.weights.h5")
    assert equal(masks(net), masks(clone)) and close(net, clone)
    assert equal(
        [x.numpy() for x in net.optimizer.variables],
        [x.numpy() for x in clone.optimizer.variables],
    )
    fit(clone)


def test_weights_of_any_number_of_blocks_can_be_set():
    net = sparse()
    old = net.get_weights()
    moved(net)
    layer = net.layers[0]
    slots = layer.trained_kernel.slots()
    held = {
        int(p): slots[0].variable.numpy()[i]
        for i, p in enumerate(layer.kernel_positions.numpy())
    }
    net.set_weights(old)
    assert equal(old, net.get_weights())
    for i, position in enumerate(layer.kernel_positions.numpy()):
        row = slots[0].variable.numpy()[i]
        assert (row == held.get(int(position), 0 * row)).all()
    fit(net)


@pytest.mark.parametrize(
    "positions, message",
    [
        ([3, 1], "one integer or more, and ascend"),
        ([], "one integer or more"),
        ([0, 99], "below 32. Received: 0 to 99"),
        ([-1, 2], "must not be negative"),
    ],
)
def test_wrong_positions_are_refused(positions, message):
    layer = sparse().layers[0]
    with pytest.raises(ValueError, match=message):
        layer.kernel_positions.assign(np.array(positions, "int64"))


def test_the_best_weights_of_early_stopping_come_back():
    net = sparse()
    seen = []

    class Keep(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(net.get_weights())

    stopping = keras.callbacks.EarlyStopping(
        "loss", patience=3, mode="max", restore_best_weights=True
    )
    fit(net, dsr(), Keep(), stopping, epochs=6)
    assert equal(net.get_weights(), seen[stopping.best_epoch])
    assert any(len(a) != len(b) for a, b in zip(seen[0], seen[-1], strict=True))
    fit(net, dsr())


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_files_of_dense_models_go_under_the_masks(tmp_path, suffix):
    path, plain = tmp_path / f"dense{suffix}", dense()
    save = plain.save if suffix == ".keras" else plain.save_weights
    save(path)
    net = moved(sparse())
    before = masks(net)
    dsr_tf.load_dense_weights(net, path)
    assert equal(before, masks(net))
    for layer, old in zip(sparse_layers(net), plain.layers, strict=True):
        mask = layer.kernel_mask.numpy()
        expected = np.where(mask, old.kernel.numpy(), 0)
        assert (layer.kernel.numpy() == expected).all()
    fit(net, dsr())
    before = net.get_weights()
    dense(layers.Dense(9)).save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(ValueError, match="`path` must be a file that Keras"):
        dsr_tf.load_dense_weights(net, tmp_path / "other.weights.h5")
    assert equal(before, net.get_weights())


def test_a_dense_file_is_refused_where_blocks_are(tmp_path):
    dense().save_weights(tmp_path / "dense.weights.h5")
    with pytest.raises(ValueError, match="can load only a file that a layer"):
        sparse().load_weights(tmp_path / "dense.weights.h5")


def test_summary_and_logs_know_blocks(tmp_path):
    net = moved(sparse())
    rows = dsr_tf.summary(net).layers
    assert [x.storage for x in rows] == ["blocks", "blocks"]
    assert [x.active for x in rows] == counts(net)
    fit(net, dsr(), SparsityLogger(tmp_path), epochs=2)
    assert list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def digits():
    return load_images("digits", train_examples=100)


def run(path, digits, kill_at=0):
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(3)
    net = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Flatten(),
            BlockDense(16, 0.5, (4, 4), activation="relu"),
            layers.BatchNormalization(),
            BlockDense(10, 0.5, (4, 5)),
        ]
    )
    net.compile(
        keras.optimizers.Adam(0.01),
        LOSS,
        metrics=["accuracy"],
        jit_compile=False,
    )
    resumable_fit(
        net,
        lambda epoch, step: digits.train_batches(20, 0, epoch, step),
        Checkpoint(path, every_steps=2),
        epochs=4,
        steps_per_epoch=5,
        callbacks=[DSR(10, 3, initial_threshold=0.1), KillAt(kill_at)],
    )
    return net


@pytest.mark.slow
def test_resumed_runs_are_the_run_to_the_bit(tmp_path, digits):
    whole = run(tmp_path / "whole", digits)
    for kill_at in (4, 11):
        with pytest.raises(Killed):
            run(tmp_path / "killed", digits, kill_at)
    resumed = run(tmp_path / "killed", digits)
    assert equal(whole.get_weights(), resumed.get_weights())
    assert equal(whole.optimizer.variables, resumed.optimizer.variables)
    first = BlockDense(16, 0.5, (4, 4))
    first.build((None, 64))
    assert sparse_layers(resumed)[0].num_active != first.num_active


def test_backups_of_keras_bring_blocks_back(tmp_path):
    def backup():
        return keras.callbacks.BackupAndRestore(tmp_path / "backup")

    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise Killed

    net = sparse()
    with pytest.raises(Killed):
        fit(net, dsr(), backup(), Stop(), epochs=4)
    other, seen = sparse(), []

    class Look(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            seen.append((epoch, other.get_weights()))

    fit(other, dsr(), backup(), Look(), epochs=3)
    assert seen[0][0] == 2 and equal(seen[0][1], net.get_weights())


def test_checkpoints_of_tensorflow_hold_blocks(tmp_path):
    net = moved(sparse())
    holder = tf.train.Checkpoint(model=net, optimizer=net.optimizer)
    path = holder.save(tmp_path / "c")
    saved = net.get_weights(), [x.numpy() for x in net.optimizer.variables]
    fit(net, dsr(), epochs=2)
    holder.restore(path)
    assert equal(saved[0], net.get_weights())
    assert equal(saved[1], net.optimizer.variables)
    fit(net, dsr())
