"""Whether a GPU could run reallocation, found without one."""

import contextlib

import pytest
import tensorflow as tf

from dsr_tf.methods import masked
from tests.gpu_graphs import REFUSED
from tests.gpu_graphs import kernels
from tests.gpu_graphs import large_on_host
from tests.gpu_graphs import missing
from tests.gpu_graphs import nodes_of
from tests.gpu_graphs import waits
from tests.gpu_reallocations import AT_RANDOM
from tests.gpu_reallocations import CASES
from tests.gpu_reallocations import NUM_TENSORS
from tests.gpu_reallocations import functions

# What the host waits for in a reallocation: of each tensor, the positions of
# its active units, of those that go, of those that could come, which of these
# are there twice, and whether they are enough.
WAITS_A_TENSOR = 5
# In all: the counts of the proposal and of the plan, and ties at the threshold.
OTHER_WAITS = 6


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def traced(request):
    """Returns a case, and the functions that reallocate its network."""
    scope = contextlib.nullcontext()
    if request.param[1] == "mirrored":
        scope = request.getfixturevalue("strategy").scope()
    with scope:
        return request.param, functions(*request.param)


def nodes(traced):
    return [x for function in traced[1] for x in nodes_of(function)]


def test_a_gpu_has_kernels_for_all_operations(traced):
    name, form, _ = traced[0]
    # Those of functions that functions call are among them.
    expected = {"Where", "SparseToDense"}
    if form.endswith("stored"):
        expected = {"Where", "ScatterNd", "LowerBound"}
    elif name in AT_RANDOM:
        expected |= {"Unique"}
    assert expected <= {x.op for x in nodes(traced)}
    assert missing(nodes(traced)) == set()


def test_a_gpu_computes_nothing_large_on_the_host(traced):
    assert large_on_host(nodes(traced)) == set()


def test_a_gpu_refuses_nothing_under_determinism(traced):
    assert not REFUSED & {node.op for node in nodes(traced)}


def number_of_waits(functions):
    return sum(waits(x).total() for x in functions)


def more_waits(name, form):
    """Returns how often the host waits beyond that, for each tensor."""
    if not form.endswith("stored"):
        return 0
    # How many blocks there are afterwards; and which are below a threshold,
    # where masks are looked at beside the weights.
    return 2 if name == "dsr by threshold" else 1


def test_the_host_waits_for_a_few_numbers_of_each_tensor(traced):
    (name, form, _), found = traced
    each = WAITS_A_TENSOR + more_waits(name, form)
    assert number_of_waits(found) <= each * NUM_TENSORS + OTHER_WAITS


@pytest.mark.parametrize(
    "name, form, each",
    [
        ("dsr", "weight", 5),
        ("dsr by threshold", "2x3 stored", 7),
        ("dsr drawn", "weight", 3),
        ("set", "2x3 stored", 5),
        ("by score", "weight", 1),
    ],
)
def test_so_it_does_for_each_further_tensor(name, form, each):
    few, more = (functions(name, form, "float32", more=n) for n in (0, 2))
    assert number_of_waits(more) - number_of_waits(few) == 2 * each


def test_and_for_each_further_part_of_a_kernel_below_a_threshold(monkeypatch):
    whole = functions("dsr by threshold", "weight", "float32")
    # So the kernels, of 108, 768 and 40 weights, have 2, 8 parts and 1.
    monkeypatch.setattr(masked, "_BLOCK", 100)
    parts = functions("dsr by threshold", "weight", "float32")
    assert number_of_waits(parts) - number_of_waits(whole) == 8


def test_what_is_waited_for_is_found_in_functions_that_are_called():
    row, count = tf.TensorSpec([None]), tf.TensorSpec([], tf.int64)

    def found(function, *specs):
        concrete = tf.function(function).get_concrete_function(*specs)
        return dict(waits(concrete))

    # int64 is computed on the device, and int32 on the host.
    assert found(lambda x, n: x[: n + 1], row, count)["StridedSlice.end"] == 1
    count = tf.TensorSpec([], tf.int32)
    assert found(lambda x, n: x[: n + 1], row, count) == {}
    assert found(lambda x, n: tf.where(x[:n]), row, count) == {"Where": 1}
    inner = tf.function(lambda x: tf.where(x > 0))
    assert found(lambda x: (inner(x), inner(-x)), row) == {"Where": 2}
    assert found(
        lambda x: tf.cond(tf.reduce_sum(x) > 0, lambda: x, lambda: -x), row
    ) == {"StatelessIf.cond": 1}
    assert found(
        lambda x: tf.while_loop(
            lambda x: tf.reduce_sum(x) > 0, lambda x: (x - 1,), (x,)
        ),
        row,
    ) == {"StatelessWhile.cond": 1}


def test_tensorflow_still_lists_kernels():
    for operation in ("MatMul", "Where", "ReadVariableOp"):
        assert kernels(operation)


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
