"""The blocks of a kernel that are stored, and where they are."""

from collections.abc import Sequence
from typing import Any
from weakref import WeakSet

import keras
import numpy as np
import tensorflow as tf

from dsr_tf.layers.appliers import applying_optimizer
from dsr_tf.layers.elastic import ElasticVariable
from dsr_tf.layers.elastic import make_elastic
from dsr_tf.layers.slots import Slot
from dsr_tf.layers.trained_variable import TrainedVariable
from dsr_tf.units import Units


class BlockPositions(ElasticVariable):
    """The positions of the blocks that are stored, ascending, int64.

    Args:
        positions: First value.
        name: Its name.
    """

    def __init__(self, positions: np.ndarray, name: str) -> None:
        super().__init__(
            lambda shape, dtype: tf.convert_to_tensor(positions, dtype),
            shape=positions.shape,
            # TensorFlow keeps int32 variables off the GPU.
            dtype="int64",
            trainable=False,
            autocast=False,
            aggregation="only_first_replica",
            name=name,
        )


class BlockVariable(ElasticVariable, TrainedVariable):
    """The blocks of a kernel: shape `(blocks, rows, columns)`.

    Args:
        positions: Where they are.
        units: The units of the kernel.
        constraint: What the weights obey, or None.
        **kwargs: Arguments of `keras.Variable`.
    """

    def __init__(
        self,
        positions: BlockPositions,
        units: Units,
        constraint: keras.constraints.Constraint | None = None,
        **kwargs: Any,
    ) -> None:
        self.positions = positions
        self.units = units
        self._own = constraint
        self._optimizers: WeakSet[keras.optimizers.Optimizer] = WeakSet()
        super().__init__(**kwargs)

    @property
    def constraint(self) -> Any:
        """What optimizers are to apply after they have changed the blocks."""
        optimizer = applying_optimizer()
        if optimizer is not None:
            self.meet(optimizer)
        return self._own

    @constraint.setter
    def constraint(self, value: Any) -> None:
        self._own = keras.constraints.get(value)

    def move(self, positions: Any, fresh: Any = None) -> None:
        """Moves blocks, and their slots in all optimizers that are known.

        Args:
            positions: The new positions, ascending, int64.
            fresh: Blocks for those that are new, of which there is one for
                each position; zeros by default.
        """
        slots = self.slots()
        if len(positions) != self.positions.shape[0]:
            self.free_slots(slots)
        self.move_with(slots, positions, fresh)

    def move_with(
        self, slots: Sequence[Slot], positions: Any, fresh: Any = None
    ) -> list[tf.Tensor]:
        """Moves blocks, and some of their slots.

        A block that stays keeps weights and slots. Slots of a new one begin
        anew.

        Args:
            slots: Slots of the blocks.
            positions: The new positions, ascending, int64.
            fresh: Blocks for those that are new, of which there is one for
                each position; zeros by default.

        Returns:
            What is assigned.
        """
        before = tf.convert_to_tensor(self.positions.value)
        places = tf.minimum(
            tf.searchsorted(before, positions), tf.shape(before)[0] - 1
        )
        stays = tf.equal(tf.gather(before, places), positions)[:, None, None]
        old = tf.convert_to_tensor(self.value)
        new = tf.zeros([], old.dtype) if fresh is None else fresh
        blocks = tf.where(stays, tf.gather(old, places), new)
        assigned = [blocks]
        for slot in slots:
            start = blocks
            if slot.initial_value is not None:
                start = tf.constant(slot.initial_value)
            held = slot.variable.value
            value = tf.where(
                tf.reshape(stays, [-1, *[1] * (held.shape.rank - 1)]),
                tf.gather(held, places),
                tf.cast(start, held.dtype),
            )
            slot.variable.assign(value)
            assigned.append(value)
        self.assign(blocks)
        self.positions.assign(positions)
        return assigned

    def clean(self, slots: Sequence[Slot]) -> None:
        """Does nothing: there is nothing where no block is."""

    def free_slots(self, slots: Sequence[Slot]) -> bool:
        """Lets slots follow a change of the number of blocks.

        Returns:
            Whether they could not before. What was traced with them must be
            traced anew.
        """
        return any([make_elastic(slot.variable) for slot in slots])


def stacked(units: Units, rows: Any) -> Any:
    """Returns blocks, `(blocks, rows, columns)`, given a column for each."""
    shape = [-1, *units.block]
    if isinstance(rows, np.ndarray):
        return rows.T.reshape(shape)
    return tf.reshape(tf.transpose(rows), shape)


def in_columns(units: Units, blocks: Any) -> Any:
    """Returns a column for each block: the inverse of `stacked`."""
    return tf.transpose(tf.reshape(blocks, [-1, units.size]))
