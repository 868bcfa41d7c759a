"""Layers of any class, some of whose weights are sparse.

A layer that is built gets masks in place: its weights become masked variables,
and its class one that knows of them. So nothing need be known of how a layer
computes, how it makes the layers inside it, and who else holds them.
"""

import re
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import asdict
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from keras.layers import Layer

from dsr_tf.layers.block_in_place import store_blocks
from dsr_tf.layers.block_kernel import BlockKernel
from dsr_tf.layers.mask_in_place import add_mask
from dsr_tf.layers.mask_in_place import become_known
from dsr_tf.layers.mask_in_place import change_class
from dsr_tf.layers.masked_kernel import dense_file
from dsr_tf.layers.masked_kernel import no_lora
from dsr_tf.layers.masked_kernel import no_quantization
from dsr_tf.layers.sparse_classes import PLAIN_OF
from dsr_tf.layers.sparse_classes import SPARSE_OF
from dsr_tf.layers.sparse_part import Entry
from dsr_tf.layers.sparse_part import SparsePart
from dsr_tf.layers.sparse_part import Sparsity
from dsr_tf.layers.trained_variable import TrainedVariable
from dsr_tf.layers.tree import all_layers
from dsr_tf.layers.tree import own_weights


# Under the name of all classes that it is joined with, so that files load
# before there is one.
@keras.saving.register_keras_serializable("dsr_tf")
class Sparsified:
    """Adds to a layer's class what sparse weights in it need.

    `sparsified_class` joins the two. A config holds that of the layer, and
    where the sparse weights are; these are masked as soon as they are there.
    """

    @property
    def sparse_parts(self) -> list[SparsePart]:
        """The sparse kernels of this layer itself."""
        return self.__dict__.get("_parts", [])

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        result = super().__call__(*args, **kwargs)  # type: ignore[misc]
        _mask_pending(self)
        return result

    def build_from_config(self, config: Any) -> None:
        super().build_from_config(config)  # type: ignore[misc]
        _mask_pending(self)

    def get_config(self) -> dict[str, Any]:
        with _plain_class(self):
            plain = keras.saving.serialize_keras_object(self)
        names = ("module", "class_name", "registered_name")
        return {
            **plain["config"],
            "sparsified": {
                **{name: plain[name] for name in names},
                "entries": [asdict(x) for x in _described(self)],
            },
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        config = dict(config)
        own = dict(config.pop("sparsified"))
        entries = [
            Entry(**{**x, "made": Sparsity(**x["made"])})
            for x in own.pop("entries")
        ]
        layer = keras.saving.deserialize_keras_object({**own, "config": config})
        _become(layer, entries)
        _mask_pending(layer)
        return layer

    # Keras pickles by a method of the class, and no module has this class.
    def __reduce__(self) -> Any:
        pickled: Any = super().__reduce__()
        load, arguments = pickled
        return _unpickled, (plain_class(type(self)), load.__name__, *arguments)

    # Layers with names for their weights leave out what they do not know.
    def save_own_variables(self, store: Any) -> None:
        super().save_own_variables(store)  # type: ignore[misc]
        if not own_weights(self):  # type: ignore[arg-type]
            # A file of a dense model is then known before layers inside this
            # one miss their weights in it.
            store[_MARK] = len(self.__dict__["_entries"])
        if not _saves_all(self):
            for part in self.sparse_parts:
                store[part.kernel_mask.name] = part.kernel_mask

    def load_own_variables(self, store: Any) -> None:
        masks = {x.kernel_mask.name: x.kernel_mask for x in self.sparse_parts}
        names = list(store.keys())
        if not own_weights(self):  # type: ignore[arg-type]
            if _MARK not in names:
                raise ValueError(dense_file(self.name))  # type: ignore[attr-defined]
            if _saves_all(self):
                return
        if _saves_all(self):
            all_there = len(names) >= len(own_weights(self))
        else:
            all_there = masks.keys() <= set(names)
        if not all_there:
            raise ValueError(dense_file(self.name))  # type: ignore[attr-defined]
        if not _saves_all(self):
            for name, mask in masks.items():
                mask.assign(store[name])
        super().load_own_variables(store)  # type: ignore[misc]

    def enable_lora(self, *args: Any, **kwargs: Any) -> None:
        raise ValueError(no_lora())

    def quantize(self, *args: Any, **kwargs: Any) -> None:
        raise ValueError(no_quantization(self.name))  # type: ignore[attr-defined]


# What a layer saves that has no weights itself.
_MARK = "sparsified"
_CLASSES: dict[type[Layer], Any] = {}


def sparsified_class(kind: type[Layer]) -> Any:
    """Returns the class of layers of a class that hold sparse weights.

    Args:
        kind: Any layer class.
    """
    if kind not in _CLASSES:
        joined = type(f"Sparse{kind.__name__}", (Sparsified, kind), {})
        joined.__module__, joined.__doc__ = __name__, kind.__doc__
        # One name for all: the config says of which class a layer is.
        keras.saving.register_keras_serializable("dsr_tf", "Sparsified")(joined)
        _CLASSES[kind] = joined
    return _CLASSES[kind]


def mask_weights(
    layer: Layer,
    made: Mapping[int, Sparsity],
    masks: Mapping[int, np.ndarray] | None = None,
) -> None:
    """Makes weights of a built layer sparse, and of layers inside it, in place.

    Args:
        layer: The layer, or a model. Its config says what is sparse in it.
        made: How each of these weights is made sparse, by `id(weight)`.
        masks: First masks, by `id(weight)`; others are drawn.

    Raises:
        ValueError: If a weight has a class of its own, or its layer cannot
            hold a mask.
    """
    entries = [
        Entry(i, j, weight.name, made[id(weight)])
        for i, inner in enumerate(all_layers(layer))
        for j, weight in enumerate(own_weights(inner))
        if id(weight) in made
    ]
    given = {
        (x.layer, x.weight): (masks or {}).get(id(_weight(layer, x)))
        for x in entries
    }
    if [x.layer for x in entries] == [0] and _has_own_class(layer, entries):
        _become_known(layer, entries[0].made, given[0, entries[0].weight])
        return
    _become(layer, entries)
    _mask(layer, entries, given)


def plain_class(kind: type[Layer]) -> type[Layer]:
    """Returns the class that a sparse one extends; others are returned."""
    if issubclass(kind, Sparsified):
        return kind.__mro__[2]
    return PLAIN_OF.get(kind, kind)


def _block_counts(layer: Any) -> list[int | None]:
    """Returns for each entry how many blocks there are, if any are stored."""
    every = all_layers(layer)
    inner = [every[entry.layer] for entry in layer.__dict__["_entries"]]
    return [
        int(x.placement.shape[0])
        if isinstance(x, BlockKernel) and x.built
        else None
        for x in inner
    ]


def _described(layer: Any) -> list[Entry]:
    """Returns the entries of a layer, with the blocks that there are now.

    Slots that are loaded have the shape of the blocks that there are then.
    """
    return [
        replace(x, made=replace(x.made, num_blocks=count))
        for x, count in zip(
            layer.__dict__["_entries"], _block_counts(layer), strict=True
        )
    ]


def _unpickled(kind: type[Layer], method: str, *arguments: Any) -> Layer:
    """Makes a pickled layer again; to find this function loads this module."""
    return getattr(kind, method)(*arguments)


def _weight(layer: Layer, entry: Entry) -> keras.Variable:
    return own_weights(all_layers(layer)[entry.layer])[entry.weight]


def _has_own_class(layer: Layer, entries: Sequence[Entry]) -> bool:
    names = [x.name for x in entries]
    return type(layer) in SPARSE_OF and names == ["kernel"]


def _become_known(layer: Any, made: Sparsity, mask: np.ndarray | None) -> None:
    convert = store_blocks if made.storage == "blocks" else become_known
    convert(layer, made, mask)


def _become(layer: Any, entries: Sequence[Entry]) -> None:
    """Gives a layer the class that knows of sparse weights in it."""
    if not isinstance(layer, Sparsified):
        change_class(layer, sparsified_class(type(layer)))
    # Past Keras, which would look for layers and variables in it.
    own = layer.__dict__.setdefault("_entries", [])
    own += entries


def _mask_pending(layer: Any) -> None:
    """Masks the weights that a config names, if they are there."""
    entries = layer.__dict__["_entries"]
    if layer.__dict__.get("_is_masked") or not _are_there(layer, entries):
        return
    _mask(layer, entries, {})


def _are_there(layer: Layer, entries: Sequence[Entry]) -> bool:
    weights = [own_weights(x) for x in all_layers(layer)]
    return all(
        x.layer < len(weights)
        and x.weight < len(weights[x.layer])
        and weights[x.layer][x.weight].name == x.name
        for x in entries
    )


def _mask(
    layer: Any,
    entries: Sequence[Entry],
    masks: Mapping[tuple[int, int], np.ndarray | None],
) -> None:
    layer.__dict__["_is_masked"] = True
    every = all_layers(layer)
    for index in dict.fromkeys(x.layer for x in entries):
        inner = every[index]
        if index and isinstance(inner, Sparsified):
            _mask_pending(inner)
        weights = own_weights(inner)
        own = [
            x
            for x in entries
            # Others were made sparse where they were made.
            if x.layer == index
            and not isinstance(weights[x.weight], TrainedVariable)
        ]
        first = [masks.get((index, x.weight)) for x in own]
        if index and _has_own_class(inner, own):
            _become_known(inner, own[0].made, first[0])
            continue
        if index and own:
            inside = [Entry(0, x.weight, x.name, x.made) for x in own]
            _become(inner, inside)
            inner.__dict__["_is_masked"] = True
        for x, mask in zip(own, first, strict=True):
            _mask_one(inner, weights[x.weight], x.made, mask)


def _mask_one(
    layer: Any, weight: keras.Variable, made: Sparsity, mask: np.ndarray | None
) -> None:
    name = re.sub(r"\W", "_", weight.name) + "_mask"
    if hasattr(layer, name):
        raise ValueError(
            f"A layer to make sparse must not have a `{name}` already. "
            f"Received: layer '{layer.name}' of class {type(layer).__name__}"
        )
    add_mask(layer, weight, name, made, mask)
    parts = layer.__dict__.setdefault("_parts", [])
    parts.append(SparsePart(layer, weight, made))


@contextmanager
def _plain_class(layer: Any) -> Iterator[None]:
    """Gives a layer its former class for a while: Keras asks for it."""
    kind = type(layer)
    layer.__class__ = plain_class(kind)
    try:
        yield
    finally:
        layer.__class__ = kind


def _saves_all(layer: Any) -> bool:
    """Tells whether a layer saves its weights in order, as Keras does it."""
    own = super(Sparsified, layer).save_own_variables
    return own.__func__ is Layer.save_own_variables
