import keras
import numpy as np
import pytest
from keras import layers

import dsr_tf
from dsr_tf.layers import GroupLasso
from dsr_tf.layers import HashedConv2D
from dsr_tf.layers import HashedDense

RNG = np.random.default_rng(0)


def network(**arguments):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3), name="images")
    x = layers.Conv2D(6, 3, name="first")(inputs)
    x = layers.Conv2D(8, 3, use_bias=False, name="second", **arguments)(x)
    x = layers.GlobalAveragePooling2D()(layers.BatchNormalization()(x))
    return keras.Model(inputs, layers.Dense(5, name="logits")(x), name="own")


def kernels(model):
    names = ("first", "second", "logits")
    return {x: np.asarray(model.get_layer(x).kernel) for x in names}


def test_kernels_share_values_that_the_model_had():
    model = network()
    model.get_layer("logits").bias.assign(RNG.normal(size=5))
    before = kernels(model)
    hashed = dsr_tf.hash_kernels(model, 0.75)
    assert type(hashed.get_layer("second")) is HashedConv2D
    assert type(hashed.get_layer("logits")) is HashedDense
    for name, count in (("second", 108), ("logits", 10)):
        bank = hashed.get_layer(name).bank.numpy()
        assert len(bank) == count and np.isin(bank, before[name]).all()
    after = kernels(hashed)
    # Each value stands where the model had it, in one place at least.
    same = before["second"] == after["second"]
    assert np.count_nonzero(same) == 108
    assert np.array_equal(before["first"], after["first"])
    bias = hashed.get_layer("logits").bias
    assert np.array_equal(bias, model.get_layer("logits").bias)
    assert type(model.get_layer("second")) is layers.Conv2D


def test_names_and_policies_stay():
    model = network(dtype="mixed_bfloat16")
    hashed = dsr_tf.hash_kernels(model, 0.5)
    assert [x.name for x in hashed.layers] == [x.name for x in model.layers]
    assert hashed.name == "own"
    assert hashed.get_layer("second").dtype_policy.name == "mixed_bfloat16"


def test_at_sparsity_0_outputs_are_equal():
    model = network()
    images = RNG.normal(size=(2, 8, 8, 3)).astype("float32")
    outputs = [
        m.predict(images, verbose=0)
        for m in (model, dsr_tf.hash_kernels(model, 0.0))
    ]
    assert np.array_equal(*outputs)


def test_patterns_choose_layers():
    hashed = dsr_tf.hash_kernels(network(), 0.5, include="first")
    assert type(hashed.get_layer("first")) is HashedConv2D
    assert type(hashed.get_layer("second")) is layers.Conv2D
    hashed = dsr_tf.hash_kernels(network(), 0.5, exclude="logits")
    assert type(hashed.get_layer("logits")) is layers.Dense


def test_seed_draws_the_maps():
    def seeds(seed):
        hashed = dsr_tf.hash_kernels(network(), 0.5, seed=seed)
        return [hashed.get_layer(x).seed for x in ("second", "logits")]

    assert seeds(1) == seeds(1) != seeds(2)
    assert len(set(seeds(1))) == 2


def test_hashed_model_trains_and_comes_back():
    hashed = dsr_tf.hash_kernels(network(), 0.8)
    hashed.compile("sgd", "mse")
    before = hashed.get_layer("second").bank.numpy()
    images = RNG.normal(size=(8, 8, 8, 3)).astype("float32")
    hashed.fit(images, RNG.normal(size=(8, 5)), verbose=0)
    assert (hashed.get_layer("second").bank.numpy() != before).all()
    plain = dsr_tf.densify(hashed)
    assert type(plain.get_layer("second")) is layers.Conv2D
    outputs = [m.predict(images, verbose=0) for m in (hashed, plain)]
    assert np.array_equal(*outputs)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"sparsity": 1.0}, "`sparsity` must be a fraction"),
        ({"sparsity": 0.5, "seed": -1}, "`seed` must be an integer"),
        ({"sparsity": 0.5, "include": "none"}, "`include` must match a layer"),
        ({"sparsity": 0.5, "exclude": "*"}, "must have a layer to conv"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        dsr_tf.hash_kernels(network(), **arguments)


def test_penalties_of_slices_are_refused():
    model = network(kernel_regularizer=GroupLasso(0.1))
    with pytest.raises(ValueError, match="must not be a GroupLasso.*'second'"):
        dsr_tf.hash_kernels(model, 0.5)
    dsr_tf.hash_kernels(model, 0.5, exclude="second")
