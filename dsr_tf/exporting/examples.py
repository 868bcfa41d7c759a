"""Inputs of a model: those that `predict` takes, and drawn ones."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dsr_tf.exporting.signature import layer_names

# An array for each input of a model, in the order of `model.inputs`.
Batch = list[np.ndarray]


# A file is compared with its model on so many at most.
_NUM_COMPARED = 32


class UnfitError(Exception):
    """Says why something is no batch of a model's inputs."""


def batches_of(given: Any, model: keras.Model) -> list[Batch]:
    """Returns batches of a model's inputs.

    Args:
        given: What `predict` takes: an array, or a list, tuple or dictionary
            of arrays, one for each input; a data set or an iterable of
            batches `x`, `(x, y)` or `(x, y, weights)`, or of single examples;
            or a function without arguments that returns one of these.
        model: A built sequential or functional model.

    Returns:
        A list with an array for each input, in the order of `model.inputs`,
        for each batch.

    Raises:
        ValueError: If the model does not take `given`, or nothing is in it.
    """
    try:
        batches = [_batch(x, model) for x in _parts(given, model)]
        if not batches:
            raise UnfitError("nothing, without a single batch")
        return batches
    except UnfitError as error:
        wanted = ", ".join(
            f"'{name}' of shape {tuple(x.shape)} and type {x.dtype}"
            for name, x in zip(layer_names(model), model.inputs, strict=True)
        )
        raise ValueError(
            "`representative` must be what `predict` takes: arrays, or batches "
            f"of them, for the inputs {wanted}. "
            f"Received: representative={error}"
        ) from error


def first_examples(batches: list[Batch], model: keras.Model) -> Batch:
    """Returns some examples on which a file is compared with its model.

    Args:
        batches: Batches of the model's inputs.
        model: A model; if its batches have a size of their own, a batch of
            that size is returned.
    """
    size = batch_size(model) or _NUM_COMPARED
    return [array[:size] for array in batches[0]]


def batch_size(model: keras.Model) -> int | None:
    """Returns the size that a model's batches have to have; None if any."""
    return next((x.shape[0] for x in model.inputs if x.shape[0]), None)


def _parts(given: Any, model: keras.Model) -> Iterator[Any]:
    """Yields one batch after another, as it was given."""
    if _is_inputs(given, model):
        yield given
    elif isinstance(given, keras.utils.PyDataset):
        yield from (given[i] for i in range(len(given)))
    elif isinstance(given, tf.data.Dataset):
        if int(given.cardinality()) == tf.data.INFINITE_CARDINALITY:
            raise UnfitError("a data set without end; use its `take`")
        yield from given
    elif isinstance(given, Iterable) and not _is_text(given):
        yield from given
    elif isinstance(given, Callable):  # type: ignore[arg-type]
        yield from _parts(_called(given), model)
    else:
        raise UnfitError(repr(given))


def _is_inputs(given: Any, model: keras.Model) -> bool:
    """Tells whether this is one batch, not an iterable of several."""
    if _is_array(given) or isinstance(given, Mapping):
        return True
    if not isinstance(given, list | tuple) or len(model.inputs) == 1:
        return False
    if isinstance(model.input, list | tuple):
        return _alike(given, model.input)
    return _alike(given, model.inputs)


def _alike(given: Any, structure: Any) -> bool:
    """Tells whether arrays are where a structure has its tensors."""
    if not isinstance(structure, list | tuple | dict):
        return _is_array(given)
    if isinstance(structure, dict):
        return isinstance(given, Mapping)
    return (
        isinstance(given, list | tuple)
        and len(given) == len(structure)
        and all(map(_alike, given, structure))
    )


def _called(function: Callable[[], Any]) -> Any:
    try:
        given = function()
    except TypeError as error:
        raise UnfitError(f"{function!r}, which fails: {error}") from error
    if callable(given) and not isinstance(given, Iterable):
        raise UnfitError(f"a function that returns {given!r}")
    return given


def _batch(given: Any, model: keras.Model) -> Batch:
    """Returns an array for each input of a model; labels are left out."""
    if _is_labelled(given, model):
        given = given[0]
    values = _ordered(given, model)
    if len(values) != len(model.inputs):
        raise UnfitError(f"{len(values)} arrays for {len(model.inputs)} inputs")
    arrays = list(map(_array, values, model.inputs))
    if not all(np.isfinite(x).all() for x in arrays if x.dtype.kind == "f"):
        raise UnfitError("arrays with a NaN or an infinite number")
    lengths = {len(array) for array in arrays}
    if len(lengths) > 1:
        raise UnfitError(f"arrays of {sorted(lengths)} examples in one batch")
    return arrays


def _is_labelled(given: Any, model: keras.Model) -> bool:
    """Tells `(x, y)` and `(x, y, weights)` from the inputs of a model."""
    if not isinstance(given, tuple) or not 1 <= len(given) <= 3:
        return False
    # As in Keras, the inputs themselves are a tuple only where the model's
    # are, as in `(x1, x2)`, and `((x1, x2), y)` has labels.
    nested = isinstance(given[0], list | tuple | Mapping)
    return nested or len(given) != len(model.inputs) or len(given) == 1


def _ordered(given: Any, model: keras.Model) -> list[Any]:
    """Flattens inputs in the order of the model's, dictionaries by name."""
    names = layer_names(model)
    structure = names[0]
    if not isinstance(model, keras.Sequential):
        structure = keras.tree.pack_sequence_as(model.input, names)
    return list(_flat(structure, given))


def _flat(structure: Any, given: Any) -> Iterator[Any]:
    if isinstance(structure, dict) and isinstance(given, Mapping):
        for key in keras.tree.flatten({key: key for key in structure}):
            yield from _flat(structure[key], _of(given, key))
    elif isinstance(given, Mapping):
        for name in keras.tree.flatten(structure):
            yield _of(given, name)
    elif not isinstance(given, list | tuple):
        yield given
    elif isinstance(structure, list | tuple) and len(structure) == len(given):
        for part, value in zip(structure, given, strict=True):
            yield from _flat(part, value)
    else:
        yield from keras.tree.flatten(given)


def _of(given: Mapping[str, Any], name: str) -> Any:
    if name not in given:
        raise UnfitError(f"a dictionary without '{name}': {sorted(given)}")
    return given[name]


def _array(value: Any, tensor: keras.KerasTensor) -> np.ndarray:
    """Returns an array of the type and the axes of an input."""
    if not _is_array(value):
        raise UnfitError(f"batches with {value!r}, which is no array")
    try:
        array = np.asarray(value)
    # Broad, as this is foreign code.
    except Exception as error:
        raise UnfitError(f"batches with {value!r}") from error
    shape = tuple(tensor.shape)
    if _fits(array.shape, shape[1:]):
        array = array[None]
    elif len(array.shape) == len(shape) - 1 and shape[-1] == 1:
        array = array[..., None]
    elif len(array.shape) == len(shape) + 1 and array.shape[-1] == 1:
        array = array[..., 0]
    whole = len(array) and not len(array) % (shape[0] or 1)
    if not _fits(array.shape, (None, *shape[1:])) or not whole:
        raise UnfitError(f"arrays of shape {array.shape}")
    return _cast(array, tensor)


def _fits(shape: tuple[int, ...], expected: tuple[int | None, ...]) -> bool:
    return len(shape) == len(expected) and all(
        length in (own, None)
        for own, length in zip(shape, expected, strict=True)
    )


def _cast(array: np.ndarray, tensor: keras.KerasTensor) -> np.ndarray:
    wanted = tf.as_dtype(tensor.dtype)
    if wanted == tf.string and array.dtype.kind in "OSU":
        return array.astype(object)
    kinds = {"b": 0, "u": 1, "i": 1, "f": 2}
    # A bfloat16, which NumPy does not know.
    own = 2 if array.dtype.kind == "V" else kinds.get(array.dtype.kind, 3)
    most = 2 if wanted.is_floating else 1 if wanted.is_integer else 0
    if wanted == tf.string or own > most:
        raise UnfitError(f"arrays of type {array.dtype}")
    cast = array.astype(wanted.as_numpy_dtype)
    if wanted.is_integer and not np.array_equal(cast, array):
        raise UnfitError(f"numbers beyond those of {wanted.name}")
    return cast


def _is_array(value: Any) -> bool:
    return hasattr(value, "__array__") and not isinstance(value, type)


def _is_text(value: Any) -> bool:
    return isinstance(value, str | bytes)
