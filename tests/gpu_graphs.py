"""What a GPU could run of a graph, and where it would wait for the host.

TensorFlow's wheel lists the kernels of GPUs, also where there is none.
"""

import functools
import math
from collections import Counter
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace
from typing import Any

import tensorflow as tf

# Private: nothing public lists kernels, or the arguments of an operation.
from tensorflow.python.framework import op_def_registry
from tensorflow.python.framework.kernels import get_registered_kernels_for_op

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
# Their kernels ask the device how many they have found.
ASK = {"SegmentSum", "Unique", "Where"}
# Those that raise an error after `enable_op_determinism`, by the messages in
# TensorFlow's wheel. They name no single operations where they speak of
# scatters into variables of TensorFlow 1.
REFUSED = {
    "AdjustContrast",
    "AdjustContrastv2",
    "Bincount",
    "CropAndResizeGradBoxes",
    "CropAndResizeGradImage",
    "DenseBincount",
    "Dilation2DBackpropFilter",
    "Dilation2DBackpropInput",
    "FakeQuantWithMinMaxVarsGradient",
    "FakeQuantWithMinMaxVarsPerChannelGradient",
    "MaxPoolGradWithArgmax",
    "ResizeNearestNeighborGrad",
    "ScatterAdd",
    "ScatterNdAdd",
    "ScatterNdSub",
    "ScatterNdUpdate",
    "ScatterSub",
    "ScatterUpdate",
    "SoftmaxCrossEntropyWithLogits",
    "SparseSoftmaxCrossEntropyWithLogits",
    "SparseTensorDenseMatMul",
    "Svd",
}
# Where `on_host` places what methods compute. Replicas are on logical CPUs in
# tests; these have longer names, and stand for GPUs.
HOST = "/device:CPU:0"
# A function takes these from the host, and returns them there.
RESOURCE, VARIANT = tf.resource.as_datatype_enum, tf.variant.as_datatype_enum
OF_HOST = {
    tf.int32.as_datatype_enum,
    tf.string.as_datatype_enum,
    RESOURCE,
    VARIANT,
}


def types(value: Any) -> list[int]:
    """Returns the types that an attribute names."""
    one = value.WhichOneof("value") == "type"
    return [value.type] if one else list(value.list.type)


@functools.cache
def kernels(operation: str) -> list[Any]:
    """Returns the kernels of GPUs for an operation."""
    found = get_registered_kernels_for_op(operation).kernel
    # "DEFAULT" is every device.
    return [x for x in found if x.device_type in ("GPU", "DEFAULT")]


@functools.cache
def constrained(operation: str) -> list[str]:
    """Returns the attributes that kernels of an operation depend on."""
    return sorted({x.name for y in kernels(operation) for x in y.constraint})


@functools.cache
def kernels_for(operation: str, *given: tuple[str, frozenset[int]]) -> Any:
    """Returns the kernels of GPUs for an operation on some types."""
    own = dict(given)
    return [
        kernel
        for kernel in kernels(operation)
        if all(
            own[x.name] <= set(x.allowed_values.list.type)
            for x in kernel.constraint
        )
    ]


def of_gpu(node: Any) -> list[Any]:
    """Returns the kernels of GPUs for a node."""
    names = constrained(node.op)
    given = ((x, frozenset(types(node.attr[x]))) for x in names)
    return kernels_for(node.op, *given)


def nodes_of(function: Any) -> Iterator[Any]:
    """Yields all nodes of a concrete function, and of those that it calls."""
    graph = graph_of(function)
    yield from graph.node
    for inner in graph.library.function:
        yield from inner.node_def


@functools.lru_cache(4)
def graph_of(function: Any) -> Any:
    """Returns the graph of a concrete function."""
    return function.graph.as_graph_def(add_shapes=True)


def described(node: Any) -> str:
    """Returns an operation and its types."""
    named = {
        name: [tf.as_dtype(x).name for x in types(value)]
        for name, value in sorted(node.attr.items())
        if types(value)
    }
    return f"{node.op} {named}"


def missing(nodes: Iterable[Any]) -> set[str]:
    """Returns the operations that have no kernel for their types."""
    return {
        described(node)
        for node in nodes
        if node.op not in CALLS and not of_gpu(node)
    }


def sizes(node: Any) -> list[float]:
    """Returns how many elements each output has; inf where nobody knows."""
    shapes = map(tf.TensorShape, node.attr["_output_shapes"].list.shape)
    counts = [shape.num_elements() for shape in shapes]
    return [math.inf if count is None else count for count in counts]


def large_on_host(nodes: Iterable[Any]) -> set[str]:
    """Returns the operations that a GPU leaves on the host, and that are large.

    TensorFlow has kernels for GPUs that compute on the host, such as those of
    int32, for shapes.
    """
    found = set()
    for node in nodes:
        if node.op in CALLS:
            continue
        for (_, on_host), size in zip(outputs(node), sizes(node), strict=False):
            if on_host and size > MOST_ON_HOST:
                found.add(described(node))
    return found


def waits(function: Any) -> Counter[str]:
    """Counts what waits for numbers from the device, if loops run once.

    These are the kernels that ask how much they have found, and all that the
    host must know, such as a shape or a condition, where the device has
    computed it: the host waits until all before it is computed.

    Args:
        function: A concrete function.

    Returns:
        How often an argument of an operation is waited for.
    """
    graph = graph_of(function)
    library = {x.signature.name: x for x in graph.library.function}
    return _Body(graph.node, library).waits()


@dataclass(frozen=True)
class _Body:
    """The nodes of one function, and the functions that they may call."""

    nodes: Any
    library: Mapping[str, Any]
    arguments: Any = ()
    results: Any = ()

    def waits(self) -> Counter[str]:
        found: Counter[str] = Counter()
        places = self.places()
        for node in self.nodes:
            found[node.op] += node.op in ASK
            for name, source in host_inputs(node):
                found[f"{node.op}.{name}"] += not places[source]
            found += self.waits_of_functions(node)
        return +found

    def places(self) -> dict[str, bool]:
        """Returns whether each value lies on the host, by its names."""
        places = {x.name: x.type in OF_HOST for x in self.arguments}
        for node in self.nodes:
            found = outputs(node)
            for i, (name, on_host) in enumerate(found):
                places[f"{node.name}:{name}"] = on_host
                places[f"{node.name}:{i}"] = on_host
            if found:
                places[node.name] = found[0][1]
        return places

    def waits_of_functions(self, node: Any) -> Counter[str]:
        """Counts what waits in the functions that a node calls."""
        if node.op in ("If", "StatelessIf"):
            branches = [
                self.function(node, name).waits()
                for name in ("then_branch", "else_branch")
            ]
            return max(branches, key=Counter.total)
        if node.op in ("While", "StatelessWhile"):
            condition = self.function(node, "cond")
            each = condition.waits() + self.function(node, "body").waits()
            each[f"{node.op}.cond"] += not condition.places()[
                condition.results[0]
            ]
            return each
        if node.op in CALLS and "f" in node.attr:
            return self.function(node, "f").waits()
        return Counter()

    def function(self, node: Any, name: str) -> "_Body":
        """Returns a function that a node calls."""
        found = self.library[node.attr[name].func.name]
        results = [found.ret[x.name] for x in found.signature.output_arg]
        arguments = found.signature.input_arg
        return replace(
            self, nodes=found.node_def, arguments=arguments, results=results
        )


def kinds(node: Any, argument: Any) -> list[int]:
    """Returns the type of each value of an argument or result."""
    if argument.type_list_attr:
        return list(node.attr[argument.type_list_attr].list.type)
    one = argument.type or node.attr[argument.type_attr].type
    number = argument.number_attr
    return [one] * (node.attr[number].i if number else 1)


def runs_on_host(node: Any) -> bool:
    """Tells whether a node is placed on the host, or has no other kernel."""
    return node.device == HOST or not (node.op in CALLS or of_gpu(node))


def outputs(node: Any) -> list[tuple[str, bool]]:
    """Returns the name of each result, and whether it lies on the host."""
    found = []
    for output in op_def_registry.get(node.op).output_arg:
        for i, kind in enumerate(kinds(node, output)):
            on_host = runs_on_host(node) or kind in OF_HOST
            if node.op not in CALLS and not runs_on_host(node):
                on_host = in_host_memory(node, output)
            found.append((f"{output.name}:{i}", on_host))
    return found


def in_host_memory(node: Any, argument: Any) -> bool:
    """Tells whether all kernels have an argument in the host's memory."""
    return all(argument.name in x.host_memory_arg for x in of_gpu(node))


def host_inputs(node: Any) -> Iterator[tuple[str, str]]:
    """Yields the arguments that the host must know, and where they are from."""
    sources = (x for x in node.input if not x.startswith("^"))
    for argument in op_def_registry.get(node.op).input_arg:
        for kind in kinds(node, argument):
            source = next(sources)
            if node.op in CALLS:
                # What a branch depends on; a function takes the rest as it is.
                on_host = node.op.endswith("If") and argument.name == "cond"
            else:
                on_host = runs_on_host(node) or in_host_memory(node, argument)
            if on_host and kind not in (RESOURCE, VARIANT):
                yield argument.name, source
