"""Event files that TensorBoard reads, written without it."""

from typing import Any

import numpy as np
import tensorflow as tf

_BUCKETS = 30


def write_scalar(tag: str, value: float, step: int) -> None:
    """Writes a number with the current default writer.

    `tf.summary.scalar` needs the package `tensorboard`, which TensorFlow does
    not bring; `tf.summary.write` does not.

    Args:
        tag: What TensorBoard calls it.
        value: Any number.
        step: Where it is on the axis of steps.
    """
    data = tf.constant(value, tf.float32)
    tf.summary.write(tag, data, step, _metadata("scalars", "SCALAR"))


def write_histogram(tag: str, values: np.ndarray, step: int) -> None:
    """Writes the distribution of some numbers with the default writer.

    Args:
        tag: What TensorBoard calls it.
        values: Any shape. What is not finite is left out; of nothing, nothing
            is written.
        step: Where it is on the axis of steps.
    """
    values = values.astype(np.float64)
    values = values[np.isfinite(values)]
    if not values.size:
        return
    counts, edges = np.histogram(values, _BUCKETS)
    rows = np.stack([edges[:-1], edges[1:], counts], axis=1)
    data = tf.constant(rows, tf.float64)
    tf.summary.write(tag, data, step, _metadata("histograms", "TENSOR"))


def _metadata(plugin: str, data_class: str) -> Any:
    """Says by which of its plugins TensorBoard is to show a value."""
    kind = tf.compat.v1.SummaryMetadata
    return kind(
        plugin_data=kind.PluginData(plugin_name=plugin),
        data_class=f"DATA_CLASS_{data_class}",
    )
