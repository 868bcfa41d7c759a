"""What a checkpoint is of, by which one of another training is known."""

from collections.abc import Iterable
from itertools import zip_longest
from typing import Any

import keras

from dsr_tf.methods import Method
from dsr_tf.training.state import JsonState


class Description(JsonState):
    """The model, the optimizer and the method of a training.

    Attributes:
        model: Name, shape and dtype of each variable; None in a checkpoint
            that was written before there were descriptions.
        optimizer: Name of the class.
        slots: Shape and dtype of each of its variables.
        method: What prunes, allocates and grows; None where nothing moves.
    """

    fields = ("model", "optimizer", "slots", "method")

    def __init__(self) -> None:
        super().__init__()
        self.model: list[str] | None = None
        self.optimizer = ""
        self.slots: list[str] = []
        self.method: str | None = None

    @classmethod
    def of(cls, model: keras.Model, method: Method | None) -> "Description":
        """Describes the training of a compiled and built model."""
        own = cls()
        # Not their paths, which count the models that a process has made; the
        # names of slots do so too.
        own.model = [f"{x.name} {_form(x)}" for x in model.variables]
        own.optimizer = type(model.optimizer).__name__
        own.slots = list(map(_form, model.optimizer.variables))
        own.method = None if method is None else _name(method)
        return own

    def difference(self, now: "Description") -> str | None:
        """Says how this, a saved training, differs from the present one."""
        if self.model is None or now.model is None:
            return None
        for what in ("method", "optimizer"):
            old, new = getattr(self, what), getattr(now, what)
            if old != new:
                return (
                    f"its {what} is {old or 'none'}, here it is {new or 'none'}"
                )
        return _first("model", self.model, now.model) or _first(
            "optimizer", self.slots, now.slots
        )


def _form(variable: Any) -> str:
    dtype = keras.backend.standardize_dtype(variable.dtype)
    return f"{tuple(variable.shape)} {dtype}"


def _name(method: Method) -> str:
    parts = (method.prune, method.allocate, method.grow)
    return ", ".join(
        getattr(part, "__qualname__", type(part).__qualname__)
        for part in parts
        if part is not None
    )


def _first(what: str, old: Iterable[str], new: Iterable[str]) -> str | None:
    for i, (a, b) in enumerate(zip_longest(old, new)):
        if a != b:
            return (
                f"variable {i} of its {what} is {a or 'missing'}, here it is "
                f"{b or 'missing'}"
            )
    return None
