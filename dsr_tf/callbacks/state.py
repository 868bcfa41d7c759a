"""Numbers of callbacks that a resumed run needs."""

import json
from typing import Any

import tensorflow as tf


class JsonState(tf.train.experimental.PythonState):
    """Plain attributes that `tf.train.Checkpoint` holds, as JSON.

    Attributes:
        fields: Names of the attributes, set by a subclass.
    """

    fields: tuple[str, ...] = ()

    def serialize(self) -> str:
        return json.dumps({name: getattr(self, name) for name in self.fields})

    def deserialize(self, string_value: Any) -> None:
        for name, value in json.loads(string_value).items():
            setattr(self, name, value)


class ReallocationState(JsonState):
    """Counters, and what the method remembers.

    Args:
        method: Numbers that the method keeps between reallocations.

    Attributes:
        num_reallocations: Reallocations done so far.
        weights_moved: Weights that they activated.
        unspent: Weights of the budget that no whole unit could take.
        epoch: Epoch that is being trained; None between epochs.
        moved_before: `weights_moved` when that epoch began.
        seconds: Time spent in reallocations.
    """

    fields = (
        "method",
        "num_reallocations",
        "weights_moved",
        "unspent",
        "epoch",
        "moved_before",
        "seconds",
    )

    def __init__(self, method: dict[str, float]) -> None:
        super().__init__()
        self.method = method
        self.num_reallocations = 0
        self.weights_moved = 0
        self.unspent = 0
        self.epoch: int | None = None
        self.moved_before = 0
        self.seconds = 0.0


class Position(JsonState):
    """How far a run has come.

    Attributes:
        epoch: Epoch to go on with, counted from 0.
        step: Batches of it that were trained on.
        seconds: Time in training so far, that of runs before included.
        num_saves: Checkpoints written so far.
    """

    fields = ("epoch", "step", "seconds", "num_saves")

    def __init__(self) -> None:
        super().__init__()
        self.epoch = 0
        self.step = 0
        self.seconds = 0.0
        self.num_saves = 0
