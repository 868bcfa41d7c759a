"""Whether a GPU could run reallocation, found without one."""

import functools
import math

import keras
import pytest
import tensorflow as tf

# Private: nothing public lists kernels, or the arguments of an operation. A
# wheel lists the kernels of GPUs too.
from tensorflow.python.framework import op_def_registry
from tensorflow.python.framework.kernels import get_registered_kernels_for_op

from dsr_tf import methods
from dsr_tf.layers import BlockConv2D
from dsr_tf.layers import BlockDense
from dsr_tf.layers import SparseConv2D
from dsr_tf.layers import SparseDense
from dsr_tf.methods.grow import AtRandom
from dsr_tf.methods.grow import ByScore
from dsr_tf.methods.prune import SmallestFraction
from dsr_tf.methods.shrinking import ShrinkAndReplace
from dsr_tf.schedules import Linear
from dsr_tf.training import Reallocator

# TensorFlow resolves these before anything runs.
CALLS = {
    "If",
    "PartitionedCall",
    "Placeholder",
    "StatefulPartitionedCall",
    "StatelessIf",
    "StatelessWhile",
    "While",
}
# What the host may compute: shapes, seeds and the counts of a few tensors.
MOST_ON_HOST = 16
# Of unknown length, and short: one a tensor.
FEW = {("TensorListConcatV2", "lengths")}

# Kernels of GPUs that raise an error after `enable_op_determinism`, of those
# that a reallocation could do with (TensorFlow's `bincount_op.cc` and
# `scatter_op.cc`).
REFUSED = {"Bincount", "DenseBincount", "ScatterUpdate", "ScatterAdd"}

METHODS = {
    "dsr": lambda: methods.dsr(3),
    "dsr with stddev": lambda: methods.dsr(3, regrow_stddev=0.1),
    "set": lambda: methods.set_method(0.2),
    "by score": lambda: methods.Method(SmallestFraction(0.2), None, ByScore()),
    "chts": lambda: methods.chts(0.2, 2.0, percolate=True),
    "deepr": lambda: methods.deepr(1e-3),
    "gradual": lambda: methods.gradual_pruning(0.6, 3),
    "gradual within": lambda: methods.gradual_pruning(
        0.6, 3, across_tensors=False
    ),
    "dsr by share": lambda: methods.dsr(0.2, growth="drawn"),
    "snfs": lambda: methods.sparse_momentum(0.3),
    "mest soft": lambda: methods.Method(
        ShrinkAndReplace(Linear(0.2, 0.6, 20), 0.3, 0.5), None, AtRandom()
    ),
}


def types(value):
    """Returns the types that an attribute names."""
    one = value.WhichOneof("value") == "type"
    return [value.type] if one else list(value.list.type)


@functools.cache
def kernels(operation):
    found = get_registered_kernels_for_op(operation).kernel
    # "DEFAULT" is every device.
    return [x for x in found if x.device_type in ("GPU", "DEFAULT")]


def serves(kernel, node):
    return all(
        set(types(node.attr[x.name])) <= set(x.allowed_values.list.type)
        for x in kernel.constraint
    )


def of_gpu(node):
    return [kernel for kernel in kernels(node.op) if serves(kernel, node)]


def nodes_of(function):
    """Yields all nodes of a concrete function, and of those that it calls."""
    graph = function.graph.as_graph_def(add_shapes=True)
    yield from graph.node
    for inner in graph.library.function:
        yield from inner.node_def


def described(node):
    named = {
        name: [tf.as_dtype(x).name for x in types(value)]
        for name, value in sorted(node.attr.items())
        if types(value)
    }
    return f"{node.op} {named}"


def missing(nodes):
    """Returns the operations that have no kernel for their types."""
    return {
        described(node)
        for node in nodes
        if node.op not in CALLS and not of_gpu(node)
    }


def sizes(node):
    """Returns how many elements each output has; inf where nobody knows."""
    shapes = map(tf.TensorShape, node.attr["_output_shapes"].list.shape)
    counts = [shape.num_elements() for shape in shapes]
    return [math.inf if count is None else count for count in counts]


def large_on_host(nodes):
    """Returns the operations that a GPU leaves on the host, and that are large.

    TensorFlow has kernels for GPUs that compute on the host, such as those of
    int32, for shapes.
    """
    found = set()
    for node in nodes:
        own = of_gpu(node)
        outputs = op_def_registry.get(node.op).output_arg
        for output, size in zip(outputs, sizes(node), strict=False):
            on_host = own and all(output.name in x.host_memory_arg for x in own)
            few = size <= MOST_ON_HOST or (node.op, output.name) in FEW
            if on_host and not few:
                found.add(described(node))
    return found


@functools.cache
def traced(name, granularity, dtype):
    """Returns all nodes of the functions that reallocate a network."""
    sparsity = 0.0 if name.startswith("gradual") else 0.5
    stored = granularity.endswith(" stored")
    granularity = granularity.removesuffix(" stored")
    blocks = granularity == "2x3"
    conv, dense = (SparseConv2D, SparseDense)
    if stored:
        conv, dense = (BlockConv2D, BlockDense)
    net = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            conv(
                6,
                1 if blocks else 3,
                sparsity,
                granularity=granularity,
                dtype=dtype,
            ),
            keras.layers.Flatten(),
            dense(
                5, sparsity, granularity if blocks else "weight", dtype=dtype
            ),
        ]
    )
    optimizer = keras.optimizers.Adagrad(0.1)
    optimizer.build(net.trainable_variables)
    method = METHODS[name]()
    shapes = [layer.kernel_shape for layer in net.layers[::2]]
    scores = [tf.random.uniform(shape) for shape in shapes]
    known = {"growth_scores": lambda: scores} if method.scores else {}
    reallocator = Reallocator(net, optimizer, method, **known)
    reallocator.reallocate()
    program = reallocator._program
    packed = tf.TensorSpec([len(program.names) + 1], tf.float64)
    seed = tf.TensorSpec([2], tf.int32)
    scores = program._score_specs()
    if program.method.allocate is None:
        functions = [
            program._at_once.get_concrete_function(packed, seed, scores)
        ]
    else:
        functions = [
            program._begin.get_concrete_function(packed, seed, scores),
            program._end.get_concrete_function(),
        ]
    # These are the ones that ran.
    assert program.num_traces == len(functions)
    return [node for function in functions for node in nodes_of(function)]


CASES = [
    (name, granularity, dtype)
    for name in METHODS
    for granularity in ("weight", "kernel", "2x3", "2x3 stored")
    for dtype in ("float32", "float16", "bfloat16")
    # Several weights have no common sign.
    if name != "deepr" or granularity == "weight"
]


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_a_gpu_has_kernels_for_all_operations(case):
    nodes = traced(*case)
    # Those of functions that functions call are among them.
    draws = case[0] in (
        *("dsr", "dsr with stddev", "set", "deepr", "mest soft"),
    )
    expected = {"Where", "SparseToDense", "Unique" if draws else "Where"}
    if case[1].endswith("stored"):
        expected = {"Where", "ScatterNd", "LowerBound"}
    assert expected <= {x.op for x in nodes}
    assert missing(nodes) == set()


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_a_gpu_computes_nothing_large_on_the_host(case):
    assert large_on_host(traced(*case)) == set()


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_a_gpu_refuses_nothing_under_determinism(case):
    assert not REFUSED & {node.op for node in traced(*case)}


def test_tensorflow_still_lists_kernels():
    for operation in ("MatMul", "Where", "ReadVariableOp"):
        assert kernels(operation)
        assert get_registered_kernels_for_op(operation).kernel


def nodes_with(function, *specs):
    """Returns the nodes of a function, called by two others."""

    def nested(*arguments):
        return tf.cond(
            tf.size(arguments[0]) > 3,
            lambda: tf.function(function)(*arguments),
            lambda: function(*arguments),
        )

    return list(nodes_of(tf.function(nested).get_concrete_function(*specs)))


def test_what_a_gpu_lacks_is_found_in_functions_that_are_called():
    row, where = tf.TensorSpec([None], tf.int8), tf.TensorSpec([None], tf.int64)
    assert missing(nodes_with(tf.gather, row, where)) == {
        "GatherV2 {'Taxis': ['int32'], 'Tindices': ['int64'], "
        "'Tparams': ['int8']}"
    }
    row = tf.TensorSpec([None], tf.float16)
    assert missing(nodes_with(tf.gather, row, where)) == set()


def test_what_a_gpu_leaves_to_the_host_is_found_where_it_is_large():
    row = tf.TensorSpec([None], tf.int32)
    found = large_on_host(nodes_with(lambda x: x * 2, row))
    assert "Mul {'T': ['int32']}" in found
    few = tf.TensorSpec([4], tf.int32)
    assert large_on_host(nodes_with(lambda x: x * 2, few)) == set()
    row = tf.TensorSpec([None], tf.int64)
    assert large_on_host(nodes_with(lambda x: x * 2, row)) == set()
