"""Which layers of a model are made sparse, or hashed."""

import fnmatch
import re
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras

from dsr_tf.checks import checked_kind
from dsr_tf.graph.kinds import SPARSE_OF
from dsr_tf.graph.kinds import Kinds
from dsr_tf.graph.search import first_convolutions
from dsr_tf.graph.search import is_graph
from dsr_tf.graph.search import projections

Pattern = (
    str
    | re.Pattern[str]
    | type[keras.layers.Layer]
    | Callable[[keras.layers.Layer], bool]
)
_PATTERNS = str | re.Pattern | Callable
_WORDS = (
    "a name, a glob, a compiled regular expression, a class, a function, or a "
    "list of these"
)


def matches(pattern: Pattern, layer: keras.layers.Layer) -> bool:
    """Tells whether a pattern matches a layer.

    Args:
        pattern: A name or a glob, such as `"block_*"`; a compiled regular
            expression, searched for in the name; a class; or a function from
            layer to bool.
        layer: Any layer.
    """
    if isinstance(pattern, str):
        return fnmatch.fnmatchcase(layer.name, pattern)
    if isinstance(pattern, re.Pattern):
        return pattern.search(layer.name) is not None
    if isinstance(pattern, type):
        return isinstance(layer, pattern)
    return bool(pattern(layer))


def select(
    model: keras.Model,
    include: Any = None,
    exclude: Any = None,
    kinds: Kinds = SPARSE_OF,
) -> list[keras.layers.Layer]:
    """Chooses the layers of a model that are to be replaced, in order.

    Without patterns, these are all layers that can be replaced, except the
    first convolution behind each input and the projections of residual
    shortcuts, as in the paper.

    Args:
        model: A built model.
        include: One pattern or several. Only matching layers are chosen; they
            may include layers that are left out by default.
        exclude: One pattern or several. Matching layers are left out.
        kinds: Kinds of layers that can be replaced.

    Raises:
        ValueError: If a pattern matches no layer that can be replaced, or none
            is left.

    Reference:
        [Mostafa & Wang, 2019](https://arxiv.org/abs/1902.05967), section 4.
    """
    candidates = convertible(model, kinds)
    if include is None:
        unfit = first_convolutions(model) | projections(model)
        chosen = [layer for layer in candidates if id(layer) not in unfit]
    else:
        chosen = matched("include", include, candidates)
    if exclude is not None:
        excluded = {id(x) for x in matched("exclude", exclude, candidates)}
        chosen = [layer for layer in chosen if id(layer) not in excluded]
    if not chosen:
        raise ValueError(
            "`model` must have a layer to convert: one of "
            f"{', '.join(kind.__name__ for kind in kinds)} that neither "
            "`include`, `exclude` nor the default leaves out. "
            f"Received: model '{model.name}' with candidates "
            f"{[layer.name for layer in candidates]}"
        )
    return chosen


def convertible(
    model: keras.Model, kinds: Kinds = SPARSE_OF
) -> list[keras.layers.Layer]:
    """Returns the layers that can be replaced, each once, in order.

    Nested models are entered. Wrappers and subclassed models are not, because
    their layers cannot be replaced. A subclass of a layer cannot be replaced
    either: its `call` may compute with the kernel in its own way.

    Args:
        model: A sequential or functional model.
        kinds: Kinds of layers that can be replaced.
    """
    found: dict[int, keras.layers.Layer] = {}
    for layer in model.layers:
        if is_graph(layer):
            found |= {id(inner): inner for inner in convertible(layer, kinds)}
        elif type(layer) in kinds:
            found[id(layer)] = layer
    return list(found.values())


def matched(
    name: str, patterns: Any, layers: Sequence[keras.layers.Layer]
) -> list[keras.layers.Layer]:
    """Returns the layers that at least one pattern matches.

    Args:
        name: Name of the argument, for the message.
        patterns: A pattern, or a list of patterns.
        layers: The layers to choose from.

    Raises:
        ValueError: If something is no pattern, or matches none of them.
    """
    several = isinstance(patterns, list | tuple | set)
    found: dict[int, keras.layers.Layer] = {}
    for pattern in patterns if several else [patterns]:
        checked_kind(name, pattern, _PATTERNS, _WORDS)
        hits = [layer for layer in layers if matches(pattern, layer)]
        if not hits:
            raise ValueError(
                f"`{name}` must match a layer that can be converted. "
                f"Received: {name}={pattern!r}, which matches none of "
                f"{[layer.name for layer in layers]}"
            )
        found |= {id(layer): layer for layer in hits}
    return [layer for layer in layers if id(layer) in found]
