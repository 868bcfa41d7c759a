"""Every optimizer that Keras ships, alone and wrapped."""

import inspect

import keras
import numpy as np
import pytest

from dsr_tf.callbacks import DSR
from dsr_tf.callbacks import SNFS
from dsr_tf.layers import SparseConv2D
from dsr_tf.layers import SparseDense
from dsr_tf.layers import sparse_layers

WRAPPERS = ("LossScaleOptimizer", "MultiOptimizer", "Optimizer")
NAMES = [
    name
    for name, kind in vars(keras.optimizers).items()
    if inspect.isclass(kind)
    and issubclass(kind, keras.optimizers.Optimizer)
    and name not in WRAPPERS
]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 6, 6, 1)).astype("float32")
Y = RNG.integers(0, 3, size=64)


def alone(name, **arguments):
    if name == "Adafactor":
        # With Keras' 1e-30 every kernel, dense ones too, turns to NaN once
        # one of its rows and one of its columns have no gradient.
        arguments = {"epsilon_1": 1e-16, **arguments}
    return getattr(keras.optimizers, name)(learning_rate=0.02, **arguments)


def mapped(name):
    """Serves the convolution by one optimizer, and the others by another."""
    optimizers = keras.optimizers.OptimizerMap(keras.optimizers.Adam(0.02))
    optimizers["conv/.*"] = alone(name)
    return keras.optimizers.MultiOptimizer(optimizers)


FORMS = {
    "alone": alone,
    "scaled": lambda name: keras.optimizers.LossScaleOptimizer(alone(name)),
    "mapped": mapped,
}


def network(optimizer, **arguments):
    keras.utils.set_random_seed(0)
    net = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            SparseConv2D(8, 3, sparsity=0.5, seed=1, name="conv"),
            keras.layers.Flatten(),
            SparseDense(
                20, sparsity=0.8, seed=2, activation="relu", name="hidden"
            ),
            SparseDense(3, sparsity=0.5, seed=3, name="logits"),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    net.compile(optimizer, loss, **({"jit_compile": False} | arguments))
    return net


def slots(net, layer):
    """Returns the optimizer's variables of a kernel's shape: no two agree."""
    return [
        v.numpy()
        for v in net.optimizer.variables
        if v.shape == layer.kernel.shape
    ]


class Watch(keras.callbacks.Callback):
    """Checks kernels after every step, and slots where a mask has changed."""

    def on_train_begin(self, logs=None):
        self.layers = sparse_layers(self.model)
        if not self.model.optimizer.built:
            self.model.optimizer.build(self.model.trainable_variables)
        self.budget = sum(layer.num_active for layer in self.layers)
        self.masks = [layer.kernel_mask.numpy() for layer in self.layers]
        self.starts = [self._starts(layer) for layer in self.layers]
        self.moved = 0

    def _starts(self, layer):
        """Returns what slots start with: a number, or None for the weight."""
        kernel = layer.kernel.numpy()
        off = layer.kernel_mask.numpy() == 0
        return [
            None if (slot == kernel).all() else slot[off][0]
            for slot in slots(self.model, layer)
        ]

    def on_train_batch_end(self, batch, logs=None):
        assert self.budget == sum(layer.num_active for layer in self.layers)
        for i, layer in enumerate(self.layers):
            mask, kernel = layer.kernel_mask.numpy(), layer.kernel.numpy()
            assert np.isfinite(kernel).all()
            assert not kernel[mask == 0].any()
            changed = mask != self.masks[i]
            self.moved += changed.sum()
            pairs = zip(slots(self.model, layer), self.starts[i], strict=True)
            for slot, start in pairs:
                expected = kernel[changed] if start is None else start
                np.testing.assert_array_equal(slot[changed], expected)
            self.masks[i] = mask


def moves():
    return DSR(20, period=2, initial_threshold=0.05, regrow_stddev=0.01)


def fit(net, epochs=2, callback=None):
    watch = Watch()
    net.fit(
        X, Y, batch_size=16, epochs=epochs, verbose=0, shuffle=False,
        callbacks=[callback or moves(), watch],
    )  # fmt: skip
    assert watch.moved > 0
    return watch


def test_keras_has_the_optimizers_that_were_tried():
    assert len(NAMES) >= 14


@pytest.mark.parametrize(
    "form",
    [pytest.param(x, marks=[pytest.mark.slow] * (x != "alone")) for x in FORMS],
)
@pytest.mark.parametrize("name", NAMES)
def test_kernels_obey_their_masks_and_slots_follow(name, form):
    watch = fit(network(FORMS[form](name)))
    # Adafactor keeps rows and columns of large tensors, and no slot.
    assert any(watch.starts) or name in ("SGD", "Adafactor")


@pytest.mark.parametrize("name", NAMES)
def test_growth_by_scores_leaves_slots_as_new(name):
    fit(network(alone(name)), epochs=1, callback=SNFS(2, 0.3))


SETTINGS = {
    "accumulation": {"gradient_accumulation_steps": 2},
    "averages": {"use_ema": True, "ema_overwrite_frequency": 2},
    "averages at the end": {"use_ema": True},
    "clipnorm": {"clipnorm": 0.1},
    "clipvalue": {"clipvalue": 0.01},
    "global_clipnorm": {"global_clipnorm": 0.1},
    "decay": {"weight_decay": 0.1},
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_what_keras_adds_to_updates_obeys_the_mask(setting):
    net = network(alone("Adam", **SETTINGS[setting]))
    fit(net, epochs=4)
    for layer in sparse_layers(net):
        assert not layer.kernel.numpy()[layer.kernel_mask.numpy() == 0].any()


@pytest.mark.parametrize(
    "arguments", [{"jit_compile": True}, {"run_eagerly": True}]
)
@pytest.mark.parametrize("name", ["SGD", "Muon"])
def test_steps_may_be_compiled_or_eager(name, arguments):
    fit(network(alone(name), **arguments), epochs=1)


def test_steps_whose_loss_overflows_change_nothing():
    inner = keras.optimizers.SGD(0.02, momentum=0.9)
    scaled = keras.optimizers.LossScaleOptimizer(inner, initial_scale=2.0**127)
    net = network(scaled)
    before = [layer.kernel_mask.numpy() for layer in sparse_layers(net)]
    callback = moves()
    net.fit(1e4 * X, Y, batch_size=32, verbose=0, callbacks=[callback])
    assert scaled.iterations.numpy() == 0
    assert callback.state.num_reallocations == 0
    for layer, mask in zip(sparse_layers(net), before, strict=True):
        assert (layer.kernel_mask.numpy() == mask).all()
        assert not layer.kernel.numpy()[mask == 0].any()
    fit(net, epochs=40)
