"""Keras' name scopes, opened and closed by hand."""

from collections.abc import Iterator
from contextlib import ExitStack
from contextlib import contextmanager

import keras

# Private: what Keras leaves there is in the paths of all later variables.
from keras.src.backend.common import global_state

_STACK = "name_scope_stack"


@contextmanager
def closed_name_scopes() -> Iterator[None]:
    """Closes the name scopes that Keras leaves open.

    As of Keras 3.15 it does so in a graph, where TensorFlow refuses the name of
    a layer, such as one with brackets.
    """
    before = len(global_state.get_global_attribute(_STACK) or ())
    try:
        yield
    finally:
        del (global_state.get_global_attribute(_STACK) or [])[before:]


@contextmanager
def open_name_scopes(path: str) -> Iterator[None]:
    """Opens the name scopes of a path, one in the other.

    Args:
        path: Names with a `/` between; may be empty.
    """
    with ExitStack() as stack:
        for name in filter(None, path.split("/")):
            stack.enter_context(keras.name_scope(name))
        yield
