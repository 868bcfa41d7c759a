"""Finds the first convolutions of a model, and its shortcuts."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras

from dsr_tf.graph.kinds import is_kernel
from dsr_tf.layers.kernel_units import CONVOLUTIONS


@dataclass(frozen=True)
class Graph:
    """The layers of one model and their inputs; a nested model is one layer.

    Args:
        inputs: Names of the operations that feed each operation, in order, for
            all places where it is called.
        classes: Class name of each operation.
        layers: The layers among the operations.
    """

    inputs: dict[str, list[str]]
    classes: dict[str, str]
    layers: dict[str, keras.layers.Layer]

    def before(self, name: str) -> set[str]:
        """Returns the names of all operations that lead to one."""
        found: set[str] = set()
        rest = list(self.inputs[name])
        while rest:
            found.add(current := rest.pop())
            rest += [n for n in self.inputs[current] if n not in found]
        return found

    def kernel_before(self, name: str) -> bool:
        """Tells whether a layer with a kernel leads to an operation."""
        return any(_has_kernel(self.layers.get(n)) for n in self.before(name))


def has_inputs(model: Any) -> bool:
    """Tells whether a model is sequential or functional, or a subclass of such.

    Keras then knows the inputs of a built one.
    """
    functional = isinstance(model, keras.Model) and hasattr(model, "operations")
    return functional or isinstance(model, keras.Sequential)


def is_graph(model: Any) -> bool:
    """Tells whether Keras can make a model again, with other layers in it.

    It can where it knows how these are connected: in sequential and functional
    models. It cannot in subclasses that call them in code, and in those that
    have arguments or a config of their own.
    """
    return has_inputs(model) and _is_kerass(
        model, "__init__", "get_config", "call"
    )


def _is_kerass(model: keras.Model, *names: str) -> bool:
    """Tells whether a model has these methods from Keras itself."""
    return all(
        next(
            x for x in type(model).__mro__ if name in vars(x)
        ).__module__.split(".")[0]
        == "keras"
        for name in names
    )


def graph_of(model: keras.Model) -> Graph:
    """Reads from its config how the layers of a model are connected."""
    layers = {layer.name: layer for layer in model.layers}
    if isinstance(model, keras.Sequential):
        names = list(layers)
        inputs = {n: names[:i][-1:] for i, n in enumerate(names)}
        classes = {n: type(layer).__name__ for n, layer in layers.items()}
        return Graph(inputs, classes, layers)
    entries = model.get_config()["layers"]
    return Graph(
        {x["name"]: list(_sources(x["inbound_nodes"])) for x in entries},
        {x["name"]: x["class_name"] for x in entries},
        layers,
    )


def first_convolutions(model: keras.Model, first: bool = True) -> set[int]:
    """Finds the convolutions that have no layer with a kernel before them.

    Args:
        model: A sequential or functional model; nested ones are entered.
        first: Whether no layer with a kernel comes before the model itself.

    Returns:
        Their identities, `id(layer)`.
    """
    graph = graph_of(model)
    found: set[int] = set()
    for name, layer in graph.layers.items():
        fresh = first and not graph.kernel_before(name)
        if fresh and isinstance(layer, CONVOLUTIONS):
            found.add(id(layer))
        elif is_graph(layer):
            found |= first_convolutions(layer, fresh)
    return found


def projections(model: keras.Model) -> set[int]:
    """Finds the 1×1 convolutions that change the shape of a residual shortcut.

    The output of such a convolution reaches a sum without passing another
    kernel. Its input also reaches the same sum through other kernels.

    Args:
        model: A sequential or functional model; nested ones are entered.

    Returns:
        Their identities, `id(layer)`.
    """
    graph = graph_of(model)
    found: set[int] = set()
    for name, class_name in graph.classes.items():
        if class_name == "Add":
            found |= _projections_into(graph, graph.inputs[name])
    for layer in graph.layers.values():
        if is_graph(layer):
            found |= projections(layer)
    return found


def _projections_into(graph: Graph, branches: list[str]) -> set[int]:
    found = set()
    for branch in branches:
        last = _last_kernel(graph, branch)
        layer = graph.layers.get(last)
        if not isinstance(layer, CONVOLUTIONS) or set(layer.kernel_size) != {1}:
            continue
        others = [other for other in branches if other != branch]
        seen = set(others).union(*(graph.before(other) for other in others))
        # A layer that leads to the other branches too is no shortcut.
        forked = last not in seen and seen.issuperset(graph.inputs[last])
        beside = seen - graph.before(last)
        if forked and any(_has_kernel(graph.layers.get(n)) for n in beside):
            found.add(id(layer))
    return found


def _last_kernel(graph: Graph, name: str) -> str:
    """Goes back from an operation to the next with a kernel, or a fork."""
    while not _has_kernel(graph.layers.get(name)):
        if len(graph.inputs[name]) != 1:
            return name
        name = graph.inputs[name][0]
    return name


def _has_kernel(layer: Any) -> bool:
    if layer is None:
        return False
    # Not `trainable_weights`: a frozen layer has none.
    return any(is_kernel(weight) for weight in layer.weights)


def _sources(node: Any) -> Iterator[str]:
    """Yields the names of the operations whose tensors a config mentions."""
    if isinstance(node, dict):
        if node.get("class_name") == "__keras_tensor__":
            yield node["config"]["keras_history"][0]
            return
        node = list(node.values())
    if isinstance(node, list | tuple):
        for part in node:
            yield from _sources(part)
