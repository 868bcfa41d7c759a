"""Digests of short runs, to tell whether a change computes anything else.

From the top of a checkout:

    python -m tests.digests before.json
    python -m tests.digests after.json --compare=before.json

The file holds, for every run, the SHA-256 of its weights, masks and optimizer
slots, and its metrics. The second command names the runs that differ; it exits
with 1 if any does, and either with 1 if a run fails. Results are the same from
run to run on one machine; another may round otherwise.

`default_jit_lenet_dsr` alone leaves it to `main.py` what XLA compiles; in all
other runs of `main.py` it compiles nothing.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Two lists of modules, each of which makes its runs in a process of its own.
# The lists, made side by side, take about equally long.
LANES = (("digest_fits", "digest_mirrored"), ("digest_commands",))
ENVIRONMENT = {
    "CUDA_VISIBLE_DEVICES": "",
    "PYTHONPATH": str(ROOT),
    "TF_CPP_MIN_LOG_LEVEL": "2",
}
Digests = dict[str, dict[str, str]]


def make(pattern: str) -> Digests:
    """Makes all runs whose names match a pattern, and digests them."""
    with tempfile.TemporaryDirectory() as folder:
        lanes = [
            subprocess.Popen(
                ["sh", "-ec", _script(lane, folder), "sh", pattern],
                cwd=ROOT,
                env=os.environ | ENVIRONMENT,
            )
            for lane in LANES
        ]
        for lane in lanes:
            if lane.wait():
                raise RuntimeError("A process ended before it wrote its runs.")
        files = sorted(Path(folder).glob("*.json"))
        found = [json.loads(file.read_text()) for file in files]
    return {name: run for runs in found for name, run in runs.items()}


def _script(modules: tuple[str, ...], folder: str) -> str:
    return "\n".join(
        f'"{sys.executable}" -m tests.{name} "{folder}/{name}.json" "$1"'
        for name in modules
    )


def differences(old: Digests, new: Digests) -> list[str]:
    """Returns a line on every part of every run that is not as it was."""
    lines = []
    for run in sorted(old | new):
        before, after = old.get(run, {}), new.get(run, {})
        lines += [
            f"{run}: {part} differs"
            for part in sorted(before | after)
            if before.get(part) != after.get(part)
        ]
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description="Digests short runs.")
    parser.add_argument("out", help="JSON file to write")
    parser.add_argument(
        "--only", default="*", help="names of runs, as a glob, such as 'dsr*'"
    )
    parser.add_argument("--compare", help="JSON file of an earlier call")
    arguments = parser.parse_args()
    runs = make(arguments.only)
    text = json.dumps(runs, indent=1, sort_keys=True) + "\n"
    Path(arguments.out).write_text(text)
    lines = [
        f"{k}: failed: {x['error']}" for k, x in runs.items() if "error" in x
    ]
    if arguments.compare:
        old = json.loads(Path(arguments.compare).read_text())
        if arguments.only != "*":
            old = {name: run for name, run in old.items() if name in runs}
        lines += differences(old, runs)
    print("\n".join([*lines, f"{len(runs)} runs, {len(lines)} findings"]))
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main())
