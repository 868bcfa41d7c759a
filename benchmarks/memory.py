"""Compares the peak memory of sparse and dense training of WRN-28-2.

    python -m benchmarks.memory [--rounds=7] [--quick] [--json=PATH]

Each round starts a new Python for each of the two, which trains some steps of
100 images as main.py does (`benchmarks/training.py`), the sparse one with two
reallocations, and reads from the kernel the most memory it ever held.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
from benchmarks import command
from benchmarks import timing
from benchmarks.training import SMALL_WIDE_RESNET
from benchmarks.training import Training
from benchmarks.training import paper_config
from dsr_tf.layers import sparse_layers

STEPS = 5


def training(method: str, quick: bool) -> Training:
    changes = SMALL_WIDE_RESNET if quick else ()
    config = paper_config(
        "cifar10_wrn_28_2_dsr_90", f"--method={method}", "--period=3", *changes
    )
    return Training(config, STEPS)


def print_peak(method: str, quick: bool) -> None:
    """Trains, and prints the largest resident set of this process, in bytes."""
    training(method, quick)()
    status = Path("/proc/self/status").read_text()
    (kilobytes,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
    print(1024 * int(kilobytes))


def peak(method: str, quick: bool) -> int:
    """Does so in a process of its own."""
    program = "from benchmarks import memory as m; m.print_peak"
    return int(
        subprocess.run(
            [sys.executable, "-c", f"{program}({method!r}, {quick})"],
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
    )


def measure(rounds: int, quick: bool) -> dict[str, Any]:
    peaks = timing.alternate(
        {
            method: lambda method=method: peak(method, quick)
            for method in ("dense", "dsr")
        },
        rounds,
        warm_up=0,
    )
    layers = sparse_layers(training("dsr", quick).model)
    weights = sum(layer.kernel.value.numpy().size for layer in layers)
    masks = sum(layer.kernel_mask.value.numpy().nbytes for layer in layers)
    return {
        "network": "WRN-10-1" if quick else "WRN-28-2",
        "rounds": rounds,
        "dense_bytes": timing.summary(peaks["dense"]),
        "sparse_bytes": timing.summary(peaks["dsr"]),
        "ratio": timing.summary(peaks["dsr"], peaks["dense"]),
        "mask_bytes_a_weight": masks / weights,
    }


def show(results: dict[str, Any]) -> None:
    command.table(
        ["network", "dense", "sparse", "sparse / dense", "mask"],
        [
            [
                results["network"],
                *(
                    f"{results[name]['median'] / 2**20:,.0f} MiB"
                    for name in ("dense_bytes", "sparse_bytes")
                ),
                timing.ranged(results["ratio"], 3),
                f"{results['mask_bytes_a_weight']:.0f} byte a weight",
            ]
        ],
    )


if __name__ == "__main__":
    command.main(__doc__, 7, measure, show)
