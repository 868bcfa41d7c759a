"""The table of the runs of an experiment: how each was made."""

from collections.abc import Mapping
from typing import Any

from dsr_tf.reports import names
from dsr_tf.reports.experiment import Experiment
from dsr_tf.reports.finished_run import Run
from dsr_tf.reports.groups import Group
from dsr_tf.reports.shown_table import Cell
from dsr_tf.reports.shown_table import Code
from dsr_tf.reports.shown_table import Table
from dsr_tf.reports.texts import visible


def runs(experiment: Experiment) -> Table:
    """Returns a row for each run, with an anchor."""
    every = [(group, run) for group in experiment.groups for run in group.runs]
    return Table(
        f"{experiment.slug}_runs",
        f"Runs: {experiment.title}",
        (
            ("method", False),
            ("settings", False),
            ("kept", True),
            ("seed", True),
            ("test accuracy, %", True),
            ("folder", False),
            ("command", False),
            ("started", False),
            ("versions", False),
            ("time, s", True),
            ("of it moving, s", True),
        ),
        [_shown(group, run) for group, run in every],
        (
            "method",
            "settings",
            "density",
            "seed",
            "accuracy",
            "train_seconds",
            "reallocation_seconds",
            "folder",
            "started",
            "command",
            "versions",
        ),
        [_values(group, run) for group, run in every],
        tuple(run.anchor for _, run in every),
    )


def _shown(group: Group, run: Run) -> list[str]:
    moving = run.summary["reallocation_seconds"]
    folder, started, command, versions = map(str, _values(group, run)[-4:])
    return [
        names.method(group.method),
        group.differing,
        names.kept(group.density),
        str(run.seed),
        f"{run.accuracy:.2f}",
        Code(folder),
        Code(command),
        started,
        versions,
        f"{run.summary['train_seconds']:,.1f}",
        f"{moving:,.1f}" if moving else "",
    ]


def _values(group: Group, run: Run) -> list[Cell]:
    last = run.starts[-1] if run.starts else {}
    return [
        group.method,
        group.differing,
        group.density,
        run.seed,
        round(run.accuracy, 4),
        run.summary["train_seconds"],
        run.summary["reallocation_seconds"],
        visible(str(run.path)),
        "; ".join(map(_started, run.starts)),
        last.get("command", ""),
        "; ".join(dict.fromkeys(map(_versions, run.starts))),
    ]


def _started(start: Mapping[str, Any]) -> str:
    date = start["date"].replace("T", " ").replace("+00:00", " UTC")
    return f"gone on with {date}" if start["resumes"] else date


def _versions(start: Mapping[str, Any]) -> str:
    return ", ".join(f"{x} {y}" for x, y in start["versions"].items())
