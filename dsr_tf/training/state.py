"""What a training remembers, as checkpoints hold it."""

import json
from collections.abc import Mapping
from collections.abc import Sequence
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


class Counters(JsonState):
    """What a `Reallocator` has done, and the numbers of its method.

    Args:
        method: Numbers that the method keeps between reallocations.

    Attributes:
        num_reallocations: Reallocations done so far.
        weights_moved: Weights that they activated.
        step: Optimizer steps when it was last asked to act.
        last_step: Optimizer step of the last one; 0 before there was one.
        unspent: Weights of the budget that no whole unit could take.
        epoch: Epoch that is being trained; None between epochs.
        moved_before: `weights_moved` when that epoch began.
        num_steps: Optimizer steps of the whole training; None where that is
            not known.
        seconds: Time spent in reallocations.
    """

    fields = (
        "method",
        "num_reallocations",
        "step",
        "last_step",
        "weights_moved",
        "unspent",
        "epoch",
        "moved_before",
        "num_steps",
        "seconds",
    )

    def __init__(self, method: dict[str, float]) -> None:
        super().__init__()
        self.method = method
        self.num_reallocations = 0
        self.step = 0
        self.last_step = 0
        self.weights_moved = 0
        self.unspent = 0
        self.epoch: int | None = None
        self.moved_before = 0
        self.num_steps: int | None = None
        self.seconds = 0.0


class Arrays(tf.Module):
    """What a method keeps for every unit of every tensor.

    Attributes:
        values: One variable a tensor and name, flat; none before training has
            begun. What a checkpoint restores before that is theirs as soon as
            they are made.
        names: The names, in the order of the arrays of a tensor.
    """

    def __init__(self) -> None:
        super().__init__()
        self.values: list[tf.Variable] = []
        self.names: tuple[str, ...] = ()

    def assign(self, arrays: Mapping[str, Sequence[tf.Tensor]]) -> None:
        """Assigns all arrays; the first time it makes the variables.

        Args:
            arrays: By name, one a tensor, with an entry for every unit.
        """
        self.names = tuple(arrays)
        rows = zip(*arrays.values(), strict=True)
        flat = [array for row in rows for array in row]
        if self.values:
            for variable, array in zip(self.values, flat, strict=True):
                variable.assign(array)
        else:
            # To the list as it is: a checkpoint that was restored knows it.
            self.values.extend(map(local_variable, flat))

    def of(self, index: int) -> dict[str, tf.Variable]:
        """Returns the variables of a tensor, by name."""
        count = len(self.names)
        own = self.values[index * count : (index + 1) * count]
        return dict(zip(self.names, own, strict=True))


def local_variable(value: tf.Tensor) -> tf.Variable:
    """Makes a variable that each worker holds once, also within a scope.

    There `tf.Variable` makes mirrored ones, which cannot be assigned to at
    some positions alone.

    Args:
        value: Its first value.
    """
    made = tf.Variable(value, trainable=False)
    return tf.distribute.get_strategy().experimental_local_results(made)[0]
