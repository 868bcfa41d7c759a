"""What the training of a run takes, counted while it trains."""

import json
from pathlib import Path
from typing import Any

import keras

from dsr_tf.analysis.training_cost import TrainingCost
from dsr_tf.callbacks import Reallocate
from dsr_tf.runs.earlier import SUMMARY


class CountMultiplyAdds(keras.callbacks.Callback):
    """Counts the multiply-adds of a training, from epoch to epoch.

    An epoch counts with the masks at its end. `Checkpoint` holds the sum.

    Args:
        model: The compiled network.
        reallocation: The callback that moves its weights, or None.
        batch_size: Examples in a batch, of all replicas.
        steps: Batches in an epoch, each an optimizer step.
    """

    def __init__(
        self,
        model: keras.Model,
        reallocation: Reallocate | None,
        batch_size: int,
        steps: int,
    ) -> None:
        super().__init__()
        self._cost = TrainingCost(model)
        self._reallocation = reallocation
        self._batch_size = batch_size
        self._steps = steps
        self._sum: int | None = 0
        # All that were counted, and those of this epoch that keep gradients of
        # all positions.
        self._counted = 0
        self._kept = 0

    def total(self, epochs: int) -> int | None:
        """Returns the multiply-adds of a training of so many epochs.

        None if they are not known, of a layer or of some steps: a checkpoint
        of an older version does not hold them.
        """
        return self._sum if self._counted == epochs * self._steps else None

    def get_state(self) -> dict[str, Any]:
        return {
            "sum": self._sum,
            "counted": self._counted,
            "kept": self._kept,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        self._sum = state["sum"]
        self._counted = state["counted"]
        self._kept = state["kept"]

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch
        self._kept = 0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        # Before the step, as a reallocation after it changes what is kept.
        self._begin = self._epoch * self._steps + batch
        self._keeps_from = None
        if self._reallocation:
            self._keeps_from = self._reallocation.reallocator.keeps_from

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        end = self._epoch * self._steps + batch + 1
        self._counted += end - self._begin
        if self._keeps_from is not None:
            self._kept += max(0, end - max(self._begin, self._keeps_from))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        own = self._cost.of_steps(
            self._steps * self._batch_size, self._kept * self._batch_size
        )
        known = own is not None and self._sum is not None
        self._sum = self._sum + own if known else None  # type: ignore


def earlier_multiply_adds(init_from: str | None) -> int | None:
    """Returns the multiply-adds that trained weights had taken before a run.

    Args:
        init_from: The run that they come from, or a `.keras` file; None where
            weights are fresh.

    Returns:
        Those of that run, and of the one that it began from, and so on; None
        if they are not known.
    """
    if not init_from:
        return 0
    try:
        summary = json.loads((Path(init_from) / SUMMARY).read_text("utf-8"))
        parts = [summary.get(f"{x}_multiply_adds") for x in _PARTS]
    # Of no run, or a damaged one.
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    return sum(parts) if all(isinstance(x, int) for x in parts) else None


_PARTS = ("training", "earlier")
