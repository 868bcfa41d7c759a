"""Reads what TensorBoard would show."""

import tensorflow as tf


def read(log_dir):
    """Returns `{tag: {step: value}}` of all event files in a folder."""
    values = {}
    for path in sorted(log_dir.glob("events.*")):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = tf.compat.v1.Event.FromString(record)
            for value in event.summary.value:
                steps = values.setdefault(value.tag, {})
                steps[event.step] = tf.make_ndarray(value.tensor)
    return values
