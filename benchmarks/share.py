"""Finds what share of training is reallocation, under the paper's schedules.

    python -m benchmarks.share [--rounds=7] [--quick] [--json=PATH]

Trains each network as main.py does on this machine (`benchmarks/training.py`),
a few steps a round, with one reallocation in it, and takes the median seconds
of a step and of a reallocation. The share follows from these and from how many
of each the paper's schedule has. A step of ResNet-50 is taken to be one of 8
images, as those of the paper, of 256, do not fit here: its true share is
smaller.
"""

import os
import statistics
from collections.abc import Mapping
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from benchmarks import command
from benchmarks.training import DATASETS
from benchmarks.training import Training
from benchmarks.training import paper_config
from dsr_tf.runs import Config
from dsr_tf.runs import build
from dsr_tf.schedules import Moment

# Flagfile, executions in a round, and the batch that is timed.
NETWORKS = {
    "LeNet-300-100": ("mnist_lenet_dsr_99", 6, 100),
    "WRN-28-2": ("cifar10_wrn_28_2_dsr_90", 2, 100),
    "ResNet-50": ("imagenet_resnet50_dsr_80", 2, 8),
}


def counted(config: Config) -> dict[str, int]:
    """Counts the steps and reallocations of a whole run, by its schedule."""
    training, moves = config.training, config.moves
    steps = DATASETS[config.data.dataset][2] // training.batch_size
    last = training.epochs if moves.stop_epoch is None else moves.stop_epoch
    reallocations = 0
    for epoch in range(last):
        period = moves.period(Moment(epoch * steps, epoch))
        reallocations += (epoch + 1) * steps // period - epoch * steps // period
    return {"steps": training.epochs * steps, "reallocations": reallocations}


def measured_round(training: Training) -> dict[str, float]:
    """Trains, and returns seconds of a step and of a reallocation."""
    state = training.callback.reallocator_of(training.model).counters
    before, times = state.seconds, state.num_reallocations
    seconds = training()
    reallocating = state.seconds - before
    assert state.num_reallocations == times + 1
    return {
        "step": seconds - reallocating / training.steps,
        "reallocation": reallocating,
    }


def share(counts: Mapping[str, int], step: float, reallocation: float) -> float:
    """Returns the share of reallocations in the time of a run."""
    reallocating = counts["reallocations"] * reallocation
    return reallocating / (reallocating + counts["steps"] * step)


def measured(name: str, rounds: int) -> dict[str, Any]:
    flagfile, executions, batch_size = NETWORKS[name]
    config = paper_config(flagfile)
    counts = counted(config)
    epoch = counts["steps"] // config.training.epochs
    steps = build.steps_per_execution(config, epoch)
    training = Training(
        paper_config(
            flagfile,
            f"--batch_size={batch_size}",
            f"--period={(executions + 1) * steps}",
        ),
        executions,
        jit_compile=bool(build.jit_compile(config, num_replicas=1)),
        steps_per_execution=steps,
    )
    times = [measured_round(training) for _ in range(rounds + 1)][1:]
    step, reallocation = (
        statistics.median(row[key] for row in times)
        for key in ("step", "reallocation")
    )
    return {
        **counts,
        "batch_size": batch_size,
        "step_seconds": step,
        "reallocation_seconds": reallocation,
        "share": share(counts, step, reallocation),
    }


def measure(rounds: int, quick: bool) -> dict[str, Any]:
    names = list(NETWORKS)[:1] if quick else list(NETWORKS)
    return {
        "rounds": rounds,
        "networks": {name: measured(name, rounds) for name in names},
    }


def show(results: dict[str, Any]) -> None:
    command.table(
        ["network", "steps", "reallocations", "step", "reallocation", "share"],
        (
            [
                name,
                f"{row['steps']:,}",
                f"{row['reallocations']:,}",
                f"{1000 * row['step_seconds']:.2f} ms"
                f" (batch {row['batch_size']})",
                f"{1000 * row['reallocation_seconds']:.1f} ms",
                f"{100 * row['share']:.3f} %",
            ]
            for name, row in results["networks"].items()
        ),
    )


if __name__ == "__main__":
    command.main(__doc__, 7, measure, show)
