import re

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers

import dsr_tf
from dsr_tf.convert.shares import share_out
from dsr_tf.layers import SparseConv1D
from dsr_tf.layers import SparseConv2D
from dsr_tf.layers import SparseConv3D
from dsr_tf.layers import SparseDense
from dsr_tf.layers import SparseEinsumDense
from dsr_tf.layers import sparse_layers
from dsr_tf.units import KERNEL
from dsr_tf.units import WEIGHT
from dsr_tf.units import Units

RNG = np.random.default_rng(0)


def mlp(**compile_args):
    model = keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(16, activation="relu", name="one"),
            layers.BatchNormalization(),
            layers.Dense(12, name="two"),
            layers.Dense(3, name="three"),
        ],
        name="mlp",
    )
    if compile_args:
        model.compile(**compile_args)
    return model


def residual():
    inputs = keras.Input((8, 8, 3))
    x = stem = layers.Conv2D(8, 3, padding="same", name="stem")(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU()(x)
    y = layers.Conv2D(16, 1, strides=2, name="a")(x)
    y = layers.Conv2D(16, 3, padding="same", name="b")(layers.ReLU()(y))
    y = layers.BatchNormalization()(layers.Conv2D(16, 1, name="c")(y))
    shortcut = layers.Conv2D(16, 1, strides=2, name="projection")(x)
    x = layers.Add()([y, layers.BatchNormalization()(shortcut)])
    y = layers.Conv2D(16, 1, name="d")(x)
    x = layers.Add()([x, y])
    x = layers.GlobalAveragePooling2D()(x)
    side = layers.GlobalAveragePooling2D()(stem)
    return keras.Model(
        inputs,
        [layers.Dense(5, name="logits")(x), layers.Dense(2, name="side")(side)],
        name="residual",
    )


def active(model):
    return {x.name: x.num_active for x in sparse_layers(model)}


def names(model):
    return [layer.name for layer in sparse_layers(model)]


def equal_outputs(one, other, *shape):
    x = RNG.normal(size=(4, *shape)).astype("float32")
    pairs = zip(
        keras.tree.flatten(one(x)), keras.tree.flatten(other(x)), strict=True
    )
    return all((np.asarray(a) == np.asarray(b)).all() for a, b in pairs)


def test_layers_become_sparse_with_names_and_weights():
    model = mlp()
    sparse = dsr_tf.sparsify(model, 0.75)
    assert names(sparse) == ["one", "two", "three"]
    assert sparse.name == "mlp"
    # 128 + 192 + 36 = 356 weights; int(.25 * 356 + .1) = 89.
    assert sum(active(sparse).values()) == 89
    for name in active(sparse):
        layer, old = sparse.get_layer(name), model.get_layer(name)
        mask = layer.kernel_mask.numpy()
        assert (layer.kernel.numpy() == old.kernel.numpy() * mask).all()
        assert (layer.bias.numpy() == old.bias.numpy()).all()
        assert layer.activation is old.activation
    # The model itself is as it was.
    assert not sparse_layers(model)


def test_at_sparsity_0_outputs_are_equal():
    model = residual()
    sparse = dsr_tf.sparsify(model, 0.0)
    assert equal_outputs(model, sparse, 8, 8, 3)


def test_first_convolution_and_projections_stay_dense():
    sparse = dsr_tf.sparsify(residual(), 0.5)
    assert sorted(names(sparse)) == ["a", "b", "c", "d", "logits", "side"]
    assert type(sparse.get_layer("stem")) is layers.Conv2D


def test_layers_left_dense_do_not_depend_on_what_is_frozen():
    model = residual()
    model.trainable = False
    sparse = dsr_tf.sparsify(model, 0.5)
    assert sorted(names(sparse)) == ["a", "b", "c", "d", "logits", "side"]


def test_projections_are_found_behind_activations_with_weights():
    inputs = keras.Input((8, 8, 4))
    x = layers.Conv2D(4, 3, padding="same", name="stem")(inputs)
    y = layers.Conv2D(8, 3, padding="same", name="a")(x)
    shortcut = layers.Conv2D(8, 1, name="projection")(x)
    outputs = layers.Add()([y, layers.PReLU()(shortcut)])
    sparse = dsr_tf.sparsify(keras.Model(inputs, outputs), 0.5)
    assert names(sparse) == ["a"]


def test_an_empty_model_may_be_nested():
    nothing = keras.Sequential([keras.Input((3,))])
    model = keras.Sequential([keras.Input((3,)), nothing, layers.Dense(3)])
    assert len(names(dsr_tf.sparsify(model, 0.5))) == 1


def test_every_kind_has_its_sparse_one():
    inputs = keras.Input((6, 8, 8, 2))
    x = layers.Conv3D(4, 2, name="stem")(inputs)
    x = layers.Conv3D(4, 2, name="conv3d")(x)
    x = layers.Reshape((24, 24, 1))(layers.Reshape((-1,))(x)[:, :576])
    x = layers.Conv2D(4, 3, name="conv2d")(x)
    x = layers.Reshape((-1, 4))(x)
    x = layers.Conv1D(6, 3, padding="causal", name="conv1d")(x)
    x = layers.EinsumDense("abc,cd->abd", (None, 5), name="einsum")(x)
    x = layers.Dense(3, name="dense")(x)
    sparse = dsr_tf.sparsify(keras.Model(inputs, x), 0.5)
    kinds = [SparseConv3D, SparseConv2D, SparseConv1D, SparseEinsumDense]
    assert [type(x) for x in sparse_layers(sparse)] == [*kinds, SparseDense]
    sparse.compile("sgd", "mse")
    data = RNG.normal(size=(2, 6, 8, 8, 2)).astype("float32")
    loss = sparse.train_on_batch(data, np.zeros(sparse(data).shape))
    assert np.isfinite(loss)
    for layer in sparse_layers(sparse):
        assert not layer.kernel.numpy()[layer.kernel_mask.numpy() == 0].any()


def test_nested_and_shared_layers_are_entered_once():
    shared = layers.Dense(6, name="shared")
    inner = keras.Sequential(
        [keras.Input((6,)), shared, layers.Dense(6, name="inner")], name="seq"
    )
    a, b = keras.Input((6,)), keras.Input((6,))
    deep = keras.Model(a, layers.Dense(6, name="deep")(inner(a)), name="deeper")
    outputs = layers.Add()([deep(a), deep(b), shared(b)])
    model = keras.Model([a, b], outputs)
    sparse = dsr_tf.sparsify(model, 0.5)
    assert sorted(names(sparse)) == ["deep", "inner", "shared"]
    assert sum(active(sparse).values()) == 3 * 36 // 2
    x = [RNG.normal(size=(4, 6)).astype("float32") for _ in range(2)]
    same = dsr_tf.sparsify(model, 0.0)
    assert (np.asarray(model(x)) == np.asarray(same(x))).all()
    kernels = [x.kernel for x in sparse_layers(sparse)]
    assert len(sparse.trainable_variables) == 2 * len(kernels)


def test_wrappers_and_models_in_code_are_converted_and_lambdas_kept():
    @keras.saving.register_keras_serializable(package="test")
    class Head(keras.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.dense = layers.Dense(4)

        def call(self, inputs):
            return self.dense(inputs)

        def get_config(self):
            return {"name": self.name}

    inputs = keras.Input((5, 6))
    x = layers.TimeDistributed(layers.Dense(6))(inputs)
    x = layers.Bidirectional(layers.LSTM(3))(x)
    x = layers.Lambda(lambda t: t * 2)(x)
    x = layers.Dense(6, name="dense")(x)
    model = keras.Model(inputs, Head(name="head")(x))
    sparse = dsr_tf.sparsify(model, 0.0)
    cells = ["lstm_cell/kernel", "lstm_cell/recurrent_kernel"]
    assert names(sparse)[1:6] == [*cells, *cells, "dense"]
    assert len(names(sparse)) == 7
    assert equal_outputs(model, sparse, 5, 6)


def test_what_compile_was_given_is_carried_over():
    model = mlp(
        optimizer=keras.optimizers.Adam(0.02), loss="mse", metrics=["mae"]
    )
    sparse = dsr_tf.sparsify(model, 0.5)
    assert float(sparse.optimizer.learning_rate) == pytest.approx(0.02)
    assert sparse.loss == "mse"
    sparse.fit(np.zeros((4, 8)), np.zeros((4, 3)), verbose=0)


def test_a_loss_that_cannot_be_copied_is_no_obstacle(caplog):
    # Keras refuses to make Python lambdas again from what it saved of them.
    model = mlp(optimizer="sgd", loss=lambda y, p: keras.ops.mean(p))
    sparse = dsr_tf.sparsify(model, 0.5)
    assert model.compiled and not sparse.compiled
    assert "Call `compile` on the new model" in caplog.text
    assert names(sparse) == ["one", "two", "three"]


def test_dtype_policies_and_trainability_are_kept():
    model = keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(4, dtype="mixed_bfloat16", name="half"),
            layers.Dense(4, trainable=False, name="frozen"),
        ]
    )
    sparse = dsr_tf.sparsify(model, 0.5)
    assert sparse.get_layer("half").dtype_policy.name == "mixed_bfloat16"
    assert not sparse.get_layer("frozen").trainable


@pytest.mark.parametrize("keep", ["random", "magnitude"])
def test_seeds_choose_random_weights_alone(keep):
    model = mlp()
    masks = [
        [
            x.kernel_mask.numpy()
            for x in sparse_layers(
                dsr_tf.sparsify(model, 0.5, keep=keep, seed=s)
            )
        ]
        for s in (0, 0, 1)
    ]
    same = [
        all((a == b).all() for a, b in zip(one, two, strict=True))
        for one, two in ((masks[0], masks[1]), (masks[0], masks[2]))
    ]
    assert same == [True, keep == "magnitude"]


def test_magnitude_keeps_the_largest():
    model = mlp()
    sparse = dsr_tf.sparsify(model, 0.9, keep="magnitude")
    for layer in sparse_layers(sparse):
        weights = np.abs(model.get_layer(layer.name).kernel.numpy())
        mask = layer.kernel_mask.numpy()
        assert weights[mask == 1].min() >= weights[mask == 0].max()


def test_magnitude_keeps_the_largest_slices():
    sparse = dsr_tf.sparsify(
        model := residual(), 0.5, granularity="kernel", keep="magnitude"
    )
    layer = sparse.get_layer("b")
    means = np.abs(model.get_layer("b").kernel.numpy()).mean((0, 1))
    mask = layer.kernel_mask.numpy()
    assert (mask == mask[0, 0]).all() and layer.granularity == "kernel"
    assert means[mask[0, 0] == 1].min() >= means[mask[0, 0] == 0].max()
    assert sparse.get_layer("logits").granularity == "weight"


@pytest.mark.parametrize(
    "include, expected",
    [
        ("two", ["two"]),
        ("t*", ["two", "three"]),
        (re.compile("ee$|^on"), ["one", "three"]),
        (layers.Dense, ["one", "two", "three"]),
        (lambda x: x.units < 15, ["two", "three"]),
        (["one", "th*"], ["one", "three"]),
    ],
)
def test_layers_are_included_and_excluded_by_pattern(include, expected):
    sparse = dsr_tf.sparsify(mlp(), 0.5, include=include)
    assert names(sparse) == expected
    if len(expected) < 3:
        rest = [n for n in ("one", "two", "three") if n not in expected]
        assert names(dsr_tf.sparsify(mlp(), 0.5, exclude=include)) == rest


def test_included_layers_are_sparse_even_if_dense_by_default():
    sparse = dsr_tf.sparsify(residual(), 0.5, include=["stem", "projection"])
    assert sorted(names(sparse)) == ["projection", "stem"]


@pytest.mark.parametrize("argument", ["include", "exclude"])
@pytest.mark.parametrize("pattern", ["on", re.compile("x"), layers.Conv2D])
def test_patterns_that_match_nothing_are_refused(argument, pattern):
    with pytest.raises(ValueError, match=f"`{argument}` must match a layer"):
        dsr_tf.sparsify(mlp(), 0.5, **{argument: pattern})


def test_mapping_gives_each_pattern_its_sparsity():
    model = mlp()
    sparse = dsr_tf.sparsify(model, distribution={"one": 0.5, "t*": 0.9})
    found = active(sparse)
    # 64 of 128; int(.1 * 228 + .1) = 22 of 192 and 36 together.
    assert found["one"] == 64 and found["two"] + found["three"] == 22
    sparse = dsr_tf.sparsify(model, distribution={"one": 0.5})
    assert active(sparse) == {"one": 64}
    sparse = dsr_tf.sparsify(model, 0.75, distribution={"one": 0.5})
    assert sum(active(sparse).values()) == 64 + 57


def test_mapping_must_be_unambiguous():
    with pytest.raises(ValueError, match=r"two patterns that match \['two'\]"):
        dsr_tf.sparsify(mlp(), distribution={"t*": 0.5, "two": 0.9})


def test_erk_worked_by_hand():
    # Dimensions 8+16, 16+12, 12+3 for 128, 192 and 36 weights. Of 89, one for
    # each, and 86 in proportion 24 : 28 : 15: 30.8, 35.9, 19.3.
    kernels = [Units(x, WEIGHT) for x in ((8, 16), (16, 12), (12, 3))]
    assert share_out(kernels, 0.75, "erk") == [32, 37, 20]
    model = dsr_tf.sparsify(mlp(), 0.75, "erk")
    assert list(active(model).values()) == [32, 37, 20]


def test_erk_caps_at_density_1_and_solves_the_rest_again():
    kernels = [Units(x, WEIGHT) for x in ((100, 100), (4, 2))]
    assert share_out(kernels, 0.5, "erk") == [4996, 8]


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(st.integers(1, 5), st.integers(2, 40), st.integers(2, 40)),
        min_size=1,
        max_size=8,
    ),
    st.floats(0, 0.95),
    st.sampled_from(["uniform", "erk", "scores"]),
    st.booleans(),
)
def test_budget_is_shared_out_exactly(shapes, sparsity, share, slices):
    granularity = KERNEL if slices else WEIGHT
    kernels = [Units((k, k, i, o), granularity) for k, i, o in shapes]
    if share == "scores":
        # Some are 0.
        scale = RNG.integers(0, 3, len(kernels))
        share = [
            s * RNG.random(kernel.shape)
            for s, kernel in zip(scale, kernels, strict=True)
        ]
    size = sum(kernel.num_weights for kernel in kernels)
    budget = max(1, int((1 - sparsity) * size + 0.1))
    needed = sum(kernel.size for kernel in kernels)
    if budget < needed:
        with pytest.raises(ValueError, match="must leave every kernel a weig"):
            share_out(kernels, sparsity, share)
        return
    counts = share_out(kernels, sparsity, share)
    largest = max(kernel.size for kernel in kernels)
    assert budget - largest < sum(counts) <= budget
    assert slices or sum(counts) == budget
    for count, kernel in zip(counts, kernels, strict=True):
        assert 0 < count <= kernel.num_weights and count % kernel.size == 0


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"sparsity": 1.0}, r"`sparsity` must be a fraction in \[0, 1\)"),
        ({}, "`sparsity` must be a fraction"),
        ({"sparsity": 0.5, "distribution": "even"}, "one of .'uniform', 'erk'"),
        ({"sparsity": 0.5, "keep": "best"}, "`keep` must be one of"),
        ({"sparsity": 0.5, "granularity": "row"}, "`granularity` must be on"),
        ({"sparsity": 0.5, "seed": -1}, "`seed` must be an integer"),
        ({"distribution": {"one": 2.0}}, "must be a fraction"),
        (
            {"distribution": {"one": 0.5}, "exclude": "one"},
            "one .Dense: left out by `include`, `exclude` or default",
        ),
        (
            {"sparsity": 0.5, "include": layers.Dense(3)},
            "`include` must be a name.*Received: include=<Dense",
        ),
        ({"sparsity": 0.995}, "must leave every kernel a weight"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        dsr_tf.sparsify(mlp(), **arguments)


def test_models_that_cannot_be_converted_are_refused():
    class Own(keras.Model):
        pass

    for model, message in (
        (Own(), "must be built"),
        (keras.Sequential([layers.Dense(3)]), "must be built"),
        (layers.Dense(3), "must be a Keras model"),
        (
            keras.Sequential([keras.Input((3,)), layers.ReLU()]),
            "must have a layer to convert.*candidates: none.*ReLU: no kernel",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            dsr_tf.sparsify(model, 0.5)


def test_inputs_keep_their_names():
    for inputs in ({"a": keras.Input((4,), name="a")}, [keras.Input((4,))]):
        outputs = layers.Dense(3)(keras.tree.flatten(inputs)[0])
        model = keras.Model(inputs, outputs)
        sparse = dsr_tf.sparsify(model, 0.5)
        assert [x.name for x in sparse.layers] == [x.name for x in model.layers]
        assert sparse.inputs[0].name == model.inputs[0].name


@pytest.mark.slow
def test_sparse_model_trains_within_its_budget():
    sparse = dsr_tf.sparsify(residual(), 0.7, "erk")
    sparse.compile("adam", "mse")
    before = sum(active(sparse).values())
    x = RNG.normal(size=(32, 8, 8, 3)).astype("float32")
    y = [np.zeros((32, 5)), np.zeros((32, 2))]
    moves = dsr_tf.callbacks.DSR(30, period=2, initial_threshold=0.05)
    sparse.fit(x, y, batch_size=8, epochs=2, verbose=0, callbacks=[moves])
    assert moves.state.weights_moved > 0
    assert sum(active(sparse).values()) == before
