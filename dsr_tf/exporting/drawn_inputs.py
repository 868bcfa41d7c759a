"""Inputs that are drawn for a model that is to be tried."""

from contextlib import suppress

import keras
import numpy as np
import tensorflow as tf

from dsr_tf.exporting.comparison import packed

# Tried in this order where a dimension is open. At a length of 1 most of a
# padded kernel would meet zeros.
_LENGTHS = (8, *(2**n for n in range(4, 11)), *range(1, 8), *range(9, 16), 224)


def drawn_inputs(model: keras.Model) -> list[np.ndarray]:
    """Draws normal inputs that a model takes; those of other types are zeros.

    Args:
        model: A built sequential or functional model. Open dimensions, but for
            the first, get the first of some lengths that it takes.

    Returns:
        An array for each input, in the order of `model.inputs`, of one
        example.

    Raises:
        ValueError: If the model takes none of these lengths.
    """
    shapes = [tuple(tensor.shape) for tensor in model.inputs]
    is_open = any(None in shape[1:] for shape in shapes)
    for length in _LENGTHS if is_open else (1,):
        arrays = _drawn(model, length)
        if not is_open or _takes(model, arrays):
            return arrays
    raise ValueError(
        "`representative` must be given, with inputs that the model takes: "
        "none of some usual lengths of its open dimensions can be used to try "
        f"the file. Received: model '{model.name}' with inputs of shape "
        f"{shapes}"
    )


def _drawn(model: keras.Model, length: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    arrays = []
    for tensor in model.inputs:
        first, *others = tensor.shape
        shape = [first or 1, *(n or length for n in others)]
        kind = tf.as_dtype(tensor.dtype)
        if kind.is_floating:
            drawn = rng.normal(size=shape)
        else:
            drawn = np.full(shape, "" if kind == tf.string else 0)
        arrays.append(drawn.astype(kind.as_numpy_dtype))
    return arrays


def _takes(model: keras.Model, arrays: list[np.ndarray]) -> bool:
    """Tells whether a model takes inputs, and computes something of them."""
    # Broad, as a layer of the user's may fail in any way.
    with suppress(Exception):
        given = [keras.KerasTensor(x.shape, str(x.dtype)) for x in arrays]
        outputs = keras.tree.flatten(model(packed(model, given)))
        if all(0 not in x.shape for x in outputs):
            outputs = keras.tree.flatten(model(packed(model, arrays)))
            return all(0 not in x.shape for x in outputs)
    return False
