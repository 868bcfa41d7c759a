"""Models in code, with wrappers, and of classes of their own."""

import copy
import pickle
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras import ops

import dsr_tf
from dsr_tf.callbacks import DSR
from dsr_tf.callbacks import SET
from dsr_tf.callbacks import Checkpoint
from dsr_tf.callbacks import DeepR
from dsr_tf.callbacks import GradualPruning
from dsr_tf.layers import SparseDense
from dsr_tf.layers import sparse_layers
from dsr_tf.layers.slots import slots_of
from dsr_tf.layers.sparsified import Sparsified
from dsr_tf.layers.tree import all_layers
from dsr_tf.layers.walk import budgeted_parts
from tests.zoo import GAN
from tests.zoo import floats

RNG = np.random.default_rng(0)
X = RNG.normal(size=(32, 5, 6)).astype("float32")
Y = RNG.normal(size=(32, 2)).astype("float32")
SLOW = pytest.mark.slow


@keras.saving.register_keras_serializable(package="any")
class Coded(keras.Model):
    """Calls its layers in code, some of them in a list."""

    def __init__(self, width=8, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.reader = layers.Bidirectional(layers.LSTM(width))
        self.blocks = [layers.Dense(width, "relu"), layers.Dense(width)]
        self.head = layers.Dense(2, name="head")

    def call(self, x):
        x = self.reader(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x)

    def get_config(self):
        return {**super().get_config(), "width": self.width}


def coded():
    keras.utils.set_random_seed(0)
    model = Coded()
    model(X)
    return model


def recurrent(kind=layers.LSTM):
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [keras.Input((5, 6)), kind(8, name="recurrent"), layers.Dense(2)]
    )


def masks(model):
    return [x.kernel_mask.numpy() for x in sparse_layers(model)]


def active(model):
    return [x.num_active for x in sparse_layers(model)]


def all_equal(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def assert_same(one, other):
    assert all_equal(masks(one), masks(other))
    assert all_equal(one.get_weights(), other.get_weights())
    assert np.array_equal(one(X), other(X))


def assert_clean(model):
    """Asserts that kernels and slots are as new outside the masks."""
    slots = slots_of(model.optimizer)
    for part in sparse_layers(model):
        outside = ~part.kernel_mask.numpy()
        assert outside.any()
        assert not part.kernel.value.numpy()[outside].any()
        for slot in slots[id(part.kernel)]:
            values = slot.variable.numpy()[outside]
            assert (values == np.float32(slot.initial_value)).all()


def fit(model, *callbacks, epochs=2, **kwargs):
    return model.fit(
        X, Y, batch_size=8, epochs=epochs, shuffle=False, verbose=0,
        callbacks=list(callbacks), **kwargs,
    )  # fmt: skip


def moves(**kwargs):
    return DSR(10, period=2, initial_threshold=0.05, **kwargs)


def test_layers_in_wrappers_are_densified_with_their_last_masks(tmp_path):
    inner = keras.Sequential([SparseDense(8, 0.5), SparseDense(4, 0.5)])
    model = keras.Sequential(
        [
            keras.Input((5, 6)),
            layers.TimeDistributed(SparseDense(8, 0.5)),
            layers.TimeDistributed(inner),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    model.compile("adam", "mse")
    first = masks(model)
    fit(model, moves())
    assert not all_equal(first, masks(model))
    plain = dsr_tf.densify(model)
    assert not sparse_layers(plain)
    assert np.array_equal(plain(X), model(X))
    for format in ("saved_model", "saved_model_dense"):
        dsr_tf.export(model, tmp_path / format, format, verbose=False)
        served = tf.saved_model.load(tmp_path / format)
        assert np.allclose(served.serve(X), model(X), atol=1e-5)


@pytest.mark.parametrize(
    "keep, in_place", [("random", True), ("magnitude", False)]
)
def test_what_is_sparse_stays_as_it_was(keep, in_place):
    model = dsr_tf.sparsify(coded(), 0.6, include="dense*")
    model.compile("adam", "mse")
    fit(model, moves())
    before = [x.kernel.numpy() for x in sparse_layers(model)]
    assert len(before) == 2
    both = dsr_tf.sparsify(
        model, 0.5, include=layers.LSTM, keep=keep, in_place=in_place
    )
    lstm = [x for x in sparse_layers(both) if "lstm" in x.name]
    dense = [x for x in sparse_layers(both) if "lstm" not in x.name]
    assert len(lstm) == 4 and (both is model) == in_place
    assert all_equal(before, [x.kernel.numpy() for x in dense])
    size = sum(x.kernel_units.num_weights for x in lstm)
    assert sum(x.num_active for x in lstm) == size // 2


def test_all_sparse_is_refused_with_a_reason():
    model = dsr_tf.sparsify(recurrent(), 0.5)
    with pytest.raises(ValueError, match="recurrent.*sparse already"):
        dsr_tf.sparsify(model, 0.5)


def test_masks_can_be_drawn_in_two_goes():
    model = dsr_tf.sparsify(recurrent(), 0.5, include="dense*")
    both = dsr_tf.sparsify(model, 0.75, include="recurrent")
    assert active(both) == [6 * 32 // 4, 8 * 32 // 4, 8]
    assert np.array_equal(
        both.layers[-1].kernel.numpy(), model.layers[-1].kernel.numpy()
    )


def test_models_inside_a_layer_are_named_by_their_containers():
    inputs = keras.Input((5, 6))
    x = layers.MultiHeadAttention(2, 3, name="mha")(inputs, inputs)
    model = keras.Model(inputs, layers.Dense(4, name="out")(x))
    sparse = dsr_tf.sparsify(model, 0.5, include="mha")
    names = [x.name for x in sparse_layers(sparse)]
    assert sorted(names) == ["attention_output", "key", "query", "value"]
    assert type(sparse.get_layer("out")) is layers.Dense


@pytest.mark.parametrize(
    "pattern, expected",
    [
        ("top/mha/query", ["top/mha/query"]),
        ("top/*/query", ["top/mha/query"]),
        ("top/mha", [f"top/mha/{x}" for x in "query key value out".split()]),
        (re.compile("mha/(query|key)$"), ["top/mha/query", "top/mha/key"]),
        ("other/*", ["other/table", "other/query"]),
        ("*/table", ["other/table"]),
    ],
)
def test_paths_are_patterns(pattern, expected):
    x = inputs = keras.Input((5, 6))
    mha = layers.MultiHeadAttention(2, 3, name="mha")
    top = keras.Model(inputs, mha(x, x), name="top")
    ids = keras.Input((5,), dtype="int32")
    y = layers.Embedding(9, 6, name="table")(ids)
    y = layers.Dense(6, name="query")(y)
    other = keras.Model(ids, y, name="other")
    model = keras.Model([inputs, ids], top(inputs) + other(ids))
    sparse = dsr_tf.sparsify(model, 0.5, include=pattern)
    report = dsr_tf.summary(sparse, print_fn=None)
    found = [x.name for x in report.layers if x.sparsity]
    assert [x.replace("attention_output", "out") for x in found] == expected


@pytest.mark.parametrize("in_place", [False, True])
def test_layers_with_lora_stay_dense(in_place):
    tuned = layers.Dense(6, name="tuned")
    model = keras.Sequential([keras.Input((6,)), tuned, layers.Dense(2)])
    tuned.enable_lora(2)
    with pytest.raises(ValueError, match="tuned .Dense: LoRA adds to its ker"):
        dsr_tf.sparsify(model, 0.5, include="tuned", in_place=in_place)
    tuned.lora_kernel_b.assign(RNG.normal(size=(2, 6)))
    before = model(X[:, 0])
    sparse = dsr_tf.sparsify(model, 0.0, in_place=in_place)
    assert type(sparse.layers[0]) is layers.Dense
    assert type(sparse.layers[1]) is SparseDense
    assert np.array_equal(sparse(X[:, 0]), before)


def test_layers_with_lora_are_not_hashed():
    tuned = layers.Dense(6, name="tuned")
    model = keras.Sequential([keras.Input((6,)), tuned, layers.Dense(2)])
    tuned.enable_lora(2)
    hashed = dsr_tf.hash_kernels(model, 0.5)
    kinds = [layers.Dense, dsr_tf.layers.HashedDense]
    assert [type(x) for x in hashed.layers] == kinds


def test_a_pattern_that_matches_nothing_says_why_of_each_layer():
    inputs = keras.Input((8, 8, 3))
    x = layers.DepthwiseConv2D(3, name="depth")(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.Flatten(name="flat")(x)
    model = keras.Model(inputs, layers.Dense(3, name="out")(x))
    with pytest.raises(ValueError) as caught:
        dsr_tf.sparsify(model, 0.5, include="depth")
    text = str(caught.value)
    assert "none of these: out" in text
    assert "depth (DepthwiseConv2D: depthwise)" in text
    assert "norm (BatchNormalization: no kernel)" in text
    assert "flat (Flatten: no kernel)" in text


def test_little_that_becomes_sparse_is_said(caplog):
    inputs = keras.Input((5,), dtype="int32")
    x = layers.Embedding(1000, 4, name="table")(inputs)
    model = keras.Model(inputs, layers.Dense(2)(x), name="words")
    dsr_tf.sparsify(model, 0.5)
    # 8 of 4,008 weights.
    assert "0.2 % of the kernel weights of model 'words'" in caplog.text
    assert "table (4,000: 'embeddings'" in caplog.text
    caplog.clear()
    dsr_tf.sparsify(model, 0.5, include=["table", "dense*"])
    assert "kernel weights" not in caplog.text


def test_functions_as_layers_stay():
    doubled = layers.Lambda(lambda x: x * 2)
    model = keras.Sequential(
        [keras.Input((5, 6)), doubled, layers.LSTM(4), layers.Dense(2)]
    )
    sparse = dsr_tf.sparsify(model, 0.5)
    plain = dsr_tf.densify(sparse)
    assert np.array_equal(plain(X), sparse(X))


@keras.saving.register_keras_serializable(package="any")
class Hub(keras.Model):
    """A functional model with arguments and a config of its own."""

    def __init__(self, width=8, **kwargs):
        inputs = keras.Input((5, 6))
        x = layers.Dense(width, name="hidden")(inputs)
        x = layers.Flatten()(x)
        super().__init__(inputs, layers.Dense(2, name="head")(x), **kwargs)
        self.width = width

    def get_config(self):
        return {"name": self.name, "width": self.width}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def test_functional_subclasses_with_a_config_of_their_own_are_copied():
    model = Hub(6, name="hub")
    sparse = dsr_tf.sparsify(model, 0.5)
    assert isinstance(sparse, Hub) and sparse.width == 6
    assert [x.name for x in sparse_layers(sparse)] == ["hidden", "head"]
    plain = dsr_tf.densify(sparse)
    assert type(plain) is Hub
    assert np.array_equal(plain(X), sparse(X))


class Still(keras.Sequential):
    """A sequential model with a training step of its own, which is none."""

    def train_step(self, data):
        return {"loss": ops.zeros(())}


@pytest.mark.parametrize("nested", [False, True])
def test_sequential_subclasses_keep_their_class(nested):
    model = Still([keras.Input((6,)), layers.Dense(4, name="hidden")])
    model.compile("sgd", "mse")
    outer = keras.Sequential([keras.Input((6,)), model]) if nested else model
    sparse = dsr_tf.sparsify(outer, 0.5)
    for copied in sparse, dsr_tf.densify(sparse):
        found = copied.layers[0] if nested else copied
        assert type(found) is Still and found.compiled
        before = found.get_weights()
        found.fit(X[:, 0], X[:, 0, :4], verbose=0)
        assert all_equal(before, found.get_weights())
        assert [x.name for x in found.layers] == ["hidden"]


class NeedsUnits(layers.Layer):
    """A layer whose config lacks an argument."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.inner = layers.Dense(units)

    def call(self, inputs):
        return self.inner(inputs)

    def get_config(self):
        return {"name": self.name}


class Square(keras.regularizers.Regularizer):
    """A penalty that Keras does not know."""

    def __call__(self, x):
        return ops.sum(x**2)

    def get_config(self):
        return {}


@pytest.mark.parametrize(
    "layer, message",
    [
        (NeedsUnits(3), "class NeedsUnits.*missing 1 required.*'units'"),
        (
            layers.Dense(3, name="own", kernel_regularizer=Square()),
            "Dense .*Square",
        ),
        (layers.BatchNormalization(gamma_regularizer=Square()), "Square"),
    ],
)
def test_layers_that_cannot_be_copied_say_why(layer, message):
    model = keras.Sequential([keras.Input((6,)), layer, layers.Dense(2)])
    with pytest.raises(ValueError, match=message) as error:
        dsr_tf.sparsify(model, 0.5)
    # The command line, which has no such argument, shows no notes.
    assert "in_place" not in str(error.value)
    (note,) = error.value.__notes__
    assert note == "Or convert the model itself, by `in_place=True`."
    assert dsr_tf.sparsify(model, 0.5, in_place=True) is model


@pytest.mark.parametrize("make", [coded, recurrent])
def test_dense_files_quantization_and_lora_are_refused(make, tmp_path):
    model = make()
    sparse = dsr_tf.sparsify(model, 0.5)
    model.save_weights(tmp_path / "dense.weights.h5")
    with pytest.raises(ValueError, match="dsr_tf.load_dense_weights"):
        sparse.load_weights(tmp_path / "dense.weights.h5")
    before = sparse.get_weights()
    with pytest.raises(ValueError, match="must be called on a model without"):
        sparse.quantize("int8")
    assert all_equal(before, sparse.get_weights())
    dense = next(x for x in all_layers(sparse) if isinstance(x, layers.Dense))
    with pytest.raises(ValueError, match="LoRA"):
        dense.enable_lora(2)
    assert np.isfinite(sparse(X)).all()


def changed(callback, **compile_args):
    """Trains an LSTM, and returns it, with its masks before."""
    sparse = dsr_tf.sparsify(recurrent(), 0.5)
    before = masks(sparse)
    sparse.compile(keras.optimizers.Adam(0.01), "mse", **compile_args)
    fit(sparse, callback)
    return sparse, before


@pytest.mark.parametrize("jit_compile", [False, True])
def test_weights_of_recurrent_layers_move_within_the_budget(jit_compile):
    sparse, before = changed(moves(), jit_compile=jit_compile)
    assert not all_equal(before, masks(sparse))
    assert sum(active(sparse)) == sum(m.sum() for m in before)
    assert_clean(sparse)


@pytest.mark.slow
def test_all_methods_train_recurrent_layers():
    for callback in (SET(0.3, period=2), DeepR(1e-3)):
        sparse, before = changed(callback)
        assert not all_equal(before, masks(sparse)), callback
        assert active(sparse) == [int(m.sum()) for m in before]
        assert_clean(sparse)
    sparse, _ = changed(GradualPruning(0.9, num_prunes=3, period=2))
    size = sum(m.size for m in masks(sparse))
    assert sum(active(sparse)) == pytest.approx(0.1 * size, abs=3)
    assert_clean(sparse)


def resumable(epochs, folder, begin=0):
    sparse = dsr_tf.sparsify(coded(), 0.6)
    sparse.compile(keras.optimizers.Adam(0.01), "mse")
    callback = moves()
    checkpoint = Checkpoint(folder, callback)
    fit(sparse, callback, checkpoint, epochs=epochs, initial_epoch=begin)
    return sparse


@pytest.mark.slow
def test_models_in_code_resume_to_the_bit(tmp_path):
    whole = resumable(4, tmp_path / "whole")
    resumable(2, tmp_path / "parts")
    parts = resumable(4, tmp_path / "parts", begin=2)
    assert_same(whole, parts)
    pairs = zip(
        whole.optimizer.variables, parts.optimizer.variables, strict=True
    )
    assert all(np.array_equal(a, b) for a, b in pairs)


FRESH = """
import pickle, sys
import keras, numpy as np
import dsr_tf
for name in ("model.keras", "model.pickle"):
    path = f"{sys.argv[1]}/{name}"
    if name == "model.keras":
        model = keras.models.load_model(path)
    else:
        model = pickle.load(open(path, "rb"))
    x, y = (np.load(f"{sys.argv[1]}/{n}.npy") for n in "xy")
    assert np.array_equal(model(x), y), name
    kinds = [type(x).__name__ for x in model.layers]
    assert "SparseLSTM" in kinds, kinds
"""


def test_files_load_in_a_new_process(tmp_path):
    model = dsr_tf.sparsify(recurrent(), 0.5)
    model.save(tmp_path / "model.keras")
    (tmp_path / "model.pickle").write_bytes(pickle.dumps(model))
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", model(X))
    done = subprocess.run(
        [sys.executable, "-c", FRESH, tmp_path],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def trained(make=coded):
    model = dsr_tf.sparsify(make(), 0.6)
    model.compile(keras.optimizers.Adam(0.01), "mse")
    fit(model, moves())
    return model


@pytest.mark.parametrize("make", [coded, pytest.param(recurrent, marks=SLOW)])
@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_copies_are_whole_and_apart(make, copied):
    model = trained(make)
    other = copied(model)
    assert_same(model, other)
    old = masks(model)
    fit(other, moves(seed=1))
    assert all_equal(old, masks(model))
    assert not all_equal(old, masks(other))
    assert sum(active(other)) == sum(active(model))


@pytest.mark.parametrize("make", [coded, recurrent])
def test_keras_makes_new_models_of_equal_kinds(make):
    model = trained(make)
    if make is coded:
        other = type(model).from_config(model.get_config())
        other(X)
    else:
        other = keras.models.clone_model(model)
    assert [type(x) for x in all_layers(other)] == [
        type(x) for x in all_layers(model)
    ]
    assert sum(active(other)) == sum(active(model))
    dsr_tf.layers.copy_masks(model, other)
    dsr_tf.layers.copy_weights(model, other)
    assert_same(model, other)


@pytest.mark.parametrize(
    "name", ["sgd", *(pytest.param(x, marks=SLOW) for x in ("adam", "adagrad"))]
)
def test_a_model_that_was_trained_dense_goes_on_sparse(name):
    optimizer = keras.optimizers.get(name)
    if name == "sgd":
        optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    model = coded()
    model.compile(optimizer, "mse")
    fit(model, epochs=1)
    sparse = dsr_tf.sparsify(model, 0.6, in_place=True)
    assert sparse is model and isinstance(model, Sparsified)
    assert int(model.optimizer.iterations.numpy()) == 4
    budget = sum(active(model))
    history = fit(model, moves(), epochs=2).history
    assert int(model.optimizer.iterations.numpy()) == 12
    assert sum(active(model)) == budget and sum(history["weights_moved"]) > 0
    assert_clean(model)


def test_weights_of_a_trained_model_are_0_without_a_callback():
    model = coded()
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "mse")
    fit(model, epochs=1)
    dsr_tf.sparsify(model, 0.6, in_place=True)
    fit(model, epochs=1)
    for part in sparse_layers(model):
        outside = ~part.kernel_mask.numpy()
        assert not part.kernel.value.numpy()[outside].any()


def test_predictions_that_were_compiled_before_are_of_the_sparse_model():
    model = coded()
    model.compile("sgd", "mse")
    model.predict(X, verbose=0)
    model.evaluate(X, Y, verbose=0)
    dsr_tf.sparsify(model, 0.9, in_place=True)
    assert np.allclose(model.predict(X, verbose=0), model(X), atol=1e-6)


@keras.saving.register_keras_serializable(package="any")
class Taught(keras.Model):
    """Makes layers in code that learn by `adapt`."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.lookup = layers.IntegerLookup()
        self.table = layers.Embedding(9, 6)
        self.norm = layers.Normalization()
        self.head = layers.Dense(3)

    def call(self, x):
        rows = self.table(self.lookup(x))
        return self.head(rows + self.norm(ops.cast(x, "float32"))[..., None])


def test_what_layers_in_code_were_taught_is_copied():
    model, x = Taught(), np.array([[1, 5, 7], [9, 7, 4]])
    for layer in (model.lookup, model.norm):
        layer.adapt(x)
    y = model(x)
    sparse = dsr_tf.sparsify(model, 0.0)
    assert np.array_equal(sparse(x), y)
    assert np.array_equal(dsr_tf.densify(sparse)(x), y)


@pytest.mark.parametrize("in_place", [False, True])
def test_what_is_frozen_stays_frozen(in_place):
    model = coded()
    model.reader.trainable = False
    model.blocks[1].trainable = False
    frozen = [x.trainable for x in all_layers(model)]
    count = len(model.trainable_weights)
    sparse = dsr_tf.sparsify(model, 0.5, in_place=in_place)
    assert [x.trainable for x in all_layers(sparse)] == frozen
    assert len(sparse.trainable_weights) == count
    parts = {x.kernel.name: x.trainable for x in sparse_layers(sparse)}
    assert not parts["recurrent_kernel"] and parts["kernel"]
    plain = dsr_tf.densify(sparse)
    assert [x.trainable for x in all_layers(plain)] == frozen


@keras.saving.register_keras_serializable(package="any")
class Unembedding(layers.Layer):
    def __init__(self, table, **kwargs):
        super().__init__(**kwargs)
        self.table = table

    def call(self, x):
        return ops.matmul(x, ops.transpose(self.table.embeddings))

    def get_config(self):
        table = keras.saving.serialize_keras_object(self.table)
        return {**super().get_config(), "table": table}

    @classmethod
    def from_config(cls, config):
        table = keras.saving.deserialize_keras_object(config.pop("table"))
        return cls(table, **config)


def test_layers_that_a_copy_would_untie_are_converted_in_place():
    table = layers.Embedding(20, 8)
    inputs = keras.Input((5,), dtype="int32")
    x = layers.Dense(8)(table(inputs))
    model = keras.Model(inputs, Unembedding(table)(x))
    with pytest.raises(ValueError, match="shares 'embedding.*/embeddings'"):
        dsr_tf.sparsify(model, 0.5)
    count = len(model.weights)
    sparse = dsr_tf.sparsify(model, 0.5, in_place=True)
    assert len(sparse.weights) == count + 1


def test_models_whose_layers_are_not_built_say_what_to_do():
    model = Coded()
    with pytest.warns(UserWarning, match="does not have a `build"):
        model.build((None, 5, 6))
    with pytest.raises(ValueError, match="not built.*call it once"):
        dsr_tf.sparsify(model, 0.5)


def test_networks_of_two_optimizers_move_apart():
    model = GAN()
    model(floats(6))
    sparse = dsr_tf.sparsify(model, 0.5)
    sparse.compile(keras.optimizers.Adam(0.01))
    parts = (
        (sparse.generator, sparse.generator_optimizer),
        (sparse.discriminator, sparse.optimizer),
    )
    reallocators, first = [], []
    for network, optimizer in parts:
        optimizer.build(network.trainable_variables)
        first.append(masks(network))
        reallocators.append(
            dsr_tf.Reallocator(
                network, optimizer, dsr_tf.methods.set_method(0.5), period=1
            )
        )
    budgets = [x.num_active for x in reallocators]
    for _ in range(2):
        sparse.train_on_batch(floats(8, 8, 1))
        assert all([x.step() for x in reallocators])
    assert [x.num_active for x in reallocators] == budgets
    for (network, _), before in zip(parts, first, strict=True):
        assert not all_equal(before, masks(network))
    plain = dsr_tf.densify(sparse)
    assert np.array_equal(plain(floats(6)), sparse(floats(6)))


def test_magnitude_keeps_the_largest_weights_in_code():
    model = coded()
    sparse = dsr_tf.sparsify(model, 0.5, keep="magnitude")
    pairs = zip(all_layers(model), all_layers(sparse), strict=True)
    kernels = [
        (getattr(old, x.kernel.name).numpy(), x)
        for old, new in pairs
        for x in budgeted_parts(new)
    ]
    assert len(kernels) == len(sparse_layers(sparse)) == 7
    for kernel, part in kernels:
        mask, size = part.kernel_mask.numpy(), np.abs(kernel)
        assert size[mask].min() >= size[~mask].max()
        assert np.array_equal(part.kernel.numpy(), kernel * mask)


def test_models_in_code_are_not_hashed():
    with pytest.raises(ValueError, match="head .Dense: no Dense .* of a graph"):
        dsr_tf.hash_kernels(coded(), 0.5)
