import numpy as np
import pytest

import dsr_tf
from dsr_tf.layers import budgeted_layers
from dsr_tf.layers import sparse_layers
from dsr_tf.models import lenet_300_100
from dsr_tf.models import mlp
from dsr_tf.models import resnet50
from dsr_tf.models import wide_resnet


def count(variables):
    return sum(int(np.prod(v.shape)) for v in variables)


def test_lenet_has_the_papers_parameters():
    model = lenet_300_100(sparsity=0.0)
    kernels = [layer.kernel for layer in sparse_layers(model)]
    assert count(kernels) == 266_200
    assert count(model.trainable_variables) == 266_200 + 820
    assert model.output_shape == (None, 10)


def test_the_wide_perceptron_has_three_layers_of_1568():
    model = mlp(sparsity=0.99)
    shapes = [tuple(layer.kernel.shape) for layer in sparse_layers(model)]
    assert shapes == [(784, 1568), (1568, 1568), (1568, 1568), (1568, 10)]
    assert sum(layer.num_active for layer in sparse_layers(model)) == 61_621
    small = mlp((4,), 3, hidden=(6, 5), width=0.5)
    units = [layer.kernel.shape[1] for layer in sparse_layers(small)]
    assert units == [3, 2, 3]


@pytest.mark.parametrize("hidden", [3, (3, 0), "33", ()])
def test_hidden_units_are_checked(hidden):
    if hidden == ():
        assert mlp((4,), 3, hidden=hidden).output_shape == (None, 3)
        return
    with pytest.raises(ValueError, match="`hidden` must be"):
        mlp((4,), 3, hidden=hidden)


@pytest.mark.parametrize(
    "sparsity, parameters",
    [(0.99, 3482), (0.98, 6144), (0.97, 8806), (0.95, 14_130), (0.9, 27_440)],
)
def test_lenet_has_the_papers_budgets(sparsity, parameters):
    model = lenet_300_100(sparsity=sparsity)
    active = sum(layer.num_active for layer in sparse_layers(model))
    assert active + 820 == parameters


def test_lenet_starts_uniform_within_fan_in():
    model = lenet_300_100(sparsity=0.5)
    kernel = model.get_layer("dense_1").kernel.numpy()
    active = np.abs(kernel[kernel != 0])
    assert active.max() <= 1 / np.sqrt(784)
    assert active.max() > 0.99 / np.sqrt(784)
    assert active.mean() == pytest.approx(0.5 / np.sqrt(784), rel=0.02)


def test_lenet_seeds_weights_and_masks():
    def weights(seed):
        return lenet_300_100(seed=seed).get_weights()

    pairs = list(zip(weights(1), weights(1), strict=True))
    assert all((a == b).all() for a, b in pairs)
    other = zip(weights(1), weights(2), strict=True)
    assert any((a != b).any() for a, b in other)


@pytest.mark.parametrize(
    "kwargs, gradient", [({"l1": 0.01}, 0.01), ({"l2": 0.1}, None)]
)
def test_lenet_penalties_are_gradient_factors(kwargs, gradient):
    import tensorflow as tf

    model = lenet_300_100((4,), 3, sparsity=0.5, **kwargs)
    kernel = model.get_layer("dense_3").kernel
    with tf.GradientTape() as tape:
        loss = sum(model.losses)
    found = tape.gradient(loss, kernel.value).numpy()
    weights = kernel.numpy()
    expected = gradient * np.sign(weights) if gradient else 0.1 * weights
    assert found == pytest.approx(expected, abs=1e-7)


def counts(model):
    layers = sparse_layers(model)
    sparse = count([layer.kernel for layer in layers])
    active = sum(layer.num_active for layer in layers)
    parameters = count(model.trainable_variables)
    return len(layers), sparse, parameters, parameters - sparse + active


def test_wide_resnet_has_the_papers_parameters():
    # 24 sparse convolutions. The rule of the first mask, tensor by tensor,
    # leaves 161,229 parameters; the paper's 161,241 rounds once, over all.
    found = counts(wide_resnet(28, 2, sparsity=0.9))
    assert found == (24, 1_467_610 - 16_090, 1_467_610, 161_229)


def test_resnet50_has_the_papers_parameters():
    found = counts(resnet50(sparsity=0.8))
    assert found == (49, 20_676_608 + 2_048_000, 25_557_032, 7_377_320)
    assert counts(resnet50(sparsity=0.9))[3] == 5_104_861


def test_dense_networks_are_plain_keras():
    for model in (lenet_300_100(sparsity=None), wide_resnet(10, sparsity=None)):
        assert not sparse_layers(model)


def test_width_scales_channels():
    thin = wide_resnet(10, 0.75, sparsity=None)
    assert thin.get_layer("group_3_block_1_conv_2").filters == 48
    lenet = lenet_300_100(width=0.1, sparsity=None)
    assert [x.units for x in lenet.layers if hasattr(x, "units")] == [
        30,
        10,
        10,
    ]


def test_last_layer_of_wide_resnet_is_sparse_by_choice():
    model = wide_resnet(10, 1, sparsity=0.5, sparse_logits=True)
    assert model.get_layer("logits").num_active == 320


def test_strided_convolutions_pad_both_sides():
    model = wide_resnet(10, 1, sparsity=0.5)
    layer = model.get_layer("group_2_block_1_conv_1")
    assert layer.padding == "valid" and layer.strides == (2, 2)
    assert layer.output.shape[1:3] == (16, 16)
    assert resnet50(sparsity=None).get_layer("logits").input.shape[-1] == 2048


@pytest.mark.parametrize("depth", [4, 11, 27])
def test_depth_must_fit_the_blocks(depth):
    with pytest.raises(ValueError, match=r"`depth` must be 6n \+ 4"):
        wide_resnet(depth)


def test_kernels_of_convolutions_start_normal_by_dense_fan_out():
    kernel = (
        wide_resnet(10, 4, sparsity=0.5)
        .get_layer("group_3_block_1_conv_2")
        .kernel.numpy()
    )
    active = kernel[kernel != 0]
    assert active.std() == pytest.approx((2 / (9 * 256)) ** 0.5, rel=0.01)


@pytest.mark.slow
def test_networks_take_a_training_step():
    import keras

    for model, size in (
        (wide_resnet(10, 0.5, (16, 16, 3)), 16),
        (resnet50((32, 32, 3), 10), 32),
    ):
        model.compile(
            "sgd",
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            jit_compile=False,
        )
        images = np.random.default_rng(0).normal(size=(2, size, size, 3))
        assert np.isfinite(model.train_on_batch(images, np.array([0, 1])))


@pytest.mark.parametrize(
    "slices, message",
    [
        (
            {"granularity": "kernel"},
            "`granularity` must be 'weight' where kernels are hashed",
        ),
        ({"group_lasso": 0.1}, "must not be a GroupLasso.*_conv_1'"),
    ],
)
def test_hashed_kernels_have_no_slices(slices, message):
    with pytest.raises(ValueError, match=message):
        wide_resnet(10, 1, hashed=True, **slices)


@pytest.mark.parametrize("granularity", ["weight", "kernel"])
def test_erk_moves_the_budget_of_the_same_layers_to_small_kernels(granularity):
    arguments = {"sparsity": 0.9, "granularity": granularity, "seed": 3}
    uniform = sparse_layers(wide_resnet(10, 1, **arguments))
    erk = sparse_layers(wide_resnet(10, 1, **arguments, distribution="erk"))
    assert [x.name for x in erk] == [x.name for x in uniform]
    assert [x.seed for x in erk] == [x.seed for x in uniform]
    budget = int(0.1 * sum(x.kernel_units.num_weights for x in erk) + 0.1)
    assert budget - 9 < sum(x.num_active for x in erk) <= budget
    assert erk[0].num_active > uniform[0].num_active
    assert erk[-1].num_active < uniform[-1].num_active


def test_erk_is_that_of_sparsify():
    plain = lenet_300_100(sparsity=None)
    converted = sparse_layers(dsr_tf.sparsify(plain, 0.9, "erk"))
    built = sparse_layers(lenet_300_100(sparsity=0.9, distribution="erk"))
    counts = [layer.num_active for layer in built]
    assert counts == [layer.num_active for layer in converted]


@pytest.mark.parametrize("hashed", [False, True])
def test_sparse_networks_have_the_weights_of_plain_ones(hashed):
    plain = wide_resnet(10, 1, sparsity=None, sparse_logits=True, seed=4)
    sparse = wide_resnet(
        10, 1, sparsity=0.8, hashed=hashed, sparse_logits=True, seed=4
    )
    for layer in budgeted_layers(sparse):
        kernel = plain.get_layer(layer.name).kernel.numpy()
        if hashed:
            assert np.isin(layer.bank.numpy(), kernel).all()
        else:
            expected = kernel * layer.kernel_mask.numpy()
            assert np.array_equal(layer.kernel.numpy(), expected)


def test_distribution_must_be_known():
    with pytest.raises(ValueError, match="`distribution` must be one of"):
        lenet_300_100(distribution="even")


def test_hashed_networks_have_the_budget_of_sparse_ones():
    network = wide_resnet(10, 1, sparsity=0.9, hashed=True)
    for layer in budgeted_layers(network):
        size = int(np.prod(layer.kernel.shape))
        assert layer.num_active == round(0.1 * size)
    assert not sparse_layers(network)


def test_resnet50_is_narrowed_throughout():
    thin = resnet50(width=0.5, sparsity=None)
    assert thin.get_layer("conv_1").filters == 32
    assert thin.get_layer("group_4_block_3_conv_3").filters == 1024
    # The published factors give about the parameters of the sparse networks.
    for width, sparse in ((0.54, 7_377_320), (0.46, 5_104_861)):
        network = resnet50(width=width, sparsity=None)
        parameters = count(network.trainable_variables)
        assert sparse < parameters < 1.2 * sparse


def test_width_must_be_above_0():
    with pytest.raises(ValueError, match="`width` must be a number above 0"):
        lenet_300_100(width=0)
    assert lenet_300_100(width=1e-9).get_layer("dense_1").units == 1
