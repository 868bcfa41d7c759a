import numpy as np
import pytest

from dsr_tf.layers import sparse_layers
from dsr_tf.models import lenet_300_100


def count(variables):
    return sum(int(np.prod(v.shape)) for v in variables)


def test_lenet_has_the_papers_parameters():
    model = lenet_300_100(sparsity=0.0)
    kernels = [layer.kernel for layer in sparse_layers(model)]
    assert count(kernels) == 266_200
    assert count(model.trainable_variables) == 266_200 + 820
    assert model.output_shape == (None, 10)


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
