"""The blocks of a kernel that are stored, and where they are."""

from collections.abc import Sequence
from typing import Any
from weakref import WeakSet

import keras
import numpy as np
import tensorflow as tf

from dsr_tf.layers.appliers import applying_optimizer
from dsr_tf.layers.appliers import building_optimizer
from dsr_tf.layers.elastic import ElasticVariable
from dsr_tf.layers.elastic import make_elastic
from dsr_tf.layers.elastic import outside_of_graphs
from dsr_tf.layers.kernel_mask import is_symbolic
from dsr_tf.layers.slots import Slot
from dsr_tf.layers.trained_variable import TrainedVariable
from dsr_tf.units import Units


class BlockPositions(ElasticVariable):
    """The positions of the blocks that are stored, ascending, int64.

    Slots of the blocks follow them.

    Args:
        positions: First value.
        name: Its name.

    Attributes:
        blocks: The blocks, when there are any.
    """

    def __init__(self, positions: np.ndarray, name: str) -> None:
        self.blocks: BlockVariable | None = None
        self._restores = False
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

    def assign(self, value: Any) -> Any:
        """Assigns positions, after the blocks that are there.

        Raises:
            ValueError: If they do not ascend, or the kernel has none of them.
        """
        blocks = self.blocks
        if blocks is None or self._restores or is_symbolic(value):
            return self.assign_alone(value)
        checked_positions(keras.ops.convert_to_numpy(value), blocks.units)
        before = tf.identity(self.value)
        done = self.assign_alone(value)
        blocks.bring_along(blocks.slots(), before)
        return done

    def assign_alone(self, value: Any) -> Any:
        """Assigns positions, where the caller sees to blocks and slots."""
        return super().assign(value)

    # Private, but all checkpoints of TensorFlow restore variables by it. They
    # restore slots too, and of mirrored variables Keras assigns these.
    def _restore_from_tensors(self, restored_tensors: Any) -> Any:
        self._restores = True
        try:
            return super()._restore_from_tensors(restored_tensors)
        finally:
            self._restores = False


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
        positions.blocks = self
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

    def assign(self, value: Any) -> Any:
        """Assigns blocks, one for each position that there is, or will be.

        They obey the constraint, wherever they come from.
        """
        return super().assign(value if self._own is None else self._own(value))

    @property
    def overwrite_with_gradient(self) -> bool:
        """Always False. Optimizers ask for it before they use their slots."""
        optimizer, building = applying_optimizer(), building_optimizer()
        if building is not None:
            self.meet(building)
        elif optimizer is not None:
            self.meet(optimizer)
            # Before anything is traced with them.
            outside_of_graphs(lambda: self.clean(self.slots()))
        return False

    def move(self, positions: Any, fresh: Any = None) -> None:
        """Moves blocks, and their slots in all optimizers that are known.

        Args:
            positions: The new positions, ascending, int64.
            fresh: Blocks for those that are new, of which there is one for
                each position; zeros by default.
        """
        slots = self.slots()
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
        old = tf.convert_to_tensor(self.value)
        new = tf.zeros([], old.dtype) if fresh is None else fresh
        blocks = _moved(old, before, positions, new)
        moved = [self._moved_slot(x, before, positions, blocks) for x in slots]
        self.assign(blocks)
        self.positions.assign_alone(positions)
        return [blocks, *moved]

    def bring_along(self, slots: Sequence[Slot], before: Any) -> None:
        """Moves slots after the blocks were moved without them.

        Args:
            slots: Slots of the blocks.
            before: The positions that the blocks had.
        """
        self.free_slots(slots)
        for slot in slots:
            self._moved_slot(slot, before, self.positions.value, self.value)

    def _moved_slot(
        self, slot: Slot, before: Any, positions: Any, blocks: Any
    ) -> tf.Tensor:
        """Moves one slot, and returns what it holds then."""
        held = tf.convert_to_tensor(slot.variable.value)
        start = tf.cast(_start(slot, blocks), held.dtype)
        value = _moved(held, before, positions, start)
        slot.variable.assign(value)
        return value

    def clean(self, slots: Sequence[Slot]) -> None:
        """Begins slots anew that were made for another number of blocks.

        Others hold nothing where no block is.
        """
        count = self.positions.shape[0]
        for slot in slots:
            variable, start = slot.variable, _start(slot, self.value)
            make_elastic(variable, start)
            if variable.shape[0] != count:
                shape = [count, *variable.shape[1:]]
                start = tf.cast(start, variable.dtype)
                variable.assign(tf.broadcast_to(start, shape))

    def free_slots(self, slots: Sequence[Slot]) -> None:
        """Lets slots follow a change of the number of blocks."""
        for slot in slots:
            make_elastic(slot.variable)


def checked_positions(positions: np.ndarray, units: Units) -> np.ndarray:
    """Returns positions of one block or more.

    Args:
        positions: Integers that ascend, shape `(blocks,)`.
        units: The units of the kernel.

    Raises:
        ValueError: If they are none.
    """
    is_row = positions.ndim == 1 and positions.dtype.kind in "iu"
    if not is_row or not len(positions) or (np.diff(positions) <= 0).any():
        raise ValueError(
            "The positions of blocks must be one integer or more, and ascend. "
            f"Received: {positions.tolist()}"
        )
    if positions[0] < 0 or positions[-1] >= units.count:
        raise ValueError(
            "The positions of blocks must not be negative, and must be below "
            f"{units.count}. Received: {positions[0]} to {positions[-1]}"
        )
    return positions


def _start(slot: Slot, blocks: Any) -> Any:
    """Returns what a slot begins with."""
    if slot.initial_value is None:
        return tf.convert_to_tensor(blocks)
    return tf.constant(slot.initial_value)


def _moved(
    values: tf.Tensor, before: tf.Tensor, positions: Any, fresh: Any
) -> tf.Tensor:
    """Returns an entry for each of the new positions.

    Args:
        values: An entry for each block that there was, of any shape.
        before: Where these were, ascending, int64.
        positions: Where blocks are now, ascending, int64.
        fresh: An entry for each of these, where there was none, or for all.
    """
    # In int64: a GPU leaves int32 to the host.
    places = tf.minimum(
        tf.searchsorted(before, positions, out_type=tf.int64),
        tf.size(before, tf.int64) - 1,
    )
    stays = tf.equal(tf.gather(before, places), positions)
    return tf.where(
        tf.reshape(stays, [-1, *[1] * (values.shape.rank - 1)]),
        tf.gather(values, places),
        fresh,
    )


def stacked(units: Units, rows: Any) -> Any:
    """Returns blocks, `(blocks, rows, columns)`, given a column for each."""
    shape = [-1, *units.block]
    if isinstance(rows, np.ndarray):
        return rows.T.reshape(shape)
    return tf.reshape(tf.transpose(rows), shape)


def in_columns(units: Units, blocks: Any) -> Any:
    """Returns a column for each block: the inverse of `stacked`."""
    return tf.transpose(tf.reshape(blocks, [-1, units.size]))
