"""What the command lines of all benchmarks share."""

import argparse
import json
import math
import os
import platform
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf


def main(
    description: str,
    rounds: int,
    measure: Callable[..., dict[str, Any]],
    show: Callable[[dict[str, Any]], None],
    fractions: Mapping[str, float] | None = None,
) -> None:
    """Runs a benchmark from the command line.

    Args:
        description: Docstring of the benchmark.
        rounds: Rounds, unless the command line says otherwise.
        measure: Takes rounds, whether to be quick, and each of `fractions` by
            its name; returns the results.
        show: Prints them.
        fractions: What else the command line may change, with defaults.
    """
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument(
        "--rounds", type=_at_least_one, default=rounds, help="rounds that count"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="little of it and one round, to see that it runs",
    )
    parser.add_argument(
        "--json", type=_file_in_a_folder, help="file to write results to"
    )
    for name, default in (fractions or {}).items():
        parser.add_argument(f"--{name}", type=_fraction, default=default)
    arguments = parser.parse_args()
    more = {name: getattr(arguments, name) for name in fractions or {}}
    rounds = 1 if arguments.quick else arguments.rounds
    results = measure(rounds, arguments.quick, **more)
    show(results)
    if arguments.json:
        save(results, arguments.json)


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(
            f"must be an integer of at least 1, not {text}"
        )
    return int(text)


def _fraction(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 < value < 1.0:
        raise argparse.ArgumentTypeError(
            f"must be a number above 0, below 1, not {text}"
        )
    return value


def _file_in_a_folder(text: str) -> Path:
    """Refuses, before anything is measured, what could not be written."""
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(
            f"must be a file in a folder that is there, not {text}"
        )
    return path


def save(results: Mapping[str, Any], path: Path) -> None:
    """Writes results, and on what machine they were found."""
    about = {
        "processors": os.cpu_count(),
        "machine": platform.machine(),
        "gpus": len(tf.config.list_physical_devices("GPU")),
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
    }
    path.write_text(json.dumps({"about": about, **results}, indent=1) + "\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Prints a table in Markdown."""
    print("| " + " | ".join(columns) + " |")
    print("|" + "---|" * len(columns))
    for row in rows:
        print("| " + " | ".join(row) + " |", flush=True)
