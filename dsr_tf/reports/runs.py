"""Finished runs, read from their folders."""

import csv
import glob
import json
import math
from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsr_tf.runs.folder import FLAGS
from dsr_tf.runs.folder import METRICS
from dsr_tf.runs.folder import SUMMARY
from dsr_tf.runs.folder import parsed_flags

_TEXTS = ("dataset", "model", "method")
_COUNTS = (
    "seed",
    "epochs",
    "budget",
    "num_active",
    "num_weights",
    "model_parameters",
    "reallocations",
    "weights_moved",
)
_POSITIVE = ("epochs", "model_parameters", "train_seconds")
_NUMBERS = ("test_accuracy", "train_seconds", "reallocation_seconds")
# Flags that are read as numbers.
_NUMERIC = ("depth", "width", "image_size", "train_examples", "stop_epoch")


@dataclass(frozen=True)
class Run:
    """A finished run.

    Args:
        path: Its folder.
        settings: Flags by name, as text.
        summary: The contents of `summary.json`.
        metrics: The numbers of each epoch, by name.
    """

    path: Path
    settings: Mapping[str, str]
    summary: Mapping[str, Any]
    metrics: tuple[Mapping[str, float], ...]

    @property
    def seed(self) -> int:
        return int(self.summary["seed"])

    @property
    def accuracy(self) -> float:
        """Accuracy on the test set after the last epoch, in percent."""
        return 100 * float(self.summary["test_accuracy"])


@dataclass(frozen=True)
class LeftOut:
    """A folder that is not in the report, and why."""

    path: Path
    reason: str


def read_runs(patterns: str) -> tuple[list[Run], list[LeftOut]]:
    """Reads the finished runs among some folders.

    Args:
        patterns: Folders, separated by commas; `*`, `?` and `[]` match as in
            a shell. Files are ignored, unless they are named without a pattern.

    Returns:
        The runs, and the folders that hold no finished run.

    Raises:
        ValueError: If no folder matches, or none holds a finished run.
    """
    runs: list[Run] = []
    left_out = []
    for path in _folders(patterns):
        try:
            runs.append(_if_new(_read(path), runs))
        # A folder may hold anything. What cannot be read is listed.
        except (ValueError, OSError, csv.Error, RecursionError) as error:
            left_out.append(LeftOut(path, " ".join(str(error).split())))
    if not runs:
        reasons = "; ".join(f"{x.path}: {x.reason}" for x in left_out)
        raise ValueError(
            "`runs` must match the folder of a finished run. "
            f"Received: runs={patterns}, "
            + (f"where {reasons}" if reasons else "which matches no folder")
        )
    return runs, left_out


def _folders(patterns: str) -> list[Path]:
    found: dict[Path, Path] = {}
    for pattern in filter(None, map(str.strip, patterns.split(","))):
        for name in sorted(glob.glob(pattern)):
            path = Path(name)
            if path.is_dir() or name == pattern:
                found.setdefault(path.resolve(), path)
    return list(found.values())


def _if_new(run: Run, others: Iterable[Run]) -> Run:
    """Returns a run, unless another has the same flags and seed."""
    for other in others:
        if run.settings == other.settings:
            raise ValueError(f"the same flags and seed as {other.path}")
    return run


def _read(path: Path) -> Run:
    if not path.is_dir():
        raise ValueError("not a folder")
    has_flags = (path / FLAGS).is_file()
    if not (path / SUMMARY).is_file():
        raise ValueError(_unfinished(path) if has_flags else "not a run")
    if not has_flags:
        raise ValueError(f"not a run: it has no {FLAGS}")
    summary = _read_summary(path)
    flags = parsed_flags((path / FLAGS).read_text(encoding="utf-8"))
    settings = dict(map(_setting, flags.items()))
    for name in _TEXTS + ("seed", "epochs"):
        if settings.get(name) != str(summary[name]):
            raise ValueError(
                f"damaged: {name} is {settings.get(name)} in {FLAGS} and "
                f"{summary[name]} in {SUMMARY}"
            )
    _check_settings(settings)
    metrics = _read_metrics(path)
    if len(metrics) != summary["epochs"]:
        raise ValueError(
            f"damaged: {METRICS} holds {len(metrics)} of "
            f"{summary['epochs']} epochs"
        )
    return Run(path, settings, summary, metrics)


def _check_settings(settings: Mapping[str, str]) -> None:
    for name in set(_NUMERIC).intersection(settings):
        try:
            float(settings[name])
        except ValueError as error:
            raise ValueError(f"damaged: {FLAGS} has no valid {name}") from error


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
    text = (path / SUMMARY).read_text(encoding="utf-8")
    try:
        summary = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"damaged: {SUMMARY} is not JSON") from error
    wrong = _wrong_field(summary)
    if wrong:
        raise ValueError(f"damaged: {SUMMARY} has no valid `{wrong}`")
    return summary


def _wrong_field(summary: Any) -> str | None:
    """Names the first field that is missing or of a wrong type or range."""
    if not isinstance(summary, dict):
        return "dataset"
    layers = summary.get("layers")
    valid: dict[str, bool] = {
        **{name: isinstance(summary.get(name), str) for name in _TEXTS},
        **{name: _is_count(summary.get(name)) for name in _COUNTS},
        **{name: _is_number(summary.get(name)) for name in _NUMBERS},
        "layers": isinstance(layers, list) and all(map(_is_layer, layers)),
    }
    if all(valid.values()):
        valid = {
            "test_accuracy": summary["test_accuracy"] <= 1,
            "budget": summary["budget"] > 0 or not summary["num_weights"],
            **{name: summary[name] > 0 for name in _POSITIVE},
        }
    return next((name for name in valid if not valid[name]), None)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and value >= 0


def _is_number(value: Any) -> bool:
    number = isinstance(value, int | float)
    return number and math.isfinite(value) and value >= 0


def _is_layer(layer: Any) -> bool:
    if not isinstance(layer, dict) or not isinstance(layer.get("shape"), list):
        return False
    size = (
        math.prod(layer["shape"]) if all(map(_is_count, layer["shape"])) else 0
    )
    counts = [layer.get("num_active"), layer.get("num_active_at_start", 0)]
    within = all(_is_count(count) and count <= size for count in counts)
    return isinstance(layer.get("name"), str) and size > 0 and within


def _read_metrics(path: Path) -> tuple[dict[str, float], ...]:
    with (path / METRICS).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    try:
        metrics = tuple(
            {name: float(text) for name, text in row.items()} for row in rows
        )
        valid = all(
            0 <= row["val_accuracy"] <= 1 and row.get("weights_moved", 0) >= 0
            for row in metrics
        )
    except (TypeError, ValueError, AttributeError, KeyError):
        valid = False
    if not valid:
        raise ValueError(f"damaged: {METRICS} holds no valid numbers")
    return metrics
