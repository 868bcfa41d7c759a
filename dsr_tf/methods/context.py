"""The view of a network that a method gets."""

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from typing import Any

import tensorflow as tf

from dsr_tf.methods.grid import Grid

State = dict[str, float]


class SparseTensor:
    """One sparse tensor: its active units, without how they are stored.

    A unit moves as one: it is a weight, or all weights of a slice or a block.
    Units have positions: numbers from 0 to `num_units - 1`, in the order of the
    flattened tensor, or row by row of its blocks. A storage derives from this
    class. It must define `num_active`, `positions`, `values`, `slots`,
    `arrays` and `grid`, and may override the other members by faster ones.

    Attributes:
        shape: Shape of the tensor.
        unit_size: Weights in a unit.
        num_units: Units in the tensor, active or not.
        grid: Where they stand, between inputs and outputs.
        num_active: Active units, an int64 scalar.
        positions: Positions of the active units, shape `(num_active,)`,
            ascending, int64.
        values: Their weights, any floating type, of shape `(num_active,)`; for
            units of several weights, of shape `(unit_size, num_active)`.
        slots: Variables that the optimizer keeps for each weight, by the
            optimizer's own names, such as `"momentum"`; same shape as `values`.
        arrays: Arrays that the method keeps for each unit, by name; shape
            `(num_active,)`.
        growth_scores: Score of every unit, active or not; shape
            `(num_units,)`, float32. None if the method does not need scores.
    """

    shape: tuple[int, ...]
    unit_size: int
    num_units: int
    grid: Grid
    num_active: tf.Tensor
    positions: tf.Tensor
    values: tf.Tensor
    slots: Mapping[str, tf.Tensor]
    arrays: Mapping[str, tf.Tensor]
    growth_scores: tf.Tensor | None = None

    @property
    def magnitudes(self) -> tf.Tensor:
        """Magnitudes of the active units; means over units of many weights."""
        magnitudes = tf.abs(self.values)
        if self.unit_size == 1:
            return magnitudes
        return tf.reduce_mean(magnitudes, axis=0)

    @property
    def is_finite(self) -> tf.Tensor:
        """Whether no weight is NaN or infinite, a bool scalar."""
        return tf.reduce_all(tf.math.is_finite(self.values))

    def smaller_than(self, threshold: Any) -> tf.Tensor:
        """Finds the active units whose magnitude is below a threshold.

        Args:
            threshold: A number. A unit is found if its magnitude is strictly
                below it. The comparison is in float32, or in the tensor's own
                type if that is wider.

        Returns:
            Their positions, ascending, int64.
        """
        magnitudes, limit = comparable(self.magnitudes, threshold)
        return tf.gather(self.positions, tf.where(magnitudes < limit)[:, 0])

    def magnitudes_at(self, positions: tf.Tensor) -> tf.Tensor:
        """Returns the magnitudes of some active units.

        Args:
            positions: Positions of active units, int64.
        """
        # In int64: a GPU leaves int32 to the host.
        places = tf.searchsorted(self.positions, positions, out_type=tf.int64)
        return tf.gather(self.magnitudes, places)


@dataclass(frozen=True)
class Extent:
    """The size of a sparse tensor, as integers on the host.

    Args:
        name: Name of its layer.
        num_active: Active units.
        num_units: All units.
        unit_size: Weights in a unit.
    """

    name: str
    num_active: int
    num_units: int
    unit_size: int = 1


@dataclass(frozen=True)
class Context:
    """All that a method sees of a network, at one moment of its training.

    A storage derives from this class, and defines `random_inactive`.

    Args:
        tensors: The sparse tensors.
        numbers: Numbers that the method remembers, such as a threshold, and
            the values of its schedules at this moment: scalars, float64.
        step: Optimizer steps taken, an int64 scalar.
        num_steps: Optimizer steps of the whole training, a float64 scalar; NaN
            if it is not known.
        seed: Seed of this reallocation, shape `(2,)`, int32; None where it is
            not known.
        gone: Where units grow: positions of the units that go in this
            reallocation, ascending, one array for each tensor; otherwise None.
    """

    tensors: Sequence[SparseTensor]
    numbers: Mapping[str, Any] = field(default_factory=dict)
    step: Any = 0
    num_steps: Any = float("nan")
    seed: tf.Tensor | None = None
    gone: Sequence[tf.Tensor] | None = None

    @property
    def unit_sizes(self) -> tf.Tensor:
        """Weights in a unit of each tensor, shape `(L,)`, int64."""
        sizes = [tensor.unit_size for tensor in self.tensors]
        return tf.constant(sizes, tf.int64)

    @property
    def num_active(self) -> tf.Tensor:
        """Active units of each tensor, shape `(L,)`, int64."""
        return tf.stack([tensor.num_active for tensor in self.tensors])

    @property
    def num_inactive(self) -> tf.Tensor:
        """Inactive units of each tensor, shape `(L,)`, int64."""
        units = [tensor.num_units for tensor in self.tensors]
        return tf.constant(units, tf.int64) - self.num_active

    def random_inactive(
        self, counts: tf.Tensor, seed: tf.Tensor
    ) -> list[tf.Tensor]:
        """Draws inactive positions uniformly, without replacement.

        Args:
            counts: How many in each tensor, shape `(L,)`, int64, none above
                `num_inactive`.
            seed: Shape `(2,)`, int32. Equal seeds give equal positions.

        Returns:
            Distinct positions of each tensor, int64.
        """
        raise NotImplementedError


def comparable(
    magnitudes: tf.Tensor, threshold: Any
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns magnitudes and a threshold in one type: float32 or wider."""
    wide = magnitudes.dtype if magnitudes.dtype.size > 4 else tf.float32
    limit = tf.convert_to_tensor(threshold, tf.float64)
    return tf.cast(magnitudes, wide), tf.cast(limit, wide)
