import keras
import numpy as np
import pytest
import tensorflow as tf

from dsr_tf.callbacks import DeepR
from dsr_tf.layers import SparseConv2D
from dsr_tf.layers import SparseDense
from dsr_tf.layers import sparse_layers

RNG = np.random.default_rng(0)
X = RNG.normal(size=(320, 6, 6, 1)).astype("float32")
Y = RNG.integers(0, 3, size=320)


def model(optimizer=None, **compile_args):
    keras.utils.set_random_seed(0)
    net = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            SparseConv2D(8, 3, 0.5, name="conv"),
            keras.layers.Flatten(),
            SparseDense(20, 0.8, activation="relu", name="hidden"),
            SparseDense(3, 0.3, name="logits"),
        ]
    )
    net.compile(
        optimizer or keras.optimizers.SGD(0.05, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        **compile_args,
    )
    return net


def fit(net, *callbacks, epochs=2):
    return net.fit(
        X, Y, batch_size=16, epochs=epochs, verbose=0, shuffle=False,
        callbacks=list(callbacks),
    )  # fmt: skip


def counts(net):
    return [layer.num_active for layer in sparse_layers(net)]


def flat_kernels(net):
    return [x.kernel.numpy().ravel() for x in sparse_layers(net)]


class Frozen(keras.callbacks.Callback):
    """Records weights before the callback under test sees them."""

    def __init__(self):
        super().__init__()
        self.kernels = []

    def on_train_batch_end(self, batch, logs=None):
        self.kernels.append(flat_kernels(self.model))


def test_step_worked_by_hand():
    # Inputs of 1, error -1 a unit for the target 0 - y: with MSE over 2 units
    # the gradient of every active weight in a column is y. SGD of rate 1:
    #   column 0: weights .5, -.2: y = .3; they become .2 and -.5.
    #   column 1: weights .1, .3: y = .4; they become -.3 and -.1: both flip.
    layer = SparseDense(2, 0.5, use_bias=False)
    net = keras.Sequential([keras.Input((4,)), layer])
    layer.set_mask([[1, 0], [1, 0], [0, 1], [0, 1]])
    layer.kernel.assign([[0.5, 0.0], [-0.2, 0.0], [0.0, 0.1], [0.0, 0.3]])
    net.compile(keras.optimizers.SGD(1.0), "mse")
    x = np.ones((1, 4), np.float32)
    rewire = DeepR(0.0)
    net.fit(x, np.zeros((1, 2)), callbacks=[rewire], verbose=0)
    kernel, mask = layer.kernel.numpy(), layer.kernel_mask.numpy()
    assert kernel[:2, 0] == pytest.approx([0.2, -0.5])
    # Both went, and two others came, at 0: not where they were.
    assert mask[:2, 0].tolist() == [1, 1] and mask[2:, 1].tolist() == [0, 0]
    assert mask.sum() == 4
    assert np.count_nonzero(kernel) == 2
    assert rewire.state.weights_moved == 2


def test_counts_of_every_layer_stay():
    net = model()
    before = counts(net)
    rewire = DeepR(1e-4)
    history = fit(net, rewire)
    assert counts(net) == before
    assert rewire.state.weights_moved > 0
    assert rewire.state.num_reallocations == 40
    moved = history.history["weights_moved"]
    assert sum(moved) == rewire.state.weights_moved
    for layer in sparse_layers(net):
        assert not layer.kernel.numpy()[layer.kernel_mask.numpy() == 0].any()


def test_no_weight_keeps_a_sign_it_did_not_begin_with():
    net = model()
    rewire = DeepR(1e-4)
    fit(net, rewire)
    for weights, signs in zip(
        flat_kernels(net), rewire.reallocator.arrays.values, strict=True
    ):
        assert (weights * signs.numpy() >= 0).all()


def test_signs_are_recorded_before_the_first_step():
    net = model(keras.optimizers.SGD(0.0))
    fit(net, rewire := DeepR(0.0), epochs=1)
    assert rewire.state.weights_moved == 0


def test_noise_is_on_active_weights_alone_and_of_its_size():
    # No gradient: what changes is noise. N(0, 2 * .01 * T), sd .01.
    layer = SparseDense(500, 0.5, use_bias=False)
    net = keras.Sequential([keras.Input((40,)), layer])
    net.compile(keras.optimizers.SGD(0.0), "mse")
    layer.kernel.assign(layer.kernel_mask.numpy().astype("float32"))
    rewire = DeepR(0.005, noise_rate=0.01)
    x = np.zeros((1, 40), np.float32)
    net.fit(x, np.zeros((1, 500)), callbacks=[rewire], verbose=0)
    mask, kernel = layer.kernel_mask.numpy(), layer.kernel.numpy()
    assert not kernel[mask == 0].any()
    noise = kernel[mask == 1] - 1
    assert noise.std() == pytest.approx(0.01, rel=0.03)
    assert abs(noise.mean()) < 0.0004
    assert rewire.state.weights_moved == 0


def test_slots_of_moved_weights_start_afresh():
    net = model(keras.optimizers.Adagrad(0.05))
    watch = Frozen()
    fit(net, watch, rewire := DeepR(1e-3), epochs=1)
    slots = [v for v in net.optimizer.variables if "accumulator" in v.path]
    layer = net.get_layer("hidden")
    slot = next(s for s in slots if s.shape == layer.kernel.shape).numpy()
    index = sparse_layers(net).index(layer)
    # Came in the last step: 0 after it, and active.
    new = (layer.kernel_mask.numpy() == 1) & (layer.kernel.numpy() == 0)
    assert new.any() and not watch.kernels[-1][index][new.ravel()].any()
    assert (slot[layer.kernel_mask.numpy() == 0] == np.float32(0.1)).all()
    assert (slot[new] == np.float32(0.1)).all()
    assert rewire.state.weights_moved > 0


def test_equal_seeds_give_equal_runs():
    runs = []
    for seed in (0, 0, 1):
        net = model()
        fit(net, DeepR(1e-4, seed=seed))
        runs.append(net.get_weights())
    assert all((a == b).all() for a, b in zip(*runs[:2], strict=True))
    assert any((a != b).any() for a, b in zip(*runs[1:], strict=True))


def test_stop_epoch_ends_noise_and_rewiring():
    net = model()
    history = fit(net, DeepR(1e-4, stop_epoch=1))
    moved = history.history["weights_moved"]
    assert moved[0] > 0 and moved[1] == 0


@pytest.mark.parametrize(
    "temperature",
    [{0: 0.0, 1: 0.02}, lambda moment: 0.02 * (moment.step > 20)],
    ids=["by epoch", "function"],
)
def test_temperature_follows_its_schedule(temperature):
    # N(0, 2 * 1 * .02) is of standard deviation .2. Nothing else changes the
    # weights, and all are too far from 0 to flip.
    net = model(keras.optimizers.SGD(0.0))
    layer = net.get_layer("hidden")
    layer.kernel.assign(10 * layer.kernel_mask.numpy())
    rewire, watch = DeepR(temperature, noise_rate=1.0), Frozen()
    fit(net, rewire, watch)
    mask = layer.kernel_mask.numpy().ravel()
    hidden = [kernels[1][mask] for kernels in watch.kernels]
    assert (hidden[19] == 10).all()
    for before, after in zip(hidden[19:], hidden[20:], strict=False):
        assert (after - before).std() == pytest.approx(0.2, rel=0.1)


def test_full_layers_have_nowhere_to_move():
    net = keras.Sequential([keras.Input((36,)), SparseDense(3, 0.0)])
    net.compile("sgd", "mse")
    x = X.reshape(320, 36)
    net.fit(x, np.zeros((320, 3)), callbacks=[DeepR(1.0)], verbose=0)
    assert counts(net) == [108]


def test_full_layers_among_others_keep_their_counts():
    net = keras.Sequential(
        [
            keras.Input((36,)),
            SparseDense(10, 0.9, activation="tanh"),
            SparseDense(8, 0.0, activation="tanh"),
            SparseDense(3, 0.05),
        ]
    )
    net.compile("sgd", "mse")
    before = counts(net)
    x = X.reshape(320, 36)
    rewire = DeepR(0.1)
    net.fit(x, np.zeros((320, 3)), callbacks=[rewire], verbose=0)
    assert counts(net) == before and rewire.state.weights_moved > 0


def test_resumed_run_equals_an_uninterrupted_one(tmp_path):
    whole = model()
    fit(whole, DeepR(1e-4), epochs=4)

    def checkpoint(net, rewire):
        state = rewire.reallocator_of(net).state
        return tf.train.Checkpoint(model=net, optimizer=net.optimizer, **state)

    half, rewire = model(), DeepR(1e-4)
    fit(half, rewire, epochs=2)
    path = checkpoint(half, rewire).save(tmp_path / "ckpt")
    again, rewire = model(), DeepR(1e-4)
    again.optimizer.build(again.trainable_variables)
    # Into a callback that has not trained yet.
    checkpoint(again, rewire).restore(path)
    again.fit(
        X, Y, batch_size=16, epochs=4, initial_epoch=2, verbose=0,
        shuffle=False, callbacks=[rewire],
    )  # fmt: skip
    pairs = zip(whole.get_weights(), again.get_weights(), strict=True)
    assert all((a == b).all() for a, b in pairs)


def test_training_in_parts_equals_training_at_once():
    # Signs of weights of exactly 0 have to stay between the parts.
    whole, parts = model(), model()
    fit(whole, DeepR(1e-4), epochs=4)
    rewire = DeepR(1e-4)
    for epoch in range(4):
        parts.fit(
            X, Y, batch_size=16, epochs=epoch + 1, initial_epoch=epoch,
            verbose=0, shuffle=False, callbacks=[rewire],
        )  # fmt: skip
    pairs = zip(whole.get_weights(), parts.get_weights(), strict=True)
    assert all((a == b).all() for a, b in pairs)


def test_every_model_has_signs_of_its_own():
    rewire = DeepR(0.0)
    fit(first := model(), rewire)
    signs = [x.numpy() for x in rewire.reallocator.arrays.values]
    other = keras.Sequential([keras.Input((36,)), SparseDense(3, 0.5)])
    other.compile(keras.optimizers.SGD(0.0), "mse")
    x = X.reshape(320, 36)
    other.fit(x, np.zeros((320, 3)), callbacks=[rewire], verbose=0)
    assert rewire.state.weights_moved == 0
    assert rewire.reallocator.arrays.values[0].shape == (108,)
    kept = rewire.reallocator_of(first).arrays.values
    assert all((a == b.numpy()).all() for a, b in zip(signs, kept, strict=True))


def test_weights_assigned_between_fits_count_by_their_sign():
    # Now negative, of a layer whose weights were all positive.
    layer = SparseDense(20, 0.5, use_bias=False)
    net = keras.Sequential([keras.Input((36,)), layer])
    net.compile(keras.optimizers.SGD(0.0), "mse")
    x, y = X.reshape(320, 36), np.zeros((320, 20))
    rewire = DeepR(0.0)
    for sign in (1.0, -1.0):
        layer.kernel.assign(sign * layer.kernel_mask.numpy())
        net.fit(x, y, callbacks=[rewire], verbose=0)
    assert rewire.state.weights_moved == 0


class Poison(keras.callbacks.Callback):
    """Makes a weight of a layer NaN or infinite after batch 3."""

    def __init__(self, layer, value):
        super().__init__()
        self.layer, self.value = layer, value

    def on_train_batch_end(self, batch, logs=None):
        if batch == 3:
            kernel = self.layer.kernel.numpy()
            kernel[np.nonzero(self.layer.kernel_mask.numpy())] = self.value
            self.layer.kernel.assign(kernel)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weight_that_is_not_finite_stops_training_at_its_step(bad):
    net = model()
    rewire, seen = DeepR(1e-4), []

    class Masks(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append([x.kernel_mask.numpy() for x in sparse_layers(net)])

    poison = Poison(net.get_layer("hidden"), bad)
    with pytest.raises(FloatingPointError, match="'hidden' at .* step 4. No"):
        fit(net, Masks(), poison, rewire)
    assert rewire.state.num_reallocations == 3
    # The masks that the last step found.
    for layer, mask in zip(sparse_layers(net), seen[-1], strict=True):
        assert (layer.kernel_mask.numpy() == mask).all()


def test_unbuilt_models_are_built_by_their_first_step():
    net = keras.Sequential([keras.layers.Flatten(), SparseDense(3, 0.5)])
    net.compile("sgd", "mse")
    net.fit(X, np.zeros((320, 3)), callbacks=[rewire := DeepR(1e-2)], verbose=0)
    assert rewire.state.weights_moved > 0 and counts(net) == [54]


def test_slices_have_no_sign():
    net = keras.Sequential(
        [
            keras.Input((6, 6, 4)),
            SparseConv2D(4, 3, 0.5, granularity="kernel", name="c"),
        ]
    )
    net.compile("sgd", "mse")
    with pytest.raises(ValueError, match="must be 'weight'.*in layer 'c'"):
        net.fit(
            np.zeros((1, 6, 6, 4)), np.zeros((1, 4, 4, 4)),
            callbacks=[DeepR(0.0)], verbose=0,
        )  # fmt: skip


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"temperature": -1.0}, "`temperature` must be a number of at least"),
        ({"temperature": {1: 0.1}}, "`temperature` must have a value for ep"),
        ({"temperature": {0: 1, 3: -1.0}}, "`temperature` must be a number of"),
        ({"temperature": 0.1, "noise_rate": -1}, "`noise_rate` must be a num"),
        ({"temperature": 0.1, "seed": -1}, "`seed` must be an integer"),
    ],
)
def test_arguments_are_checked_at_construction(kwargs, message):
    with pytest.raises(ValueError, match=message):
        DeepR(**kwargs)
