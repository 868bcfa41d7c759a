"""Which kernels of a model are made sparse, or hashed."""

import fnmatch
import re
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras.layers import Layer

from dsr_tf.checks import checked_kind
from dsr_tf.graph.kinds import HASHED_OF
from dsr_tf.graph.kinds import possible_kernels
from dsr_tf.graph.kinds import usual_kernels
from dsr_tf.graph.kinds import why_dense
from dsr_tf.graph.places import Place
from dsr_tf.graph.places import left_out
from dsr_tf.graph.places import places

Pattern = str | re.Pattern[str] | type[Layer] | Callable[[Layer], bool]
_PATTERNS = str | re.Pattern | Callable
_WORDS = (
    "a name, a glob, a compiled regular expression, a class, a function, or a "
    "list of these"
)
# Where layers are to be made sparse, all with kernels are candidates.
_NOT_HASHED = "no Dense or Conv2D of a graph, which can be hashed"
# Layers that a message names at most.
_MOST = 12


@dataclass(frozen=True)
class Candidate:
    """A layer of which kernels can be made sparse.

    Args:
        place: Where it is.
        kernels: Its kernels: the usual ones, or all where it has none.
        is_usual: Whether they are usual kernels. Others are made sparse on
            request only.
    """

    place: Place
    kernels: tuple[keras.Variable, ...]
    is_usual: bool

    @property
    def layer(self) -> Layer:
        return self.place.layer


def candidates(model: keras.Model) -> list[Candidate]:
    """Returns the layers that can be made sparse, each once, in order.

    Args:
        model: A built model.
    """
    found: list[Candidate] = []
    seen: set[int] = set()
    for place in places(model):
        usual = usual_kernels(place.layer)
        kernels = usual or possible_kernels(place.layer)
        # Layers may share a kernel.
        own = tuple(x for x in kernels if id(x) not in seen)
        seen |= {id(x) for x in own}
        if own:
            found.append(Candidate(place, own, bool(usual)))
    return found


def hashable(model: keras.Model) -> list[Candidate]:
    """Returns the layers that can be hashed, each once, in order.

    Args:
        model: A built sequential or functional model.
    """
    return [
        Candidate(place, (place.layer.kernel,), True)
        for place in places(model)
        if place.is_free
        and type(place.layer) in HASHED_OF
        and possible_kernels(place.layer)
    ]


def matches(pattern: Pattern, layer: Layer) -> bool:
    """Tells whether a pattern matches a layer.

    Args:
        pattern: A name or a glob, such as `"block_*"`; a compiled regular
            expression, searched for in the name; a class; or a function from
            layer to bool.
        layer: Any layer.
    """
    if isinstance(pattern, str | re.Pattern):
        return _finds(pattern, layer.name)
    if isinstance(pattern, type):
        return isinstance(layer, pattern)
    return bool(pattern(layer))


def _finds(pattern: str | re.Pattern[str], name: str) -> bool:
    if isinstance(pattern, str):
        return fnmatch.fnmatchcase(name, pattern)
    return pattern.search(name) is not None


def select(
    model: keras.Model,
    among: Sequence[Candidate],
    include: Any = None,
    exclude: Any = None,
) -> list[Candidate]:
    """Chooses the layers of a model that are to be converted, in order.

    Without patterns, these are all layers with usual kernels, except the first
    convolution behind each input and the projections of residual shortcuts, as
    in the paper.

    Args:
        model: A built model.
        among: Its layers that can be converted.
        include: One pattern or several. Only matching layers are chosen; they
            may include layers that are left out by default.
        exclude: One pattern or several. Matching layers are left out.

    Raises:
        ValueError: If a pattern matches no layer that can be converted, or none
            is left.

    Reference:
        [Mostafa & Wang, 2019](https://arxiv.org/abs/1902.05967), section 4.
    """
    if include is None:
        unfit = set().union(*left_out(model))
        fit = [x for x in among if id(x.layer) not in unfit]
        chosen = [x for x in fit if x.is_usual]
    elif _is_list(include) and not include:
        raise ValueError(
            "`include` must be None, a pattern, or a list of at least one. "
            f"Received: include={include!r}"
        )
    else:
        chosen = matched("include", include, among, model)
    if exclude is not None:
        out = {id(x) for x in matched("exclude", exclude, among, model)}
        chosen = [x for x in chosen if id(x) not in out]
    if not chosen:
        names = ", ".join(x.place.path for x in among) or "none"
        error = ValueError(
            "`model` must have a layer to convert. First convolutions and "
            "projections of shortcuts are left out by default. "
            f"Received: model '{model.name}'. It has candidates: {names}. "
            f"{_others(model, among)}"
        )
        error.add_note(
            "`include` names layers that are converted, `exclude` "
            "those that are not."
        )
        raise error
    return chosen


def matched(
    name: str,
    patterns: Any,
    among: Sequence[Candidate],
    model: keras.Model,
    otherwise: str = _NOT_HASHED,
) -> list[Candidate]:
    """Returns the candidates that at least one pattern matches.

    A pattern matches a layer, or a model or layer that contains it; of the
    latter only usual kernels are meant. A function is asked for the layers
    with kernels alone. A name or an expression with a `/` matches the path.

    Args:
        name: Name of the argument, for the message.
        patterns: A pattern, or a list of patterns.
        among: The candidates to choose from.
        model: Their model.
        otherwise: Why a layer with kernels is none of them, for the message.

    Raises:
        ValueError: If something is no pattern, or matches none of them.
    """
    found: set[int] = set()
    for pattern in patterns if _is_list(patterns) else [patterns]:
        # A layer can be called, but is no function from layer to bool.
        kinds = () if isinstance(pattern, Layer) else _PATTERNS
        checked_kind(name, pattern, kinds, _WORDS)
        hits = {id(x) for x in among if _is_meant(pattern, x)}
        if not hits:
            names = ", ".join(x.place.path for x in among) or "none"
            raise ValueError(
                f"`{name}` must match a layer that can be converted. "
                f"Received: {name}={pattern!r}, which matches none of these: "
                f"{names}. {_others(model, among, otherwise)}"
            )
        found |= hits
    return [x for x in among if id(x) in found]


def _is_list(patterns: Any) -> bool:
    return isinstance(patterns, list | tuple | set)


def _is_meant(pattern: Pattern, candidate: Candidate) -> bool:
    if isinstance(pattern, str | re.Pattern) and "/" in _text(pattern):
        return any(_finds(pattern, path) for path in _paths(candidate))
    if matches(pattern, candidate.layer):
        return True
    is_function = not isinstance(pattern, str | re.Pattern | type)
    if is_function or not candidate.is_usual:
        return False
    return any(matches(pattern, x) for x in candidate.place.outer)


def _paths(candidate: Candidate) -> list[str]:
    """Returns the paths of a layer, and of what contains it if that is meant.

    The name of a layer has no `/`.
    """
    names = candidate.place.path.split("/")
    first = 1 if candidate.is_usual else len(names)
    return ["/".join(names[:n]) for n in range(first, len(names) + 1)]


def _text(pattern: str | re.Pattern[str]) -> str:
    return pattern if isinstance(pattern, str) else pattern.pattern


def _others(
    model: keras.Model,
    among: Sequence[Candidate],
    otherwise: str = _NOT_HASHED,
) -> str:
    """Says of the other layers of a model why they are no candidates."""
    known = {id(x.layer) for x in among}
    others = [x for x in places(model)[1:] if id(x.layer) not in known]
    if not others:
        return "It has no other layers."
    texts = [f"{x.path} ({_why(x.layer, otherwise)})" for x in others[:_MOST]]
    more = len(others) - len(texts)
    rest = f" and {more} more" if more else ""
    hint = (
        ""
        if all(x.layer.built for x in others)
        else " Layers are built when the model is called: call it once."
    )
    return f"These are no candidates: {', '.join(texts)}{rest}.{hint}"


def _why(layer: Layer, otherwise: str) -> str:
    kind = type(layer).__name__
    if not layer.built:
        return f"{kind}: not built"
    if possible_kernels(layer):
        return f"{kind}: {otherwise}"
    return f"{kind}: {why_dense(layer)}"
