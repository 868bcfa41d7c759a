"""Networks of `keras.applications`, unmodified, made sparse."""

import keras
import pytest

import dsr_tf
from dsr_tf.convert.select import candidates
from dsr_tf.layers import sparse_layers

pytestmark = pytest.mark.slow

# Network, size of image, and the layers left dense besides the first
# convolution.
NETWORKS = {
    "ResNet50": (
        "conv1_conv",
        [f"conv{i}_block1_0_conv" for i in (2, 3, 4, 5)],
    ),
    "MobileNetV2": ("Conv1", []),
    "EfficientNetB0": ("stem_conv", []),
    "VGG16": ("block1_conv1", []),
    "DenseNet121": ("conv1_conv", []),
}


@pytest.fixture(scope="module", params=NETWORKS)
def network(request):
    build = getattr(keras.applications, request.param)
    model = build(weights=None, input_shape=(32, 32, 3), classes=10)
    return request.param, model


def test_layers_left_dense_are_those_of_the_paper(network):
    name, model = network
    first, projections = NETWORKS[name]
    sparse = dsr_tf.sparsify(model, 0.9)
    left = {x.layer.name for x in candidates(sparse)}
    assert left == {first, *projections}
    size = sum(x.kernel_units.num_weights for x in sparse_layers(sparse))
    active = sum(layer.num_active for layer in sparse_layers(sparse))
    assert active == int(0.1 * size + 0.1)
