"""Which units have ever been active in a training."""

import io
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import tensorflow as tf

from dsr_tf.layers import SparseKernel
from dsr_tf.methods import Growth
from dsr_tf.training.state import local_variable
from dsr_tf.training.storages import all_tensors
from dsr_tf.training.storages import storages


class EverActive(tf.train.experimental.PythonState):
    """Remembers which units of some layers have ever been active.

    It keeps a byte a unit. A reallocation marks what it grows; what is active
    where a training begins, or goes on, is marked before the first one.

    Args:
        layers: Sparse layers.

    Reference:
        [Liu et al., 2021](https://arxiv.org/abs/2102.02887)
    """

    def __init__(self, layers: Sequence[SparseKernel]) -> None:
        super().__init__()
        self._layers = list(layers)
        # Also those of layers that were trained before, and may be again.
        self._marks: WeakKeyDictionary[SparseKernel, tf.Variable] = (
            WeakKeyDictionary()
        )
        # As bits, until the layers are built.
        self._restored: list[np.ndarray] = []
        self.begin()

    @property
    def share(self) -> float:
        """Share of the weights that were ever active, in `(0, 1]`."""
        found = [
            (np.count_nonzero(row) * layer.unit_size, row.size, layer.unit_size)
            for row, layer in zip(self._so_far(), self._layers, strict=True)
        ]
        ever = sum(count for count, _, _ in found)
        return ever / sum(units * size for _, units, size in found)

    def begin(self) -> None:
        """Says that what is active now counts, whoever made it so."""
        self._begins = True

    def clear(self) -> None:
        """Forgets what was active."""
        for mark in self._marks.values():
            mark.assign(tf.zeros_like(mark))
        self._restored = []
        self.begin()

    def continue_from(self, other: "EverActive") -> None:
        """Takes over what another one knows of the same layers."""
        self._marks = other._marks

    def catch_up(self) -> list[tf.Variable]:
        """Marks what is active, if that is not done.

        To be called before a reallocation.

        Returns:
            The marks of each layer, int8: 1 where a unit was ever active.
        """
        marks = self._made()
        if self._begins:
            for mark, positions in zip(marks, self._active(), strict=True):
                set_marks(mark, positions)
            self._begins = False
        return marks

    def _made(self) -> list[tf.Variable]:
        for layer in self._layers:
            if layer not in self._marks:
                # A GPU updates no bool at some positions.
                first = tf.zeros([layer.kernel_units.count], tf.int8)
                self._marks[layer] = local_variable(first)
        marks = [self._marks[layer] for layer in self._layers]
        for mark, bits in zip(marks, self._restored, strict=False):
            own = np.unpackbits(bits, count=mark.shape[0])
            mark.assign(own.astype(np.int8))
        self._restored = []
        return marks

    def _active(self) -> list[tf.Tensor]:
        """Returns the positions of the units that are active now."""
        none: list[Any] = [{}] * len(self._layers)
        stored = storages(self._layers, none, none)
        return [tensor.positions for tensor in all_tensors(stored)]

    def _so_far(self) -> list[np.ndarray]:
        """Returns what was ever active, bool. It changes no mark."""
        found = []
        for mark, active in zip(self._made(), self._active(), strict=True):
            row = mark.numpy() != 0
            row[active.numpy()] = True
            found.append(row)
        return found

    def serialize(self) -> bytes:
        file = io.BytesIO()
        is_built = all(layer.built for layer in self._layers)
        rows = self._so_far() if is_built else []
        np.savez(file, *map(np.packbits, rows))
        return file.getvalue()

    def deserialize(self, string_value: Any) -> None:
        with np.load(io.BytesIO(string_value)) as file:
            self._restored = [file[name] for name in file.files]
        self.begin()


def mark_grown(marks: Sequence[tf.Variable], growth: Sequence[Growth]) -> None:
    """Marks units that come.

    Args:
        marks: Those of each layer.
        growth: The units.
    """
    for mark, came in zip(marks, growth, strict=True):
        set_marks(mark, came.positions)


def set_marks(mark: tf.Variable, positions: tf.Tensor) -> None:
    """Marks positions, int64, of one layer."""
    ones = tf.ones_like(positions, tf.int8)
    mark.scatter_nd_update(positions[:, None], ones)
