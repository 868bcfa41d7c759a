"""Where each layer of a model is, and why it was left dense."""

from collections.abc import Callable
from dataclasses import dataclass

import keras

from dsr_tf.graph.kinds import usual_kernels
from dsr_tf.graph.kinds import why_dense
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
        outer: The models and layers on this path before it, without the
            outermost model.
        is_free: Whether all of these are sequential and functional models, the
            outermost too, so that another layer can take its place.
    """

    layer: keras.layers.Layer
    path: str
    outer: tuple[keras.layers.Layer, ...] = ()
    is_free: bool = True


def places(model: keras.Model) -> list[Place]:
    """Returns the places of a model and of all layers in it, at any depth.

    Each layer is listed once, at the first place where it is found.

    Args:
        model: Any Keras model.
    """
    root = Place(model, model.name)
    found = {id(model): root}

    def descend(parent: Place, prefix: str) -> None:
        outer = () if parent is root else (*parent.outer, parent.layer)
        is_free = parent.is_free and is_graph(parent.layer)
        for layer in sublayers(parent.layer):
            if id(layer) not in found:
                place = Place(layer, prefix + layer.name, outer, is_free)
                found[id(layer)] = place
                descend(place, f"{place.path}/")

    descend(root, "")
    return list(found.values())


def dense_reasons(model: keras.Model) -> Callable[[Place], str]:
    """Returns a function that says why a layer of a model was left dense.

    Args:
        model: A built model.
    """
    first, shortcuts = left_out(model)

    def reason(place: Place) -> str:
        if not usual_kernels(place.layer):
            return why_dense(place.layer)
        if id(place.layer) in first:
            return "first convolution"
        if id(place.layer) in shortcuts:
            return "projection of a shortcut"
        return "excluded, or built dense"

    return reason


def left_out(model: keras.Model) -> tuple[set[int], set[int]]:
    """Returns the first convolutions, and the projections of shortcuts.

    Args:
        model: A built model. Where it calls its layers in code, nothing is
            known of these.

    Returns:
        Their identities, `id(layer)`.
    """
    return _found(first_convolutions, model), _found(projections, model)


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
