"""What a resumed run needs of a reallocating callback."""

import json
from typing import Any

import tensorflow as tf


class ReallocationState(tf.train.experimental.PythonState):
    """Counters, and what the method remembers, for `tf.train.Checkpoint`.

    Args:
        method: Numbers that the method keeps between reallocations.

    Attributes:
        num_reallocations: Reallocations done so far.
        weights_moved: Weights that they activated.
        unspent: Weights of the budget that no whole unit could take.
    """

    def __init__(self, method: dict[str, float]) -> None:
        super().__init__()
        self.method = method
        self.num_reallocations = 0
        self.weights_moved = 0
        self.unspent = 0

    def serialize(self) -> str:
        return json.dumps(self._fields())

    def deserialize(self, string_value: Any) -> None:
        for name, value in json.loads(string_value).items():
            setattr(self, name, value)

    def _fields(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "num_reallocations": self.num_reallocations,
            "weights_moved": self.weights_moved,
            "unspent": self.unspent,
        }
