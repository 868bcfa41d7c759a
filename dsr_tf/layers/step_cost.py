"""What a training step of a layer costs that stores blocks."""

import functools
import itertools
import json
import math
from pathlib import Path

import numpy as np

from dsr_tf.units import Units

# Written by `python -m benchmarks.block_costs`.
_FILE = Path(__file__).with_name("step_costs.json")
_AXES = ("size", "block", "density")


def step_cost(units: Units, density: float) -> float:
    """Returns about what a step costs with stored blocks, of a dense layer.

    A step is the product, both gradients and Adam, at 128 rows of inputs (a
    batch, or a batch of sequences), on two CPU cores. Under a mask a layer
    costs what the dense one does. What was measured of square layers is
    interpolated; beyond what was measured, its edge counts.

    Args:
        units: The units of the kernel, blocks.
        density: Fraction of active blocks, in `(0, 1]`.

    Returns:
        A positive number; below 1, blocks pay.
    """
    axes, table = _measured()
    size = math.sqrt(units.num_weights)
    point = (size, math.sqrt(units.size), density)
    weights = [
        _weights(axis, math.log2(x))
        for axis, x in zip(axes, point, strict=True)
    ]
    logs = [
        math.prod(share for _, share in corner)
        * math.log2(table[tuple(index for index, _ in corner)])
        for corner in itertools.product(*weights)
    ]
    return 2.0 ** sum(logs)


def _weights(axis: np.ndarray, x: float) -> list[tuple[int, float]]:
    """Returns the two entries of an axis beside a number, and their shares."""
    place = float(np.interp(x, axis, np.arange(len(axis))))
    low = min(int(place), len(axis) - 2)
    return [(low, low + 1 - place), (low + 1, place - low)]


@functools.cache
def _measured() -> tuple[list[np.ndarray], np.ndarray]:
    """Returns logarithms of what was measured at, and the costs."""
    rows = json.loads(_FILE.read_text())["costs"]
    axes = [sorted({row[name] for row in rows}) for name in _AXES]
    table = np.full([len(axis) for axis in axes], np.nan)
    for row in rows:
        place = (
            axis.index(row[name])
            for axis, name in zip(axes, _AXES, strict=True)
        )
        table[tuple(place)] = row["cost"]
    return [np.log2(axis) for axis in axes], table
