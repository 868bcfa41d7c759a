"""Between sparse layers and what methods see: how a kernel is stored."""

from collections.abc import Mapping
from collections.abc import Sequence

import tensorflow as tf

from dsr_tf.layers import SparseKernel
from dsr_tf.layers.slots import Slot
from dsr_tf.methods import Growth
from dsr_tf.methods import SparseTensor
from dsr_tf.methods.tracing import on_host
from dsr_tf.units import Units


class Storage:
    """One sparse kernel, its slots, and what a method keeps for its units.

    Args:
        layer: A sparse layer, built.
        slots: Optimizer slots of its kernel.
        arrays: What the method keeps for its units, by name.
    """

    def __init__(
        self,
        layer: SparseKernel,
        slots: Sequence[Slot] = (),
        arrays: Mapping[str, tf.Variable] | None = None,
    ) -> None:
        self.layer = layer
        self.slots = slots
        self.arrays = arrays or {}

    def tensor(
        self, num_active: tf.Tensor | None, growth_scores: tf.Tensor | None
    ) -> SparseTensor:
        """Returns the kernel as a method sees it.

        Args:
            num_active: Active units, where they are known.
            growth_scores: Scores of all weights, where they are asked for.
        """
        raise NotImplementedError

    def assign_values(
        self, tensor: SparseTensor, values: tf.Tensor
    ) -> SparseTensor:
        """Gives the active units new weights, and returns the tensor anew."""
        raise NotImplementedError

    def move(self, gone: tf.Tensor, growth: Growth) -> list[tf.Tensor]:
        """Moves units, and sets slots back.

        At every position that was pruned or grown, the slots get their initial
        value; at a pruned one the weight is 0, at a grown one what the method
        says.

        Args:
            gone: Positions of the units that go.
            growth: Units that come.

        Returns:
            What is held afterwards.
        """
        raise NotImplementedError

    def count(self) -> tf.Tensor:
        """Counts the active units, an int64 scalar."""
        raise NotImplementedError

    def keep(self, growth: Growth) -> None:
        """Takes over what the method keeps for units that come."""
        for name, values in growth.arrays.items():
            places = growth.positions[:, None]
            self.arrays[name].scatter_nd_update(places, values)


def spread(
    tensors: Sequence[SparseTensor], arrays: Sequence[tf.Tensor]
) -> list[tf.Tensor]:
    """Returns arrays with an entry for every unit, 0 for inactive ones.

    Args:
        tensors: The tensors.
        arrays: Entries of the active units of each.
    """
    return [
        dense(tensor.positions, array, tensor.num_units)
        for tensor, array in zip(tensors, arrays, strict=True)
    ]


def dense(
    positions: tf.Tensor, values: tf.Tensor, length: int | tf.Tensor
) -> tf.Tensor:
    """Returns a vector with values at some positions, and zeros elsewhere.

    Args:
        positions: Distinct, shape `(k,)`, int64.
        values: One for each, or one for all.
        length: Of the vector: an integer, or shape `(1,)`, int64, on the host.
    """
    with on_host():
        zero = tf.zeros([], values.dtype)
        if isinstance(length, int):
            length = tf.constant([length], tf.int64)
    # Many times as fast as any scatter on a CPU, for want of a sum.
    return tf.raw_ops.SparseToDense(
        sparse_indices=positions,
        output_shape=length,
        sparse_values=values,
        default_value=zero,
        validate_indices=False,
    )


def unit_scores(units: Units, scores: tf.Tensor | None) -> tf.Tensor | None:
    """Returns the mean magnitude of the scores of each unit, float32."""
    if scores is None:
        return None
    return units.magnitudes(tf.cast(scores, tf.float32))
