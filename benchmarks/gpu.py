"""Checks and times this library on the GPUs of a machine, with one command.

    python -m benchmarks.gpu --out=FOLDER [--rounds=5] [--quick]

It finds out what the machine has; trains on one device and on replicas on all
of them, and compares; trains with every method, in float32 and in mixed
precision, with and without XLA, and sees that budgets are exact, masks hold and
weights are finite; trains twice under TensorFlow's determinism, and compares;
and times steps and reallocations. FOLDER then holds `gpu.json`, with every
number, and `gpu.md`, a page to attach to an issue.

Each of these parts runs by itself, and both files are written after each: if
one fails, they hold why, and the next begins. The status is 1 if a part failed
or found something wrong. Without a GPU all is done on the CPU, on two logical
ones for replicas. Quick, networks are small, and it says only that it runs.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import tensorflow as tf

import dsr_tf
from benchmarks import gpu_methods
from benchmarks import gpu_replicas
from benchmarks import reallocation
from benchmarks import step
from benchmarks.gpu_page import page
from benchmarks.gpu_worker import Worker
from dsr_tf.files import replacing

# XLA is Keras' default on one card; on several it does without.
KINDS = tuple((x, y) for x in ("float32", "float16") for y in (False, True))
# Quick, these are of the first kind, and the last two of the last.
QUICK_METHODS = (
    *("static", "dsr by a threshold", "rigl", "deepr", "gradual pruning"),
    *("hashed", "dsr of slices", "dsr of stored blocks", "dsr"),
)


class Part(NamedTuple):
    """Something to measure.

    Args:
        kind: The section of the page that shows it.
        function: Returns what was found.
        arguments: What it is called with.
        about: What it is of, by name.
    """

    kind: str
    function: Callable[..., dict[str, Any]]
    arguments: tuple[Any, ...] = ()
    about: dict[str, Any] = {}


def parts(rounds: int, quick: bool) -> Iterator[list[Part]]:
    """Yields lists of parts that share a process, while none fails."""
    yield [Part("machine", machine), Part("replicas", gpu_replicas.checked)]
    yield [
        *_of_methods(rounds, quick),
        Part("reallocation", timed_reallocation, (rounds, quick)),
        *_of_steps(rounds, quick),
    ]
    yield list(_of_determinism(quick))


def _of_methods(rounds: int, quick: bool) -> Iterator[Part]:
    of_all = [(*kind, tuple(gpu_methods.METHODS)) for kind in KINDS]
    of_few = [
        (*KINDS[0], QUICK_METHODS),
        (*KINDS[-1], QUICK_METHODS[-2:]),
    ]
    for precision, xla, methods in of_few if quick else of_all:
        for method in methods:
            yield Part(
                "method",
                gpu_methods.trained,
                (method, precision, xla, rounds, quick),
                {"method": method, "precision": precision, "xla": xla},
            )


def _of_steps(rounds: int, quick: bool) -> Iterator[Part]:
    for name, *row in step.settings(quick):
        executions, steps, xla = row[1:]
        about = {"network": name, "steps": f"{steps} at once", "xla": xla}
        yield Part("step", step.measured, (name, *row, rounds), about)


def _of_determinism(quick: bool) -> Iterator[Part]:
    for method in ["dsr"] if quick else gpu_methods.METHODS:
        for xla in [True] if quick else [False, True]:
            about = {"method": method, "xla": xla}
            arguments = method, xla, quick
            yield Part("determinism", gpu_methods.repeated, arguments, about)


def machine() -> dict[str, Any]:
    """Returns what TensorFlow finds, and what it was built with."""
    build = tf.sysconfig.get_build_info()
    return {
        "gpus": [
            {key: str(value) for key, value in details.items()}
            for device in tf.config.list_physical_devices("GPU")
            for details in [tf.config.experimental.get_device_details(device)]
        ],
        "cuda": build.get("cuda_version"),
        "cudnn": build.get("cudnn_version"),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "dsr_tf": dsr_tf.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
    }


def timed_reallocation(rounds: int, quick: bool) -> dict[str, Any]:
    network = reallocation.network_to_measure(quick, reallocation.SPARSITY)
    return reallocation.timed(network, rounds)


def run(planned: Sequence[Sequence[Part]], out: Path) -> list[dict[str, Any]]:
    """Runs all parts; writes what was found after each, and before."""
    records: list[dict[str, Any]] = []
    for together in planned:
        with Worker() as worker:
            for part in together:
                records.append(_named(part))
                # What ends this process too is then known by its name.
                write(records, out)
                records[-1] |= _measured(part, worker)
                write(records, out)
                print(_line(records[-1]), flush=True)
    return records


def _named(part: Part) -> dict[str, Any]:
    shown = (
        str(value) if key != "xla" else "XLA" if value else "no XLA"
        for key, value in part.about.items()
    )
    name = ", ".join([part.kind, *shown])
    return {"kind": part.kind, "name": name, "verdict": "running", **part.about}


def _measured(part: Part, worker: Worker) -> dict[str, Any]:
    begin = time.perf_counter()
    found = worker.call(part.function, *part.arguments)
    verdict = "done"
    if "error" in found:
        verdict = "FAILED"
    elif "is_right" in found:
        verdict = "RIGHT" if found["is_right"] else "WRONG"
    seconds = time.perf_counter() - begin
    return {**found, "verdict": verdict, "seconds_in_all": seconds}


def _line(record: dict[str, Any]) -> str:
    seconds = round(record["seconds_in_all"])
    return f"{record['name']}: {record['verdict']}, {seconds} s"


def write(records: Sequence[dict[str, Any]], out: Path) -> None:
    text = json.dumps({"parts": records}, indent=1) + "\n"
    for name, content in (("gpu.json", text), ("gpu.md", page(records))):
        with replacing(out / name) as partial:
            partial.write_text(content)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    if given.rounds < 1:
        parser.error(f"--rounds must be at least 1, not {given.rounds}")
    given.out.mkdir(parents=True, exist_ok=True)
    rounds = 1 if given.quick else given.rounds
    records = run(list(parts(rounds, given.quick)), given.out)
    print(f"\n{page(records)}")
    return int(any(x["verdict"] in ("FAILED", "WRONG") for x in records))


if __name__ == "__main__":
    sys.exit(main())
