"""Shows what a training step and a reallocation spend their time on.

    python -m benchmarks.profile [--rounds=5] [--quick] [--json=PATH]

A step is one of WRN-28-2 at 10 % kept, 100 images, as main.py trains it; a
reallocation one of ResNet-50 at 20 % kept (`benchmarks/reallocation.py`). The
time of an operation is added up over all threads: on several cores, together
they take more than the clock shows.
"""

import os
from collections import Counter
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from benchmarks import command
from benchmarks.profiler import events
from benchmarks.reallocation import SPARSITY
from benchmarks.reallocation import network_to_measure
from benchmarks.training import SMALL_WIDE_RESNET
from benchmarks.training import Training
from benchmarks.training import paper_config

SHOWN = 15


def by_operation(run: Callable[[], Any], times: int) -> dict[str, Any]:
    """Returns count and seconds of each operation in a `times`-th of a run."""
    seconds: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for event in events(run):
        if event.operation:
            seconds[event.operation] += event.seconds / times
            counts[event.operation] += 1
    return {
        name: {"count": counts[name] / times, "seconds": value}
        for name, value in seconds.most_common()
    }


def step(rounds: int, quick: bool) -> dict[str, Any]:
    changes = SMALL_WIDE_RESNET if quick else ()
    config = paper_config("cifar10_wrn_28_2_dsr_90", *changes)
    training = Training(config, executions=rounds)
    training()
    # One step more than are timed.
    return by_operation(training, rounds + 1)


def reallocation(rounds: int, quick: bool) -> dict[str, Any]:
    network = network_to_measure(quick, SPARSITY)
    network.draw_weights()
    network.reallocate()

    def run() -> None:
        for _ in range(rounds):
            network.reallocate()

    return by_operation(run, rounds)


def measure(rounds: int, quick: bool) -> dict[str, Any]:
    return {
        "step": step(rounds, quick),
        "reallocation": reallocation(rounds, quick),
    }


def show(results: dict[str, Any]) -> None:
    for name, operations in results.items():
        total = sum(row["seconds"] for row in operations.values())
        count = sum(row["count"] for row in operations.values())
        print(
            f"\nA {name}: {count:,.0f} operations, {1000 * total:,.1f} ms over "
            "all threads\n"
        )
        command.table(
            ["operation", "times", "ms", "share"],
            (
                [
                    operation,
                    f"{row['count']:,.0f}",
                    f"{1000 * row['seconds']:,.1f}",
                    f"{row['seconds'] / total:.0%}",
                ]
                for operation, row in list(operations.items())[:SHOWN]
            ),
        )


if __name__ == "__main__":
    command.main(__doc__, 5, measure, show)
