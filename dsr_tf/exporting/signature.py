"""Names of a model's inputs and outputs in the files it is exported to."""

import re
from collections.abc import Iterable
from typing import Any

import keras


def input_names(model: keras.Model) -> list[str]:
    """Returns a name for each input of a model, in order.

    Names are those of the input layers; characters that a signature cannot
    have are replaced.
    """
    return _distinct(map(_plain, layer_names(model)))


def layer_names(model: keras.Model) -> list[str]:
    """Returns the names of a model's input layers, in order."""
    # Private: a sequential model does not list its input layer, and the tensor
    # of one without a name has another name in each copy of the model.
    return [tensor._keras_history.operation.name for tensor in model.inputs]


def output_names(outputs: Any) -> list[str]:
    """Returns a name for each output of a model, in order.

    Those of a dictionary are its keys; others are `output_0`, `output_1` and so
    on. Those of nested structures are joined by underscores.

    Args:
        outputs: Structure of the outputs, with anything in the places of the
            tensors.
    """
    paths = [path for path, _ in keras.tree.flatten_with_path(outputs)]
    return _distinct(_joined(path or (0,)) for path in paths)


def _joined(path: tuple[Any, ...]) -> str:
    first, *rest = path
    start = first if isinstance(first, str) else f"output_{first}"
    return "_".join([start, *map(str, rest)])


def _plain(name: str) -> str:
    plain = re.sub(r"\W", "_", name, flags=re.ASCII)
    return plain if re.match("[A-Za-z]", plain) else f"arg_{plain}"


def _distinct(names: Iterable[str]) -> list[str]:
    """Appends a number to names that are there before."""
    found: list[str] = []
    for name in names:
        free, number = name, 1
        while free in found:
            free, number = f"{name}_{number}", number + 1
        found.append(free)
    return found
