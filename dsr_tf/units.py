"""Units: the weights of a kernel that a mask moves as one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from dsr_tf.budget import num_kept


@dataclass(frozen=True)
class Granularity:
    """The kind of a unit: a weight or a slice. `str()` returns its name.

    Args:
        name: Name in arguments and configs.
        grid_axes: How many of a kernel's last axes number its units; the
            weights along the other axes belong together. None means all axes.
    """

    name: str
    grid_axes: int | None

    @classmethod
    def of(
        cls, value: Any, allowed: Sequence["Granularity"] | None = None
    ) -> "Granularity":
        """Returns the granularity of a given name.

        Args:
            value: A name, or a granularity.
            allowed: The granularities to choose from; all by default.

        Raises:
            ValueError: If `value` is none of them.
        """
        choices = GRANULARITIES if allowed is None else allowed
        if isinstance(value, str | Granularity):
            for choice in choices:
                if value in (choice, choice.name):
                    return choice
        raise ValueError(
            f"`granularity` must be one of {tuple(map(str, choices))}. "
            f"Received: granularity={value!r}"
        )

    def __str__(self) -> str:
        return self.name


WEIGHT = Granularity("weight", grid_axes=None)
# All weights between one input and one output channel of a convolution.
KERNEL = Granularity("kernel", grid_axes=2)
GRANULARITIES = (WEIGHT, KERNEL)


@dataclass(frozen=True)
class Units:
    """The units of one kernel.

    Where units are worked on, a kernel is a matrix with a column for each
    unit; the weights of a unit are the rows.

    Args:
        shape: Shape of the kernel.
        granularity: The kind of its units.
    """

    shape: tuple[int, ...]
    granularity: Granularity

    @property
    def grid(self) -> tuple[int, ...]:
        """Shape of an array with one entry for each unit."""
        axes = self.granularity.grid_axes
        return self.shape if axes is None else self.shape[-axes:]

    @property
    def num_weights(self) -> int:
        """Number of weights of the kernel."""
        return math.prod(self.shape)

    @property
    def count(self) -> int:
        """Number of units."""
        return math.prod(self.grid)

    @property
    def size(self) -> int:
        """Number of weights in a unit."""
        return self.num_weights // self.count

    def num_kept(self, sparsity: float) -> int:
        """Returns how many weights a new mask of this sparsity keeps."""
        return num_kept(self.count, sparsity) * self.size

    def rows(self, kernel: Any) -> Any:
        """Returns a kernel as a matrix of shape `(size, count)`.

        Args:
            kernel: NumPy array or TensorFlow tensor of the kernel's shape.
        """
        return _reshaped(kernel, (self.size, self.count))

    def kernel(self, rows: Any) -> Any:
        """Returns the kernel of a matrix: the inverse of `rows`."""
        return _reshaped(rows, self.shape)

    def spread(self, mask: np.ndarray) -> np.ndarray:
        """Returns the mask of the kernel, given one entry for each unit.

        Args:
            mask: `count` entries, of any shape.
        """
        rows = np.broadcast_to(mask.reshape(-1), (self.size, self.count))
        return self.kernel(rows)

    def of_mask(self, mask: np.ndarray) -> np.ndarray:
        """Returns the entries of the units, given the mask of the kernel.

        Args:
            mask: Array of the kernel's shape.

        Returns:
            Array of shape `(count,)`.

        Raises:
            ValueError: If the entries of a unit differ.
        """
        rows = self.rows(mask)
        if (rows != rows[0]).any():
            raise ValueError(
                "`mask` must be equal throughout each unit of "
                f"{self.size} weights, because granularity="
                f"'{self.granularity}' moves them as one. "
                "Received: a unit with zeros and ones"
            )
        return rows[0]

    def magnitudes(self, kernel: Any) -> Any:
        """Returns the mean magnitude of each unit, of shape `(count,)`.

        Args:
            kernel: NumPy array or TensorFlow tensor of the kernel's shape.
        """
        rows = self.rows(kernel)
        if isinstance(rows, np.ndarray):
            return np.abs(rows).mean(axis=0)
        return tf.reduce_mean(tf.abs(rows), axis=0)


def _reshaped(values: Any, shape: tuple[int, ...]) -> Any:
    if isinstance(values, np.ndarray):
        return values.reshape(shape)
    return tf.reshape(values, shape)
