"""Compares masks over time: which weights moved, and how long new ones stay."""

import io
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf


@dataclass
class _Cohort:
    """Positions of the weights that grew at one change and are still active."""

    num_grown: int
    positions: np.ndarray


class MaskHistory(tf.train.experimental.PythonState):
    """Compares the masks of a model, joined in one array, with earlier masks.

    A weight has grown if it is active after a change of the masks and was not
    active before. A weight that one reallocation prunes and grows again has not
    grown. A weight survives until it is first pruned; if it comes back later,
    it has not survived.

    Args:
        ages: Numbers of changes after which survivors are counted, each at
            least 1.

    Attributes:
        start: The first mask; None before `begin`.
        ever: What was active in any mask.
        num_grown: Weights grown since `reset`.
    """

    def __init__(self, ages: Sequence[int]) -> None:
        super().__init__()
        self.ages = tuple(ages)
        self.clear()

    def clear(self) -> None:
        """Forgets all earlier masks."""
        self.start: np.ndarray | None = None
        self._last = self.ever = np.zeros(0, bool)
        # The newest first, so that the age of each is its place.
        self._cohorts: list[_Cohort] = []
        self.reset()

    def begin(self, mask: np.ndarray) -> None:
        """Takes the mask with which training begins or resumes.

        Args:
            mask: Masks of all layers, flat, one after the other, bool.
        """
        if self.start is None:
            self.start = mask
        # A run that goes on within an epoch compares with its beginning.
        if self._last.size != mask.size:
            self._last = mask
        # Nor do older checkpoints hold what was active before.
        known = self.ever.size == mask.size
        self.ever = self.ever | mask if known else self.start | mask

    def update(self, mask: np.ndarray) -> None:
        """Takes the mask after a change, even if no weight moved.

        Args:
            mask: As in `begin`.
        """
        grown = np.flatnonzero(mask & ~self._last)
        self.num_grown += len(grown)
        for cohort in self._cohorts:
            cohort.positions = cohort.positions[mask[cohort.positions]]
        self._cohorts.insert(0, _Cohort(len(grown), grown))
        del self._cohorts[max(self.ages) + 1 :]
        for age in self.ages:
            if age < len(self._cohorts):
                cohort = self._cohorts[age]
                self._stayed[age] += len(cohort.positions)
                self._came[age] += cohort.num_grown
        self.ever = self.ever | mask
        self._last = mask

    def survival(self) -> dict[int, float]:
        """Returns the share of weights that survived to each age since `reset`.

        The share for an age counts the weights that became this old, in number
        of changes, since `reset`. An age is left out if there were none.
        """
        return {
            age: self._stayed[age] / came
            for age, came in self._came.items()
            if came
        }

    def reset(self) -> None:
        """Sets the counts to zero; weights are followed further."""
        self.num_grown = 0
        self._stayed = dict.fromkeys(self.ages, 0)
        self._came = dict.fromkeys(self.ages, 0)

    def serialize(self) -> bytes:
        arrays: dict[str, Any] = {
            "num_grown": self.num_grown,
            "ages": self.ages,
            "stayed": list(self._stayed.values()),
            "came": list(self._came.values()),
            "cohorts": [cohort.num_grown for cohort in self._cohorts],
        }
        if self.start is not None:
            arrays["start"] = np.packbits(self.start)
            arrays["last"] = np.packbits(self._last)
            arrays["ever"] = np.packbits(self.ever)
            arrays["size"] = self.start.size
        for i, cohort in enumerate(self._cohorts):
            arrays[f"positions_{i}"] = cohort.positions
        file = io.BytesIO()
        np.savez_compressed(file, **arrays)
        return file.getvalue()

    def deserialize(self, string_value: Any) -> None:
        with np.load(io.BytesIO(string_value)) as arrays:
            self.reset()
            self.num_grown = int(arrays["num_grown"])
            counts = zip(
                arrays["ages"], arrays["stayed"], arrays["came"], strict=True
            )
            for age, stayed, came in counts:
                if age in self.ages:
                    self._stayed[int(age)] = int(stayed)
                    self._came[int(age)] = int(came)
            self._cohorts = [
                _Cohort(int(count), arrays[f"positions_{i}"])
                for i, count in enumerate(arrays["cohorts"])
            ]
            # Older checkpoints do not hold these two.
            self._last = self.ever = np.zeros(0, bool)
            if "start" in arrays:
                self.start = _unpacked(arrays, "start")
            if "last" in arrays:
                self._last = _unpacked(arrays, "last")
            if "ever" in arrays:
                self.ever = _unpacked(arrays, "ever")


def _unpacked(arrays: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    bits = np.unpackbits(arrays[name], count=int(arrays["size"]))
    return bits.astype(bool)
