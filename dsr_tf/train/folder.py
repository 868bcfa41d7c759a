"""The folder that a run writes."""

import json
import os
from pathlib import Path
from typing import Any

FLAGS = "flags.cfg"
INITIAL = "initial.keras"
METRICS = "metrics.csv"
MODEL = "model.keras"
SUMMARY = "summary.json"


class RunFolder:
    """Files of one run. The summary comes last, and makes it finished.

    Args:
        path: Folder, made if it is not there.
        overwrite: Whether the files of a finished run may be replaced.

    Raises:
        ValueError: If the folder holds a finished run and `overwrite` is
            False, or if it is a file.
    """

    def __init__(self, path: str | Path, overwrite: bool = False) -> None:
        self.path = Path(path)
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(
                f"`run_dir` must be a folder. Received: run_dir={path}, a file"
            )
        if (self.path / SUMMARY).exists() and not overwrite:
            raise ValueError(
                "`run_dir` must not hold a finished run. Add --overwrite to "
                "replace it, or name another --run_dir. "
                f"Received: run_dir={path}"
            )

    def begin(self, flags: str) -> None:
        """Makes the folder, takes old files of a run away, writes the flags."""
        self.path.mkdir(parents=True, exist_ok=True)
        for name in (SUMMARY, INITIAL, MODEL, METRICS):
            (self.path / name).unlink(missing_ok=True)
        self.write_text(FLAGS, flags)

    def write_text(self, name: str, text: str) -> None:
        """Writes a file beside its place, then moves it there, whole."""
        partial = self.path / f".{name}.partial"
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, self.path / name)

    def write_model(self, model: Any, name: str = MODEL) -> None:
        """Saves a Keras model beside its place, then moves it there, whole."""
        partial = self.path / f".partial.{name}"
        model.save(partial)
        os.replace(partial, self.path / name)

    def finish(self, summary: dict[str, Any]) -> None:
        """Writes the summary: from here on the run counts as finished."""
        self.write_text(SUMMARY, json.dumps(summary, indent=2) + "\n")
