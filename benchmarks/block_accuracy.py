"""Finds what blocks cost in accuracy, on MNIST.

    python -m benchmarks.block_accuracy --network=mlp --seeds=0,1,2 --out=FILE
    python -m benchmarks.block_accuracy --table FILE
    python -m benchmarks.block_accuracy --quick

Trains a multilayer perceptron or a transformer (`block_networks.py`) dense, and
with masks of single weights and of blocks: fixed, moved by SET, by DSR and by
RigL. The accuracy is that of the test images after the last epoch. What FILE
holds is not run again, so a stopped benchmark goes on. A run takes 15 s of the
first network and four minutes of the second, on one CPU core.

`--choose` trains on 50,000 images and tests on the other 10,000 of the training
set: settings are chosen there.
"""

import argparse
import json
import os
from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf

from benchmarks import block_table
from benchmarks.block_networks import NETWORKS
from benchmarks.block_training import METHODS
from benchmarks.block_training import Run
from benchmarks.block_training import accuracy
from dsr_tf.files import replacing

EPOCHS = {"mlp": 12, "transformer": 3}
# Of 0.001, 0.002 and 0.004, the best on average of the perceptron's runs with
# `--choose`; of the transformer's, none was tried but this one.
LEARNING_RATES = {"mlp": 2e-3, "transformer": 1e-3}
PERIOD = 100
# Share of the active units that a reallocation moves; chosen likewise, of 0.03,
# 0.1 and 0.3. That of RigL is the authors', who lower it.
DROP_FRACTIONS = {"set": 0.3, "dsr": 0.3, "rigl": 0.3}
GRANULARITIES = ("weight", "8x8", "16x16", "32x32")
DENSITIES = (0.1, 0.05)
QUICK = (
    ("mlp", "dense"),
    ("mlp", "static"),
    ("mlp", "set"),
    ("transformer", "dsr"),
)
Record = dict[str, Any]


def planned(given: argparse.Namespace) -> list[Run]:
    """Returns the runs that a command line asks for, seed by seed."""
    names = (given.seeds, given.methods, given.granularities, given.densities)
    runs = (
        Run(
            network=given.network,
            method=method,
            granularity="weight" if method == "dense" else granularity,
            density=1.0 if method == "dense" else density,
            seed=seed,
            epochs=given.epochs or EPOCHS[given.network],
            learning_rate=given.learning_rate or LEARNING_RATES[given.network],
            period=PERIOD,
            drop_fraction=_drop_fraction(method, given.drop_fraction),
            tested="choice" if given.choose else "test",
        )
        for seed, method, granularity, density in product(*names)
    )
    return list(dict.fromkeys(runs))


def _drop_fraction(method: str, given: float | None) -> float | None:
    own = DROP_FRACTIONS.get(method)
    return own if own is None or given is None else given


def command_of(run: Run) -> str:
    """Returns the command that runs this one alone."""
    parts = [
        "python -m benchmarks.block_accuracy",
        f"--network={run.network}",
        f"--methods={run.method}",
        f"--granularities={run.granularity}",
        f"--densities={run.density:g}",
        f"--seeds={run.seed}",
        f"--epochs={run.epochs}",
        f"--learning_rate={run.learning_rate:g}",
    ]
    if run.drop_fraction is not None:
        parts.append(f"--drop_fraction={run.drop_fraction:g}")
    return " ".join([*parts, *["--choose"] * (run.tested == "choice")])


def run_all(runs: Iterable[Run], path: Path | None) -> list[Record]:
    """Runs what a file does not hold yet, and adds each result to it."""
    records = json.loads(path.read_text()) if path and path.exists() else []
    known = [{k: row[k] for k in Run.__annotations__} for row in records]
    for run in runs:
        if asdict(run) not in known:
            records.append(_record(run))
            if path:
                _write(records, path)
    return records


def _write(records: Iterable[Record], path: Path) -> None:
    """Writes records as JSON, one a line."""
    with replacing(path) as partial:
        partial.write_text(
            "[\n" + ",\n".join(map(json.dumps, records)) + "\n]\n"
        )


def _record(run: Run) -> Record:
    found = accuracy(run)
    print(f"{found:.2f} {run}", flush=True)
    return {**asdict(run), "accuracy": found, "command": command_of(run)}


def measure(rounds: int, quick: bool) -> dict[str, Any]:
    """Trains each network and method a little, to see that they run."""
    if not quick:
        raise ValueError(
            "`quick` must be True, as all runs take hours. Run "
            "`python -m benchmarks.block_accuracy` instead. "
            f"Received: quick={quick}"
        )
    return {"runs": [_record(_quick(*names)) for names in QUICK]}


def _quick(network: str, method: str) -> Run:
    drop_fraction = _drop_fraction(method, None)
    return Run(
        network, method, "8x8", 0.2, 0, 2, 0.002, 2, drop_fraction, "quick"
    )


def show(results: dict[str, Any]) -> None:
    block_table.show(results["runs"])


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=NETWORKS, default="mlp")
    parser.add_argument("--seeds", type=_integers, default=[0])
    parser.add_argument("--methods", type=_names, default=list(METHODS))
    parser.add_argument("--granularities", type=_names, default=GRANULARITIES)
    parser.add_argument("--densities", type=_numbers, default=DENSITIES)
    parser.add_argument("--epochs", type=int, help="instead of the network's")
    parser.add_argument("--learning_rate", type=float)
    parser.add_argument("--drop_fraction", type=float)
    parser.add_argument(
        "--choose", action="store_true", help="test a part of the training set"
    )
    parser.add_argument("--quick", action="store_true", help="a few seconds")
    parser.add_argument("--out", type=Path, help="file to add results to")
    parser.add_argument("--table", type=Path, help="file to show, and no run")
    given = parser.parse_args(arguments)
    if given.out and not given.out.parent.is_dir():
        parser.error(f"--out must be in a folder that exists, not {given.out}")
    return given


def _names(text: str) -> list[str]:
    return text.split(",")


def _integers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def main() -> None:
    given = parsed()
    # One thread, so that a run does not depend on the number of processors.
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    if given.quick:
        show(measure(1, quick=True))
    elif given.table:
        block_table.show(json.loads(given.table.read_text()))
    else:
        block_table.show(run_all(planned(given), given.out))


if __name__ == "__main__":
    main()
