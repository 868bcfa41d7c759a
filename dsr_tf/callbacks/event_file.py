"""Event files that TensorBoard reads, written without it."""

from typing import Any

import numpy as np
import tensorflow as tf

_BUCKETS = 30


def write_scalar(tag: str, value: float, step: int) -> None:
    """Writes a number with the current default writer.

    `tf.summary.scalar` needs the package `tensorboard`, which is not installed
    with TensorFlow; `tf.summary.write` does not need it.

    Args:
        tag: Its name in TensorBoard.
        value: Any number.
        step: Its place on the axis of steps.
    """
    data = tf.constant(value, tf.float32)
    tf.summary.write(tag, data, step, _metadata("scalars", "SCALAR"))


def write_histogram(tag: str, values: np.ndarray, step: int) -> None:
    """Writes the distribution of some numbers with the default writer.

    Args:
        tag: Its name in TensorBoard.
        values: Any shape. Values that are not finite are left out. If none is
            left, nothing is written.
        step: Its place on the axis of steps.
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
    """Returns metadata that names the TensorBoard plugin for a value."""
    kind = tf.compat.v1.SummaryMetadata
    return kind(
        plugin_data=kind.PluginData(plugin_name=plugin),
        data_class=f"DATA_CLASS_{data_class}",
    )
