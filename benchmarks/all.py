"""Runs all benchmarks but the longest, one after another.

    python -m benchmarks.all [--rounds=9] [--quick] [--json=PATH]

Quick, all together take a minute or two, and say only that they run; then
`block_accuracy` is among them.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from typing import Any

from benchmarks import artifacts
from benchmarks import block_accuracy
from benchmarks import block_costs
from benchmarks import block_files
from benchmarks import blocks
from benchmarks import command
from benchmarks import epoch
from benchmarks import memory
from benchmarks import profile
from benchmarks import reallocation
from benchmarks import share
from benchmarks import start
from benchmarks import step

BENCHMARKS = {
    "reallocation": reallocation,
    "share": share,
    "step": step,
    "epoch": epoch,
    "memory": memory,
    "start": start,
    "artifacts": artifacts,
    "blocks": blocks,
    "block_costs": block_costs,
    "block_files": block_files,
    "profile": profile,
}
# These take hours, and are run by themselves.
ONLY_QUICK = {"block_accuracy": block_accuracy}


def measure(rounds: int, quick: bool) -> dict[str, Any]:
    results = {}
    benchmarks = BENCHMARKS | (ONLY_QUICK if quick else {})
    for name, benchmark in benchmarks.items():
        print(f"\n{benchmark.__doc__.splitlines()[0]}\n", flush=True)
        results[name] = benchmark.measure(rounds, quick)
        benchmark.show(results[name])
    return results


if __name__ == "__main__":
    command.main(__doc__, 9, measure, lambda results: None)
