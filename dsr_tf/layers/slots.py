"""Optimizer slots: the variables an optimizer keeps beside each weight."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import keras
import numpy as np

from dsr_tf.layers.elastic import ElasticVariable


@dataclass(frozen=True)
class Slot:
    """One variable that an optimizer keeps for the entries of a weight tensor.

    It has the shape of the tensor. Of one whose first axis may change its
    length, it has that axis, whatever others it has.

    Args:
        variable: The slot.
        initial_value: Value of each of its entries before the first step; None
            if that is the value of the weight, as of a moving average.
        name: What the optimizer calls it, such as `momentum`.
    """

    variable: keras.Variable
    initial_value: float | None
    name: str = ""


def trained_variables(
    optimizer: keras.optimizers.Optimizer,
) -> list[keras.Variable]:
    """Returns the variables that an optimizer was built with, in order.

    Args:
        optimizer: A built optimizer.

    Raises:
        ValueError: If it is not built.
    """
    if not optimizer.built:
        raise ValueError(
            "`optimizer` must be built. Take a step with it, or call "
            "`optimizer.build(model.trainable_variables)`. "
            f"Received: optimizer={type(optimizer).__name__}, not built"
        )
    # Private: nothing public says whose slots an optimizer has, and an
    # optimizer need not train all the variables of one model.
    return list(optimizer._trainable_variables)


def slots_of(
    optimizer: keras.optimizers.Optimizer,
) -> dict[int, list[Slot]]:
    """Returns the slots of all variables that an optimizer was built with.

    They are looked for once.

    Args:
        optimizer: A built optimizer.

    Returns:
        Slots of each variable, by `id(variable)`.

    Raises:
        ValueError: If it is not built, or cannot be made again from its config.
    """
    if optimizer not in _found:
        trained = trained_variables(optimizer)
        rows = find_slots(optimizer, trained)
        pairs = zip(trained, rows, strict=True)
        _found[optimizer] = {id(x): row for x, row in pairs}
    return _found[optimizer]


_found: WeakKeyDictionary[keras.optimizers.Optimizer, dict[int, list[Slot]]] = (
    WeakKeyDictionary()
)


def find_slots(
    optimizer: keras.optimizers.Optimizer, variables: Sequence[keras.Variable]
) -> list[list[Slot]]:
    """Finds the slots of each variable, through any wrapping optimizer.

    Keras has no call for this. A second optimizer of the same configuration
    is built on small stand-ins, each of a length of its own, so the shape of a
    slot tells whose it is, and its content what it starts with: the weight,
    if it is the number that stands for one. Its variables stand in the same
    order as the first one's.

    Slots of another shape, such as the row and column statistics of Adafactor,
    have no entry for a single weight, and are left out; but for a variable
    whose first axis may change its length, those that have this axis follow it.

    Args:
        optimizer: A built optimizer.
        variables: The variables it was built with, in that order.

    Returns:
        The slots, one list a variable.

    Raises:
        ValueError: If the optimizer was built with other variables, or cannot
            be made again from its config.
    """
    stand_ins = [_stand_in(i, v) for i, v in enumerate(variables)]
    twin = _twin(optimizer)
    twin.build(stand_ins)
    if len(twin.variables) != len(optimizer.variables):
        twin = _scaled_twin(optimizer, stand_ins) or twin
    if len(twin.variables) != len(optimizer.variables):
        raise ValueError(
            "`optimizer` must be built with the model's trainable variables: "
            f"{len(twin.variables)} optimizer variables expected. "
            f"Received: {len(optimizer.variables)}"
        )
    pairs = list(zip(twin.variables, optimizer.variables, strict=True))
    return [
        [
            Slot(actual, _first_value(small), _name(small, stand_in))
            for small, actual in pairs
            if _has_entries(small, stand_in, variable)
        ]
        for stand_in, variable in zip(stand_ins, variables, strict=True)
    ]


def _has_entries(
    slot: keras.Variable, stand_in: keras.Variable, variable: keras.Variable
) -> bool:
    """Tells whether a slot of a stand-in has entries that go with a variable's.

    Args:
        slot: A variable of the optimizer that was built on stand-ins.
        stand_in: Stands for the variable.
        variable: The variable.
    """
    if isinstance(variable, ElasticVariable):
        return tuple(slot.shape[:1]) == tuple(stand_in.shape[:1])
    return slot.shape == stand_in.shape


# No optimizer starts with this, so a slot that does was given the weight.
_WEIGHT = 0.8125
_CONSTANT = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 1.0)


def _twin(
    optimizer: keras.optimizers.Optimizer,
) -> keras.optimizers.Optimizer:
    try:
        config = optimizer.get_config()
        # Slots do not depend on a schedule, and it may not be registered.
        if isinstance(config.get("learning_rate"), dict):
            config["learning_rate"] = _CONSTANT
        return type(optimizer).from_config(config)
    # Broad, as a config may fail in any way.
    except Exception as error:
        raise ValueError(
            "`optimizer` must be one that `from_config(get_config())` makes "
            "again, so that its slots can be found; that goes for its "
            "learning-rate schedule too. Define `get_config`. "
            f"Received: {type(optimizer).__name__} ({error})"
        ) from error


def _scaled_twin(
    optimizer: keras.optimizers.Optimizer, stand_ins: list[keras.Variable]
) -> keras.optimizers.Optimizer | None:
    """Builds a twin as one that scales the loss does.

    Keras then leaves out variables of some optimizers, such as Nadam.
    """
    if hasattr(optimizer, "inner_optimizer"):
        return None
    twin = _twin(optimizer)
    keras.optimizers.LossScaleOptimizer(twin).build(stand_ins)
    return twin


def _stand_in(index: int, variable: keras.Variable) -> keras.Variable:
    # No length is 1: statistics of rows and columns may have that.
    rank = len(variable.shape)
    shape = (index + 2,) + (1,) * (rank - 1) if rank else ()
    *scopes, name = variable.path.split("/")
    # Optimizers may choose by path (`exclude_layers`, `OptimizerMap`).
    with ExitStack() as stack:
        for scope in scopes:
            stack.enter_context(keras.name_scope(scope))
        weights = np.full(shape, _WEIGHT)
        return keras.Variable(weights, dtype=variable.dtype, name=name)


def _name(slot: keras.Variable, variable: keras.Variable) -> str:
    """Returns a slot's name without that of its variable before it."""
    return slot.name.removeprefix(variable.path.replace("/", "_") + "_")


def _first_value(variable: keras.Variable) -> float | None:
    value = float(keras.ops.convert_to_numpy(variable).reshape(-1)[0])
    return None if value == _WEIGHT else value
