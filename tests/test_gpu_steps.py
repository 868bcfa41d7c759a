"""Whether a GPU could run steps and fingerprints, found without one."""

from collections import Counter

import keras
import pytest
import tensorflow as tf
from keras import layers

import dsr_tf
from dsr_tf import methods
from dsr_tf.distribute.fingerprint import fingerprint
from dsr_tf.graph.kinds import possible_kernels
from dsr_tf.layers import sparse_layers
from dsr_tf.layers.tree import all_layers
from dsr_tf.methods.grow import ByScore
from dsr_tf.methods.prune import SmallestShare
from dsr_tf.training import Reallocator
from tests.gpu_graphs import large_on_host
from tests.gpu_graphs import missing
from tests.gpu_graphs import nodes_of
from tests.gpu_graphs import waits
from tests.layer_table import LAYERS
from tests.layer_table import built

WITH_KERNELS = [
    case
    for case in LAYERS
    if any(possible_kernels(x) for x in all_layers(built(*case)))
]
POLICIES = ("float32", "mixed_float16", "mixed_bfloat16")


@pytest.fixture
def policy(request):
    """Sets how layers compute by default."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield
    keras.config.set_dtype_policy(before)


def network(make, shape):
    """Returns a dense network around a layer, and the layer's name."""
    layer = make()
    shape = [3 if size is None else size for size in shape[1:]]
    several = "Attention" in type(layer).__name__ or "Query" in repr(layer)
    numbers = isinstance(layer, layers.Embedding)
    inputs = keras.Input(shape, dtype="int32" if numbers else "float32")
    x = layer(inputs, inputs) if several else layer(inputs)
    return keras.Model(inputs, layers.Flatten()(x)), layer.name


def step(net, grows=False, run=None):
    """Returns the concrete function of a training step.

    Args:
        net: The network.
        grows: Whether a method asks for gradients of all positions.
        run: Runs it on replicas, if there are several.
    """
    net.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
    net.optimizer.build(net.trainable_variables)
    if grows:
        rule = methods.Method(SmallestShare(0.3), None, ByScore())
        Reallocator(net, net.optimizer, rule).begin()
    specs = [
        tf.TensorSpec([2, *x.shape[1:]], x.dtype)
        for x in (net.inputs[0], net.outputs[0])
    ]

    def train(*batch):
        return run(net.train_step, (batch,)) if run else net.train_step(batch)

    return tf.function(train).get_concrete_function(*specs)


def assert_as_dense(sparse, dense):
    """Asserts that a GPU has kernels for all that a dense step has not."""
    more = list(nodes_of(sparse))
    known = list(nodes_of(dense))
    assert len(more) > len(known)
    assert missing(more) <= missing(known)
    assert large_on_host(more) <= large_on_host(known)


def name(case):
    return type(built(*case)).__name__


# The mixed one has the operations of float32 too, where kernels are masked.
@pytest.mark.parametrize("policy", ["mixed_float16"], indirect=True)
@pytest.mark.parametrize("case", WITH_KERNELS, ids=name)
def test_a_gpu_has_kernels_for_the_steps_of_every_layer(case, policy):
    net, layer = network(*case)
    dense = step(keras.models.clone_model(net))
    sparse = dsr_tf.sparsify(net, 0.5, include=layer)
    plain = step(sparse)
    assert_as_dense(plain, dense)
    assert waits(plain) <= waits(dense)
    assert_as_dense(step(sparse, grows=True), dense)


@pytest.mark.parametrize("policy", POLICIES, indirect=True)
@pytest.mark.parametrize("storage", ["masks", "blocks"])
def test_a_gpu_has_kernels_for_the_steps_of_blocks(policy, storage):
    dense = step(of_blocks())
    sparse = dsr_tf.sparsify(
        of_blocks(), 0.5, granularity=(2, 2), storage=storage
    )
    plain = step(sparse)
    assert_as_dense(plain, dense)
    # The kernel for the sum of segments asks how many there are.
    assert set(waits(plain) - waits(dense)) <= {"SegmentSum"}
    assert_as_dense(step(sparse, grows=True), dense)


def of_blocks():
    return keras.Sequential(
        [
            keras.Input((6, 6, 4)),
            layers.Conv2D(8, 3),
            layers.Flatten(),
            layers.Dense(6),
        ]
    )


def test_the_host_waits_once_a_kernel_where_gradients_are_kept():
    sparse = dsr_tf.sparsify(of_blocks(), 0.5)
    plain = waits(step(sparse))
    more = waits(step(sparse, grows=True)) - plain
    assert more == Counter({"If.cond": len(sparse_layers(sparse)) * 2})


def test_a_gpu_has_kernels_for_the_steps_of_replicas(strategy):
    with strategy.scope():
        net = of_blocks()
        dense = step(net, run=strategy.run)
        sparse = dsr_tf.sparsify(net, 0.5)
        grown = step(sparse, True, strategy.run)
    assert missing(nodes_of(grown)) <= missing(nodes_of(dense))


@pytest.mark.parametrize(
    "dtype",
    ["bool", "int8", "int64", "float16", "bfloat16", "float32", "float64"],
)
@pytest.mark.parametrize("shape", [(), (3,), (None, 4), (3, 3, 2, 5)])
def test_a_gpu_has_kernels_for_fingerprints(dtype, shape):
    function = tf.function(fingerprint)
    concrete = function.get_concrete_function(tf.TensorSpec(shape, dtype))
    assert missing(nodes_of(concrete)) == set()
    assert large_on_host(nodes_of(concrete)) == set()
