"""Finished runs, found by the names of their folders."""

import glob
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dsr_tf.checks import checked_kind
from dsr_tf.reports.finished_run import Run
from dsr_tf.reports.finished_run import read_run
from dsr_tf.reports.texts import visible

_NO_MATCH = "matches no folder"


@dataclass(frozen=True)
class LeftOut:
    """A folder that is not in the report, and why.

    Args:
        path: The folder.
        reason: What is wrong with it, in one line.
    """

    path: Path
    reason: str

    @property
    def name(self) -> str:
        """Its path, in one line."""
        return visible(str(self.path))


def read_runs(patterns: str) -> tuple[list[Run], list[LeftOut]]:
    """Reads the finished runs among some folders.

    Args:
        patterns: Folders, separated by commas; `*`, `?` and `[]` match as in
            a shell, except in names that exist as they are written. Files are
            ignored, unless they are named without a pattern.

    Returns:
        The runs, and the folders that hold no finished run.

    Raises:
        ValueError: If no folder matches, or none holds a finished run.
    """
    patterns = str(checked_kind("runs", patterns, str | Path, "a text"))
    runs: list[Run] = []
    paths, left_out = _folders(patterns)
    for path in paths:
        try:
            runs.append(_if_new(read_run(path), runs))
        # Broad, as a folder may hold anything. What cannot be read is listed.
        except Exception as error:
            left_out.append(LeftOut(path, _reason(error)))
    if not runs:
        reasons = "; ".join(f"{x.name}: {x.reason}" for x in left_out)
        raise ValueError(
            "`runs` must match the folder of a finished run. "
            f"Received: runs={visible(patterns)}, "
            + (f"where {reasons}" if reasons else f"which {_NO_MATCH}")
        )
    return runs, left_out


def _reason(error: Exception) -> str:
    """Returns an error in one line, which is not longer than a few."""
    text = visible(" ".join(str(error).split())) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:299]}…"


def _folders(patterns: str) -> tuple[list[Path], list[LeftOut]]:
    """Returns each folder once, and the patterns that match none."""
    found: dict[str, Path] = {}
    unmatched = []
    for pattern in filter(None, map(str.strip, _parts(patterns))):
        names = sorted(glob.glob(_literal_first(pattern)))
        named = [x for x in names if os.path.isdir(x) or x == pattern]
        for name in named:
            found.setdefault(os.path.realpath(name), Path(name))
        if not named:
            unmatched.append(LeftOut(Path(pattern), _NO_MATCH))
    return list(found.values()), unmatched


def _parts(patterns: str) -> list[str]:
    """Returns what is between commas, unless a folder is named with them."""
    if "\0" in patterns:
        # No path has one.
        return []
    return [patterns] if os.path.isdir(patterns) else patterns.split(",")


def _literal_first(pattern: str) -> str:
    """Returns a pattern whose first names match what they spell, if it exists.

    So `runs/a[1]` is the folder `a[1]`, where there is one.
    """
    head, rest = pattern, ""
    while head and not os.path.lexists(head):
        parent, name = os.path.split(head.rstrip(os.sep))
        head, rest = parent, os.path.join(name, rest) if rest else name
    return os.path.join(glob.escape(head), rest) if rest else glob.escape(head)


def _if_new(run: Run, others: Iterable[Run]) -> Run:
    """Returns a run, unless another has the same flags and seed."""
    for other in others:
        if run.settings == other.settings:
            raise ValueError(f"the same flags and seed as {other.path}")
    return run
