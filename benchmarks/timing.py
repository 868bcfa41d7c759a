"""Measuring things in turn.

Machines are shared and noisy, so no claim is a time: each is a ratio of two
things that were measured alternately in one run, the median of all rounds.
"""

import statistics
import time
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any


def alternate(
    runs: Mapping[str, Callable[[], float]],
    rounds: int,
    prepare: Callable[[], Any] = lambda: None,
    warm_up: int = 1,
) -> dict[str, list[float]]:
    """Calls every run once a round, in turn; returns what they returned.

    Args:
        runs: What to measure, by name.
        rounds: Rounds that count.
        prepare: Called before each round.
        warm_up: Rounds before these.
    """
    found: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(warm_up + rounds):
        prepare()
        for name, run in runs.items():
            found[name].append(run())
    return {name: row[warm_up:] for name, row in found.items()}


def timed(run: Callable[[], Any]) -> Callable[[], float]:
    """Returns a function that calls another, and returns its seconds."""

    def call() -> float:
        begin = time.perf_counter()
        run()
        return time.perf_counter() - begin

    return call


def summary(
    values: Sequence[float], base: Sequence[float] | None = None
) -> dict[str, float]:
    """Sums up values, or, where there is a base, the ratios to it."""
    if base is not None:
        values = [a / b for a, b in zip(values, base, strict=True)]
    return {
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
    }


def ranged(ratios: Mapping[str, float], digits: int = 2) -> str:
    """Shows what was summed up."""
    median, low, high = (
        f"{ratios[name]:.{digits}f}" for name in ("median", "min", "max")
    )
    return f"{median} ({low} to {high})"
