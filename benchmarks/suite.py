"""Runs all experiments of a table of the paper, and ends with the report.

    python -m benchmarks.suite mnist_lenet --seeds=0,1,2 --out=runs/suite
    python -m benchmarks.suite mnist_lenet --only='dense,*_99' --out=runs/suite
    python -m benchmarks.suite --quick

A table is the beginning of names in `flags/`: `mnist_lenet`, `mnist_mlp`,
`cifar10_wrn_28_2`, `cifar10_wrn_10_1` or `imagenet_resnet50`. Seeds come in
turn, each with the runs that others begin from first. What OUT holds is not run
again, and what was stopped goes on. The report is in OUT/report, beside the
published figures. What comes after `--` is given to each run, as
`-- --strategy=mirrored`. Runs that OUT holds with other settings fail, and stay
as they are, unless the settings ask for more epochs alone.
"""

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from absl import flags

from benchmarks.training import paper_config
from dsr_tf.runs.earlier import Earlier
from dsr_tf.runs.flagfile import differences
from dsr_tf.runs.flagfile import parsed_flags

_FLAGS = Path("flags")
_TABLES = (
    "mnist_lenet",
    "mnist_mlp",
    "cifar10_wrn_28_2",
    "cifar10_wrn_10_1",
    "imagenet_resnet50",
)
# As a file says what it begins from, and which of its flags name that run.
_FIRST = re.compile(r"^# Run (\w+)\.cfg first", re.MULTILINE)
_FROM = re.compile(r"^--(\w+_from)=runs/", re.MULTILINE)
# A reallocation is due after 100 steps of 100 images.
_QUICK = ("--train_examples=2000", "--epochs=6")
_QUICK_ONLY = ("dense", "first_weights_99")


@dataclass(frozen=True)
class Experiment:
    """A file of `flags/`.

    Args:
        name: Its name, without ending.
        first: Name of the experiment whose run it begins from; or None.
        taken: Flags that name that run.
    """

    name: str
    first: str | None
    taken: tuple[str, ...]

    def command(self, out: Path, seed: int, more: Sequence[str]) -> list[str]:
        """Returns what runs it with a seed."""
        file = f"--flagfile={_FLAGS}/{self.name}.cfg"
        return [sys.executable, "main.py", file, *self.given(out, seed, more)]

    def given(self, out: Path, seed: int, more: Sequence[str]) -> list[str]:
        """Returns its flags beside those of its file."""
        own = {
            "seed": f"{seed}",
            "run_dir": f"{_folder(out, self.name, seed)}",
            **{x: f"{_folder(out, self.first, seed)}" for x in self.taken},
        }
        return [*(f"--{name}={value}" for name, value in own.items()), *more]

    def is_done(self, out: Path, seed: int, more: Sequence[str]) -> bool:
        """Tells whether `out` holds it, finished and with these settings."""
        earlier = Earlier(_folder(out, self.name, seed))
        if not earlier.is_finished or earlier.flags is None:
            return False
        try:
            config = paper_config(self.name, *self.given(out, seed, more))
        except flags.Error:
            # The run itself says in one line what is wrong.
            return False
        return not differences(earlier.flags, parsed_flags(config.flags))


def experiments(table: str, only: Sequence[str]) -> list[Experiment]:
    """Returns experiments, and those that they begin from before them.

    Args:
        table: Beginning of their names.
        only: Patterns of the rest of their names.
    """
    ordered: dict[str, Experiment] = {}
    for path in sorted(_FLAGS.glob(f"{table}_*.cfg")):
        rest = path.stem.removeprefix(f"{table}_")
        if any(fnmatchcase(rest, pattern) for pattern in only):
            ordered |= dict(reversed(list(_with_first(path.stem))))
    return list(ordered.values())


def _with_first(name: str) -> Iterator[tuple[str, Experiment]]:
    """Yields an experiment, and then what must run before it."""
    text = (_FLAGS / f"{name}.cfg").read_text()
    found = _FIRST.search(text)
    first = found[1] if found else None
    yield name, Experiment(name, first, tuple(_FROM.findall(text)))
    if first:
        yield from _with_first(first)


def _folder(out: Path, name: str | None, seed: int) -> Path:
    return out / f"{name}_seed{seed}"


def run_all(
    planned: Sequence[Experiment],
    seeds: Sequence[int],
    out: Path,
    more: Sequence[str],
) -> list[str]:
    """Runs what is not finished; returns the commands that failed."""
    failed = []
    for seed in seeds:
        for experiment in planned:
            if experiment.is_done(out, seed, more):
                continue
            command = experiment.command(out, seed, more)
            print(shlex.join(command[1:]), flush=True)
            if subprocess.run(command).returncode:
                failed.append(shlex.join(["python", *command[1:]]))
    return failed


def report(out: Path) -> int:
    """Writes the report; returns the status of the program."""
    runs = f"--runs={out}/*_seed*"
    target = f"--out={out}/report"
    program = [sys.executable, "main.py", "--mode=report"]
    return subprocess.run([*program, runs, target, "--overwrite"]).returncode


def measure(rounds: int, quick: bool) -> dict[str, Any]:
    """Runs a few experiments of the first table on little data."""
    if not quick:
        raise ValueError(
            "`quick` must be True, as all runs take hours. Run "
            "`python -m benchmarks.suite TABLE --out=OUT` instead. "
            f"Received: quick={quick}"
        )
    planned = experiments(_TABLES[0], _QUICK_ONLY)
    with tempfile.TemporaryDirectory() as folder:
        failed = run_all(planned, [0], Path(folder), _QUICK)
        status = report(Path(folder))
    if failed or status:
        raise RuntimeError(f"These commands failed: {failed or 'the report'}")
    return {"experiments": [x.name for x in planned]}


def show(results: dict[str, Any]) -> None:
    print(f"ran {', '.join(results['experiments'])}, and the report")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", nargs="?", choices=_TABLES)
    parser.add_argument("--only", default="*", help="patterns, as dense,*_99")
    parser.add_argument("--seeds", default="0", help="as 0,1,2")
    parser.add_argument("--out", type=Path, help="folder of the runs")
    parser.add_argument("--quick", action="store_true", help="a few runs")
    arguments = sys.argv[1:]
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    given, more = parser.parse_args(arguments[:cut]), arguments[cut + 1 :]
    if given.quick:
        if len(arguments) > 1:
            parser.error("--quick takes nothing else: no table, no other flag")
        show(measure(1, quick=True))
        return 0
    if not given.table or not given.out:
        parser.error("a table and --out must be given, or --quick")
    if not (seeds := given.seeds.split(",")) or not all(
        seed.isdecimal() for seed in seeds
    ):
        parser.error(f"--seeds must be integers, as 0,1,2, not {given.seeds}")
    planned = experiments(given.table, given.only.split(","))
    if not planned:
        parser.error(f"--only={given.only} matches no file of {given.table}")
    failed = run_all(planned, list(map(int, seeds)), given.out, more)
    status = report(given.out)
    for command in failed:
        print(f"failed: {command}", file=sys.stderr)
    return status or bool(failed)


if __name__ == "__main__":
    sys.exit(main())
