"""What a copy of a layer does not get by its config, nor by its weights."""

import tempfile
from collections.abc import Sequence
from typing import Any

import keras
from keras.layers import Layer

from dsr_tf.layers.block_variable import BlockPositions
from dsr_tf.layers.kernel_mask import KernelMask
from dsr_tf.layers.tree import all_layers


def copy_state(old: Layer, new: Layer) -> None:
    """Copies what layers inside a layer were taught, and which are frozen.

    Their own configs are not used where code makes them.

    Args:
        old: A built layer, or model.
        new: Its copy, whose weights are those of `old` already.
    """
    inner, copies = all_layers(old), all_layers(new)
    # A layer of another class holds others inside, or none.
    if len(inner) != len(copies):
        return
    for one, other in zip(inner, copies, strict=True):
        # The outer ones come first, and set those inside.
        if other.trainable != one.trainable:
            other.trainable = one.trainable
        if one is not other and not one.weights:
            _copy_learned(one, other)


def uncopied(message: str) -> ValueError:
    """Returns an error on what cannot be copied, with the way out of it.

    That is a note, as only code can go it: the command line shows no notes.
    """
    error = ValueError(message)
    error.add_note("Or convert the model itself, by `in_place=True`.")
    return error


def check_shared(model: Layer, copies: Sequence[tuple[Layer, Layer]]) -> None:
    """Refuses copies of layers that no longer share the weights they shared.

    Args:
        model: The model that was copied.
        copies: Its layers, each with its copy.

    Raises:
        ValueError: If a weight has become two.
    """
    known: dict[int, keras.Variable] = {}
    for old, new in copies:
        weights, others = _plain(old), _plain(new)
        # Those of another class may have other weights.
        if len(weights) != len(others):
            continue
        for weight, other in zip(weights, others, strict=True):
            if known.setdefault(id(weight), other) is not other:
                raise uncopied(
                    "`model` must have layers that share weights only where "
                    "its graph, or code, shows it, not by their configs. "
                    f"Received: model '{model.name}' with layer '{old.name}' "
                    f"of class {type(old).__name__}, which shares "
                    f"'{weight.path}'"
                )


def _plain(layer: Layer) -> list[keras.Variable]:
    return [
        x
        for x in layer.weights
        if not isinstance(x, KernelMask | BlockPositions)
    ]


def _copy_learned(old: Any, new: Any) -> None:
    """Copies the vocabulary of a layer, which is no weight."""
    known = getattr(old, "get_vocabulary", None)
    if known is None or not known(include_special_tokens=False):
        return
    # The weights of `output_mode="tf_idf"`, which are none of Keras.
    store: dict[str, Any] = {}
    old.save_own_variables(store)
    new.load_own_variables(store)
    with tempfile.TemporaryDirectory() as folder:
        old.save_assets(folder)
        new.load_assets(folder)
