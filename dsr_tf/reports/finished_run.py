"""One finished run, read from its folder."""

import csv
import io
import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsr_tf.reports.fields import TEXTS
from dsr_tf.reports.fields import is_row
from dsr_tf.reports.fields import wrong_field
from dsr_tf.reports.fields import wrong_setting
from dsr_tf.reports.texts import visible
from dsr_tf.runs.earlier import FLAGS
from dsr_tf.runs.earlier import METRICS
from dsr_tf.runs.earlier import SUMMARY
from dsr_tf.runs.flagfile import parsed_flags
from dsr_tf.runs.history import read_history

# Far above what a run writes.
_MOST_BYTES = 2**28


@dataclass(frozen=True)
class Run:
    """A finished run.

    Args:
        path: Its folder.
        settings: Flags by name, as text.
        summary: The contents of `summary.json`.
        metrics: The numbers of each epoch, by name.
        starts: What its history says of each start; older runs have none.
        anchor: What leads to it in a page.
    """

    path: Path
    settings: Mapping[str, str]
    summary: Mapping[str, Any]
    metrics: tuple[Mapping[str, float], ...]
    starts: tuple[Mapping[str, Any], ...] = ()
    anchor: str = ""

    @property
    def seed(self) -> int:
        return int(self.summary["seed"])

    @property
    def accuracy(self) -> float:
        """Accuracy on the test set after the last epoch, in percent."""
        return 100 * float(self.summary["test_accuracy"])


def read_run(path: Path) -> Run:
    """Reads a finished run; all its texts can be shown in one line.

    Args:
        path: A folder, which may hold anything.

    Raises:
        ValueError: If it holds no finished run, or a damaged one.
        OSError: If a file cannot be read.
    """
    if not path.is_dir():
        raise ValueError("not a folder")
    has_flags = (path / FLAGS).is_file()
    if not (path / SUMMARY).is_file():
        raise ValueError(_unfinished(path) if has_flags else "not a run")
    if not has_flags:
        raise ValueError(f"not a run: it has no {FLAGS}")
    summary = _read_summary(path)
    settings = _read_settings(path, summary)
    metrics = _read_metrics(path)
    if len(metrics) != summary["epochs"]:
        raise ValueError(
            f"damaged: {METRICS} holds {len(metrics)} of "
            f"{summary['epochs']} epochs"
        )
    shown = {visible(name): visible(x) for name, x in settings.items()}
    starts = tuple(map(_shown_start, read_history(path)))
    return Run(path, shown, _shown(summary), metrics, starts)


def _shown(summary: dict[str, Any]) -> dict[str, Any]:
    texts = {name: visible(summary[name]) for name in TEXTS}
    layers = [{**x, "name": visible(x["name"])} for x in summary["layers"]]
    return {**summary, **texts, "layers": layers}


def _shown_start(start: Mapping[str, Any]) -> dict[str, Any]:
    versions = {
        visible(name): visible(x) for name, x in start["versions"].items()
    }
    command = start.get("command") or ""
    date = visible(start["date"])
    shown = {"date": date, "command": visible(command), "versions": versions}
    return {**start, **shown}


def _read_text(path: Path) -> str:
    """Reads a file; what is no file could keep a reader waiting for ever."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"damaged: {path.name} is not a file")
    if found.st_size > _MOST_BYTES:
        raise ValueError(f"damaged: {path.name} is too large")
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"damaged: {path.name}: {error}") from error


def _read_settings(path: Path, summary: Mapping[str, Any]) -> dict[str, str]:
    text = _read_text(path / FLAGS)
    if "\0" in text:
        # No path has one, and several flags are paths.
        raise ValueError(f"damaged: {FLAGS} is not a text")
    settings = dict(map(_setting, parsed_flags(text).items()))
    for name in TEXTS + ("seed", "epochs"):
        if settings.get(name) != str(summary[name]):
            raise ValueError(
                f"damaged: {name} is {settings.get(name)} in {FLAGS} and "
                f"{summary[name]} in {SUMMARY}"
            )
    wrong = wrong_setting(settings)
    if wrong:
        raise ValueError(f"damaged: {FLAGS} has no valid {wrong}")
    return settings


def _setting(flag: tuple[str, str]) -> tuple[str, str]:
    name, value = flag[0].removeprefix("--"), flag[1]
    if value:
        return name, value
    # A flag without a value is a switch.
    is_off = name.startswith("no")
    return name.removeprefix("no"), "false" if is_off else "true"


def _unfinished(path: Path) -> str:
    try:
        return f"unfinished, after {len(_read_metrics(path))} epochs"
    except (ValueError, OSError, csv.Error):
        return "unfinished"


def _read_summary(path: Path) -> dict[str, Any]:
    text = _read_text(path / SUMMARY)
    try:
        summary = json.loads(text)
    # Also of a number with too many digits.
    except ValueError as error:
        raise ValueError(f"damaged: {SUMMARY} is not JSON") from error
    wrong = wrong_field(summary)
    if wrong:
        raise ValueError(f"damaged: {SUMMARY} has no valid `{wrong}`")
    return summary


def _read_metrics(path: Path) -> tuple[dict[str, float], ...]:
    file = io.StringIO(_read_text(path / METRICS), newline="")
    reader = csv.DictReader(file)
    rows = list(reader)
    names = reader.fieldnames or []
    try:
        metrics = tuple(
            {name: float(text) for name, text in row.items()} for row in rows
        )
        valid = all(map(is_row, metrics)) and len(set(names)) == len(names)
    except (TypeError, ValueError):
        valid = False
    if not valid:
        raise ValueError(f"damaged: {METRICS} holds no valid numbers")
    return metrics
