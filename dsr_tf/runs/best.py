"""The network of the best epoch."""

import operator
from typing import Any

import keras

from dsr_tf.runs.folder import BEST
from dsr_tf.runs.folder import RunFolder


class KeepBest(keras.callbacks.Callback):
    """Writes the network after each epoch that is better than all before.

    To be named after the callback that writes the metrics: what was best
    before is read from these, so a resumed run knows it too.

    Args:
        folder: Where to write it.
        metric: Name in the logs: of an accuracy, or of a loss, of which less
            is better.
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
