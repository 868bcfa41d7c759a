"""Where each layer of a model is, and why it was left dense."""

from collections.abc import Callable
from dataclasses import dataclass

import keras

from dsr_tf.graph.kinds import has_sparse_kind
from dsr_tf.graph.search import first_convolutions
from dsr_tf.graph.search import is_graph
from dsr_tf.graph.search import projections
from dsr_tf.layers.tree import sublayers


@dataclass(frozen=True)
class Place:
    """A layer in a model.

    Args:
        layer: The layer.
        path: Names of the models and layers that contain it, without the
            outermost model, and its own name, joined by `/`.
        container: The outermost model or layer on this path whose layers cannot
            be replaced: a wrapper, another layer, or a subclassed model. None
            if all can be replaced.
    """

    layer: keras.layers.Layer
    path: str
    container: keras.layers.Layer | None


def places(model: keras.Model) -> list[Place]:
    """Returns the places of a model and of all layers in it, at any depth.

    Each layer is listed once, at the first place where it is found.

    Args:
        model: Any Keras model.
    """
    root = Place(model, model.name, None)
    found = {id(model): root}

    def descend(parent: Place, prefix: str) -> None:
        container = parent.container
        if container is None and not is_graph(parent.layer):
            container = parent.layer
        for layer in sublayers(parent.layer):
            if id(layer) not in found:
                place = Place(layer, prefix + layer.name, container)
                found[id(layer)] = place
                descend(place, f"{place.path}/")

    descend(root, "")
    return list(found.values())


def dense_reasons(model: keras.Model) -> Callable[[Place], str]:
    """Returns a function that says why a layer of a model was left dense.

    Args:
        model: A built model.
    """
    first = _found(first_convolutions, model)
    shortcuts = _found(projections, model)

    def reason(place: Place) -> str:
        kind = type(place.layer).__name__
        if not has_sparse_kind(place.layer):
            return f"no sparse kind: {kind}"
        if isinstance(place.container, keras.Model):
            return f"in subclassed model {place.container.name}"
        if place.container is not None:
            outer = type(place.container).__name__
            return f"inside {outer} {place.container.name}"
        if id(place.layer) in first:
            return "first convolution"
        if id(place.layer) in shortcuts:
            return "projection of a shortcut"
        return "excluded, or built dense"

    return reason


def _found(
    find: Callable[[keras.Model], set[int]], model: keras.Model
) -> set[int]:
    if not is_graph(model):
        return set()
    try:
        return find(model)
    # Broad, as `get_config` of the user's layers may fail in any way. Such a
    # model cannot have been converted, so its dense layers were built dense.
    except Exception:
        return set()
