"""What an exported file computes, compared with the model."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from dsr_tf.layers.tree import all_layers

# What outputs may differ by, as a share of the largest: float32 sums in
# another order, 11 bits of a half or 8 of a bfloat16 through several layers.
TOLERANCES = {"float16": 1e-2, "bfloat16": 5e-2}
TOLERANCE = 1e-3


def tolerance_of(model: keras.Model) -> float:
    """Returns what outputs may differ by, by the types a model computes in."""
    kinds = {layer.compute_dtype for layer in all_layers(model)}
    return max([TOLERANCE, *(TOLERANCES.get(kind, 0.0) for kind in kinds)])


def outputs_of(
    model: keras.Model, inputs: Sequence[np.ndarray]
) -> list[np.ndarray] | None:
    """Returns the outputs of a model, in order.

    None if the model draws at random, so that nothing can be compared with
    them.

    Args:
        model: A built sequential or functional model.
        inputs: An array for each of its inputs, in order.
    """
    given = packed(model, inputs)
    once, again = (
        [as_array(x) for x in keras.tree.flatten(model(given, training=False))]
        for _ in range(2)
    )
    if difference(once, again, 1e-3):
        logging.warning(
            "The outputs of model '%s' are random: the exported file is not "
            "compared with it.",
            model.name,
        )
        return None
    return once


def packed(model: keras.Model, values: Sequence[Any]) -> Any:
    """Returns values for the inputs of a model in the structure of these."""
    if isinstance(model, keras.Sequential):
        return values[0]
    return keras.tree.pack_sequence_as(model.input, list(values))


def difference(
    found: Sequence[np.ndarray], expected: Sequence[np.ndarray], share: float
) -> str | None:
    """Says what a file does whose outputs differ from the model's, or None.

    Args:
        found: Outputs of the file.
        expected: Those of the model.
        share: What they may differ by, as a share of the largest; of outputs
            that are no floats, the share that may differ.
    """
    if len(found) != len(expected):
        return f"gives {len(found)} outputs instead of {len(expected)}"
    texts = map(_difference, found, expected, [share] * len(found))
    return next((text for text in texts if text), None)


def _difference(
    found: np.ndarray, expected: np.ndarray, share: float
) -> str | None:
    if found.shape != expected.shape:
        return (
            f"gives outputs of shape {found.shape} instead of {expected.shape}"
        )
    if expected.dtype.kind != "f":
        wrong = np.mean(found != expected) if expected.size else 0.0
        text = f"gives outputs of which {100 * wrong:.3g} % differ"
        return text if wrong > share else None
    # Infinite outputs are to be infinite, and NaN to be NaN.
    odd = ~np.isfinite(expected)
    if not np.array_equal(found[odd], expected[odd], equal_nan=True):
        return "gives outputs that are finite where the model's are not"
    apart = np.abs(found[~odd] - expected[~odd]).max(initial=0.0)
    largest = np.abs(expected[~odd]).max(initial=0.0)
    if apart <= share * max(largest, 1e-6):
        return None
    return (
        f"gives outputs that differ by up to {apart:.3g}, where the largest "
        f"output is {largest:.3g}"
    )


def as_array(value: Any) -> np.ndarray:
    """Returns an array of single precision, if of floats; without objects."""
    value = tf.convert_to_tensor(value)
    if value.dtype.is_floating:
        value = tf.cast(value, tf.float32)
    array = np.asarray(value)
    return array.astype("S") if array.dtype == object else array
