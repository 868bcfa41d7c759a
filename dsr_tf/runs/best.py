"""The network of the best epoch."""

import operator
from typing import Any

import keras

from dsr_tf.runs.earlier import BEST
from dsr_tf.runs.folder import RunFolder


class KeepBest(keras.callbacks.Callback):
    """Writes the network after each epoch that is better than all before.

    List it after the callback that writes the metrics. It reads the earlier
    values from their file, so that it also works in a resumed run.

    Args:
        folder: The folder of the run.
        metric: Name of an accuracy or of a loss in the logs. A loss is better
            if it is smaller.
    """

    def __init__(self, folder: RunFolder, metric: str) -> None:
        super().__init__()
        self.folder = folder
        self.metric = metric

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        rows = self.folder.metrics()[:epoch]
        before = [float(row[self.metric]) for row in rows]
        better = operator.lt if self.metric.endswith("loss") else operator.gt
        value = (logs or {})[self.metric]
        if all(better(value, other) for other in before):
            self.folder.write_model(self.model, BEST)
