"""Whether a GPU could run steps and fingerprints, found without one."""

from collections import Counter

import keras
import pytest
import tensorflow as tf
from keras import layers

import dsr_tf
from dsr_tf import methods
from dsr_tf.callbacks.plain_fit import PlainFit
from dsr_tf.distribute.fingerprint import fingerprint
from dsr_tf.graph.kinds import possible_kernels
from dsr_tf.layers import sparse_layers
from dsr_tf.layers.tree import all_layers
from dsr_tf.methods.grow import ByScore
from dsr_tf.methods.prune import SmallestShare
from dsr_tf.training import Reallocator
from tests.gpu_graphs import REFUSED
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
# What a GPU lacks in steps of dense layers, too.
LACKING = {
    # Whether the gradient of an `Embedding` is finite, where losses are scaled.
    "TensorScatterUpdate {'T': ['bool'], 'Tindices': ['int32']}",
}
# And what it leaves to the host.
ON_HOST = LACKING | {
    # The axes of sums in an `EinsumDense` and in attention: a few numbers, but
    # the graph does not tell how many.
    "BroadcastGradientArgs {'T': ['int32']}",
}
BY_GRADIENT = methods.Method(SmallestShare(0.3), None, ByScore())


def network(make, shape):
    """Returns a dense network around a layer, and the layer's name."""
    layer = make()
    shape = [3 if size is None else size for size in shape[1:]]
    several = "Attention" in type(layer).__name__ or "Query" in repr(layer)
    numbers = isinstance(layer, layers.Embedding)
    inputs = keras.Input(shape, dtype="int32" if numbers else "float32")
    x = layer(inputs, inputs) if several else layer(inputs)
    return keras.Model(inputs, layers.Flatten()(x)), layer.name


def step(net, grows=None, run=None, optimizer="sgd", trusts=False):
    """Returns the concrete function of a training step.

    Args:
        net: The network.
        grows: A method that asks for gradients of all positions, if one does.
        run: Runs it on replicas, if there are several.
        optimizer: Name of the optimizer.
        trusts: Whether masks are left to the optimizer, as in most of `fit`.
    """
    optimizer = keras.optimizers.get(optimizer)
    optimizer.momentum = 0.9
    net.compile(optimizer, "mse")
    net.optimizer.build(net.trainable_variables)
    if grows:
        Reallocator(net, net.optimizer, grows).begin()
    if trusts:
        kernels = sparse_layers(net)
        PlainFit(net, kernels).begin()
        assert all(x.kernel.is_trusting for x in kernels)
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
    assert missing(more) <= missing(known) <= LACKING
    assert large_on_host(more) <= large_on_host(known) <= ON_HOST
    assert not REFUSED & {node.op for node in more}


def name(case):
    return type(built(*case)).__name__


# The mixed one has the operations of float32 too, where kernels are masked.
@pytest.mark.parametrize("policy", ["mixed_float16"], indirect=True)
@pytest.mark.parametrize("case", WITH_KERNELS, ids=name)
def test_a_gpu_has_kernels_for_the_steps_of_every_layer(case, policy):
    net, layer = network(*case)
    dense = step(keras.models.clone_model(net))
    sparse = dsr_tf.sparsify(net, 0.5, include=layer)
    # Its operations are those of a step without, and more.
    grown = step(sparse, BY_GRADIENT)
    assert_as_dense(grown, dense)
    more = waits(grown) - waits(dense)
    # Twice a use: a layer that is distributed in time has one for each of six.
    uses = 6 if name(case) == "TimeDistributed" else 1
    assert more == Counter({"If.cond": 2 * uses * len(sparse_layers(sparse))})


def of_all_ranks():
    """Returns a network of every layer that can store blocks."""
    obeys = {"kernel_regularizer": "l1l2", "kernel_constraint": "non_neg"}
    return keras.Sequential(
        [
            keras.Input((2, 3, 3, 4)),
            layers.Conv3D(6, 1),
            layers.Reshape((6, 3, 6)),
            layers.Conv2D(8, 1),
            layers.Reshape((18, 8)),
            layers.Conv1D(6, 1),
            layers.EinsumDense("abc,cd->abd", (18, 4)),
            layers.Flatten(),
            layers.Dense(6, **obeys),
        ]
    )


def sparse_of(net, storage):
    """Returns a copy of which every layer is sparse."""
    return dsr_tf.sparsify(
        net, 0.5, include="*", granularity=(2, 2), storage=storage
    )


def kinds(net):
    return [type(x).__name__ for x in sparse_layers(net)]


@pytest.mark.parametrize(
    "policy, optimizer",
    [
        ("float32", "adamw"),
        ("mixed_float16", "adafactor"),
        ("mixed_bfloat16", "sgd"),
    ],
    indirect=["policy"],
)
def test_a_gpu_has_kernels_for_the_steps_of_blocks(policy, optimizer):
    dense = step(of_all_ranks(), optimizer=optimizer)
    sparse = sparse_of(of_all_ranks(), "blocks")
    ranks = [f"BlockConv{n}D" for n in (3, 2, 1)]
    assert kinds(sparse) == [*ranks, "BlockEinsumDense", "BlockDense"]
    assert_as_dense(step(sparse, BY_GRADIENT, optimizer=optimizer), dense)


# Those of `EinsumDense` and of attention are in every layer's test.
@pytest.mark.parametrize("policy", ["mixed_bfloat16"], indirect=True)
@pytest.mark.parametrize(
    "optimizer, trusts", [("adam", True), ("adafactor", False)]
)
def test_a_gpu_has_kernels_for_the_steps_of_masks(policy, optimizer, trusts):
    dense = step(of_all_ranks(), optimizer=optimizer)
    sparse = sparse_of(of_all_ranks(), "masks")
    assert len(kinds(sparse)) == 5
    more = {"optimizer": optimizer, "trusts": trusts}
    grown = step(sparse, methods.sparse_momentum(0.3), **more)
    assert_as_dense(grown, dense)


@pytest.mark.parametrize("policy", ["mixed_float16"], indirect=True)
def test_a_gpu_has_kernels_for_the_steps_of_hashed_layers(policy):
    dense = step(of_two())
    hashed = step(dsr_tf.hash_kernels(of_two(), 0.5, include="*"))
    assert_as_dense(hashed, dense)
    assert waits(hashed) <= waits(dense)


def of_two():
    return keras.Sequential(
        [
            keras.Input((6, 6, 4)),
            layers.Conv2D(8, 1),
            layers.Flatten(),
            layers.Dense(6),
        ]
    )


def test_the_host_waits_twice_a_kernel_where_gradients_are_kept():
    sparse = sparse_of(of_two(), "masks")
    plain = waits(step(sparse))
    assert plain == waits(step(of_two()))
    more = waits(step(sparse, BY_GRADIENT)) - plain
    assert more == Counter({"If.cond": 2 * len(sparse_layers(sparse))})


def test_the_host_waits_twice_a_layer_that_stores_blocks():
    sparse = sparse_of(of_two(), "blocks")
    more = waits(step(sparse)) - waits(step(of_two()))
    # The kernel for the sum of segments asks how many there are: for the
    # product, and for the gradient of its inputs.
    assert more == Counter({"SegmentSum": 2 * len(sparse_layers(sparse))})


@pytest.mark.parametrize("storage", ["masks", "blocks"])
@pytest.mark.parametrize("policy", ["mixed_float16"], indirect=True)
def test_a_gpu_has_kernels_for_the_steps_of_replicas(strategy, policy, storage):
    with strategy.scope():
        dense = step(of_two(), run=strategy.run)
        grown = step(sparse_of(of_two(), storage), BY_GRADIENT, strategy.run)
    assert_as_dense(grown, dense)
    more = waits(grown) - waits(dense)
    assert set(more) <= {"If.cond", "SegmentSum"}


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
    assert not REFUSED & {node.op for node in nodes_of(concrete)}
