"""What a checkpoint is of, by which one of another training is known."""

from collections.abc import Iterable
from itertools import zip_longest
from typing import Any

import keras

from dsr_tf.layers import sparse_layers
from dsr_tf.layers.slots import slots_of
from dsr_tf.methods import Method
from dsr_tf.training.state import JsonState


class Description(JsonState):
    """The model, the optimizer and the method of a training.

    Attributes:
        model: Name, shape and dtype of each variable; None in a checkpoint
            that was written before there were descriptions.
        optimizer: Name of the class.
        slots: Shape and dtype of each of its variables.
        sparsities: Sparsity and granularity of each sparse layer.
        method: What prunes, allocates and grows; `"none"` where nothing moves,
            None where that is not known.
    """

    fields = ("model", "optimizer", "slots", "sparsities", "method")

    def __init__(self) -> None:
        super().__init__()
        self.model: list[str] | None = None
        self.optimizer = ""
        self.slots: list[str] = []
        self.sparsities: list[str] | None = None
        self.method: str | None = None

    @classmethod
    def of(
        cls, model: keras.Model, method: Method | None, known: bool = True
    ) -> "Description":
        """Describes the training of a compiled and built model.

        Args:
            model: The model.
            method: Its method, or None.
            known: Whether None means that there is none.
        """
        own = cls()
        # Not their paths, which count the models that a process has made; the
        # names of slots do so too.
        free = _of_any_length(model)
        own.model = [f"{x.name} {_form(x, free)}" for x in model.variables]
        own.optimizer = type(model.optimizer).__name__
        own.slots = [_form(x, free) for x in model.optimizer.variables]
        own.sparsities = [
            f"{x.sparsity:g} by {x.granularity}" for x in sparse_layers(model)
        ]
        own.method = _name(method) if method else "none" if known else None
        return own

    def difference(self, now: "Description") -> str | None:
        """Says how this, a saved training, differs from the present one."""
        if self.model is None or now.model is None:
            return None
        for what in ("method", "optimizer"):
            old, new = getattr(self, what), getattr(now, what)
            if old != new and None not in (old, new):
                return f"its {what} is {old}, here it is {new}"
        pairs = {
            "variable {} of its model": (self.model, now.model),
            "variable {} of its optimizer": (self.slots, now.slots),
            "the sparsity of its sparse layer {}": (
                self.sparsities,
                now.sparsities,
            ),
        }
        found = (_first(what, *pair) for what, pair in pairs.items())
        return next(filter(None, found), None)


def _of_any_length(model: keras.Model) -> set[int]:
    """Returns the `id` of each variable whose first axis may change.

    Those are the blocks that a layer stores, their positions, and their slots.
    """
    found: set[int] = set()
    for layer in sparse_layers(model):
        if layer.storage == "blocks":
            found |= {id(layer.placement), id(layer.trained_kernel)}
            slots = slots_of(model.optimizer).get(id(layer.trained_kernel), [])
            found |= {id(slot.variable) for slot in slots}
    return found


def _form(variable: Any, of_any_length: set[int]) -> str:
    dtype = keras.backend.standardize_dtype(variable.dtype)
    shape = tuple(variable.shape)
    if id(variable) in of_any_length:
        shape = (None, *shape[1:])
    return f"{shape} {dtype}"


def _name(method: Method) -> str:
    parts = (method.prune, method.allocate, method.grow)
    return ", ".join(
        getattr(part, "__qualname__", type(part).__qualname__)
        for part in parts
        if part is not None
    )


def _first(
    what: str, old: Iterable[str] | None, new: Iterable[str] | None
) -> str | None:
    if old is None or new is None:
        return None
    for i, (a, b) in enumerate(zip_longest(old, new)):
        if a != b:
            return (
                f"{what.format(i)} is {a or 'missing'}, here it is "
                f"{b or 'missing'}"
            )
    return None
