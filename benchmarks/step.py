"""Times training steps of sparse networks against dense ones.

    python -m benchmarks.step [--rounds=9] [--quick] [--json=PATH]

Networks are LeNet-300-100 at 1 % kept, batch 100, and WRN-28-2 at 10 % kept,
batch 128, trained as main.py does (`benchmarks/training.py`), with and without
XLA. LeNet is timed one step at a time, and a hundred in an execution. DSR's
callback is attached; what its reallocations take is in `benchmarks.share`, and
not among these steps. DeepR rewires after every step, and so is timed one step
at a time only; LeNet with a fiftieth of its units tells what that takes however
few weights there are.
"""

import os
from collections.abc import Iterator
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from benchmarks import command
from benchmarks import timing
from benchmarks.training import SMALL_WIDE_RESNET
from benchmarks.training import Training
from benchmarks.training import paper_config

NEVER = f"--period={10**9}"
METHODS = ("dense", "dsr", "rigl", "hashed", "deepr")
# A file of `flags/`, and changes to it.
Flags = tuple[str, ...]


def lenet() -> Flags:
    return "mnist_lenet_dsr_99", NEVER


def few_weights() -> Flags:
    return *lenet(), "--width=0.02", "--num_pruned=1"


def wide_resnet(quick: bool) -> Flags:
    own = SMALL_WIDE_RESNET if quick else ("--batch_size=128",)
    return "cifar10_wrn_28_2_dsr_90", NEVER, *own


def settings(quick: bool) -> Iterator[tuple[str, Flags, int, int, bool]]:
    """Yields name, flags, executions, steps in each, and XLA."""
    if quick:
        yield "LeNet-300-100", lenet(), 10, 1, True
        yield "WRN-10-1", wide_resnet(quick), 1, 1, False
        return
    for xla in (False, True):
        yield "LeNet-300-100", lenet(), 200, 1, xla
        yield "LeNet-300-100", lenet(), 4, 100, xla
        yield "LeNet, width .02", few_weights(), 200, 1, xla
        yield "WRN-28-2", wide_resnet(quick), 2, 1, xla


def compared(
    given: Flags, executions: int, steps: int, xla: bool, rounds: int
) -> dict[str, Any]:
    methods = METHODS if steps == 1 else METHODS[:-1]
    trainings = {
        method: Training(
            paper_config(*given, f"--method={method}"), executions, xla, steps
        )
        for method in methods
    }
    times = timing.alternate(trainings, rounds)
    return {
        "dense_seconds": timing.summary(times["dense"]),
        "to_dense": {
            method: timing.summary(row, times["dense"])
            for method, row in times.items()
            if method != "dense"
        },
    }


def measured(
    name: str,
    given: Flags,
    executions: int,
    steps: int,
    xla: bool,
    rounds: int,
) -> dict[str, Any]:
    return {
        "network": name,
        "batch_size": paper_config(*given).training.batch_size,
        "steps_per_execution": steps,
        "jit_compile": xla,
        **compared(given, executions, steps, xla, rounds),
    }


def measure(rounds: int, quick: bool) -> dict[str, Any]:
    return {
        "rounds": rounds,
        "networks": [measured(*row, rounds) for row in settings(quick)],
    }


def show(results: dict[str, Any]) -> None:
    command.table(
        [
            "network",
            "batch",
            "steps in an execution",
            "XLA",
            "dense",
            *(f"{method} / dense" for method in METHODS[1:]),
        ],
        (
            [
                row["network"],
                str(row["batch_size"]),
                str(row["steps_per_execution"]),
                "yes" if row["jit_compile"] else "no",
                f"{1000 * row['dense_seconds']['median']:.2f} ms",
                *(
                    timing.ranged(row["to_dense"][method])
                    if method in row["to_dense"]
                    else "–"
                    for method in METHODS[1:]
                ),
            ]
            for row in results["networks"]
        ),
    )


if __name__ == "__main__":
    command.main(__doc__, 9, measure, show)
