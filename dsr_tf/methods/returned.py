"""Refuses what the parts of a method may not return.

The parts are a user's own. What they return is looked at where they are
traced, once, so that it costs a reallocation nothing.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from dsr_tf.methods.grow import Growth
from dsr_tf.methods.prune import Pruned


def checked_pruned(value: Any, count: int, grows: bool) -> Pruned:
    """Returns what `prune` returned, its positions as tensors.

    Args:
        value: What it returned: positions, or a `Pruned`.
        count: Number of tensors.
        grows: Whether the method grows units.

    Raises:
        ValueError: If positions are not a vector of int64 for each tensor, or
            `removed` is not a number for each.
    """
    rows = _rows(value.positions if isinstance(value, Pruned) else value)
    if len(rows) == count and all(map(_is_positions, rows)):
        gone = [tf.convert_to_tensor(row) for row in rows]
        chosen = tf.stack([tf.size(x, out_type=tf.int64) for x in gone])
        if not grows:
            return Pruned(gone, chosen)
        if not isinstance(value, Pruned):
            return Pruned(gone, tf.zeros_like(chosen))
        return Pruned(gone, _checked_removed(value.removed, chosen))
    raise ValueError(
        f"`prune` must return positions, int64 of one axis, for each of "
        f"{count} tensors. Received: {_described(value)}"
    )


def _checked_removed(value: Any, chosen: tf.Tensor) -> tf.Tensor:
    """Returns how many units are not replaced, at most the chosen ones."""
    removed = tf.convert_to_tensor(value)
    if removed.dtype != tf.int64 or removed.shape != chosen.shape:
        raise ValueError(
            "`removed` of a `Pruned` must be int64, one number for each of "
            f"{chosen.shape[0]} tensors. Received: {_described(removed)}"
        )
    return tf.clip_by_value(removed, 0, chosen)


def checked_allocated(value: Any, count: int) -> tf.Tensor:
    """Returns what `allocate` returned as a tensor.

    Args:
        value: What it returned.
        count: Number of tensors.

    Raises:
        ValueError: If that is not a number for each tensor.
    """
    if value is not None and _is_numeric(shares := tf.convert_to_tensor(value)):
        check_shares(shares.shape, count)
        return shares
    raise ValueError(
        "`allocate` must return proportions, a number for each of "
        f"{count} tensors. Received: {_described(value)}"
    )


def check_shares(shape: Any, count: int) -> None:
    """Raises ValueError if proportions are not one for each tensor.

    Args:
        shape: Their shape, known in full or in part.
        count: Number of tensors.
    """
    if not tf.TensorShape(shape).is_compatible_with([count]):
        raise ValueError(
            "`allocate` must return one proportion for each of "
            f"{count} tensors. Received: proportions of shape {tuple(shape)}"
        )


def checked_grown(value: Any, count: int) -> Sequence[Growth]:
    """Returns what `grow` returned.

    Args:
        value: What it returned.
        count: Number of tensors.

    Raises:
        ValueError: If that is not a `Growth` for each tensor, its positions a
            vector of int64.
    """
    rows = _rows(value)
    if len(rows) == count and all(map(_is_growth, rows)):
        return rows
    raise ValueError(
        "`grow` must return a `Growth`, its positions int64 of one axis, for "
        f"each of {count} tensors. Received: {_described(value)}"
    )


def _rows(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _is_growth(value: Any) -> bool:
    return isinstance(value, Growth) and _is_positions(value.positions)


def _is_positions(value: Any) -> bool:
    if not tf.is_tensor(value) and not isinstance(value, np.ndarray):
        return False
    return value.dtype == tf.int64 and tf.TensorShape(
        value.shape
    ).is_compatible_with([None])


def _is_numeric(value: tf.Tensor) -> bool:
    return value.dtype.is_floating or value.dtype.is_integer


def _described(value: Any) -> str:
    """Returns a value in words: of tensors, types and shapes."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_described, value))}]"
    if isinstance(value, Growth):
        return f"Growth({_described(value.positions)})"
    if tf.is_tensor(value) or isinstance(value, np.ndarray):
        dtype = tf.as_dtype(value.dtype).name
        return f"{dtype} of shape {value.shape}"
    return repr(value)
