"""The folder that a run writes."""

import csv
import json
from pathlib import Path
from typing import Any

from dsr_tf.files import remove
from dsr_tf.files import replacing
from dsr_tf.methods.records import find
from dsr_tf.methods.records import records
from dsr_tf.methods.settings import settings_of

BEST = "best.keras"
CHECKPOINTS = "checkpoints"
FLAGS = "flags.cfg"
INITIAL = "initial.keras"
METRICS = "metrics.csv"
MODEL = "model.keras"
SUMMARY = "summary.json"
TENSORBOARD = "tensorboard"


class RunFolder:
    """The files of one run. A run with a summary, the last file, is finished.

    Args:
        path: Folder; it is made if it does not exist.
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
            # Of a run that was killed between its last two steps.
            self.remove_checkpoints()
            raise ValueError(
                "`run_dir` must not hold a finished run. Add --overwrite to "
                "replace it, or name another --run_dir. "
                f"Received: run_dir={path}"
            )

        self._overwrite = overwrite

    def resumes(self, flags: str) -> bool:
        """Tells whether an unfinished run here is to be resumed.

        Args:
            flags: Settings of the run, in the form of `flags.cfg`.

        Raises:
            ValueError: If the unfinished run had other settings, and
                `overwrite` is False.
        """
        finished = (self.path / SUMMARY).exists()
        checkpoints = self.path / CHECKPOINTS
        if finished or not any(checkpoints.glob("*.index")):
            return False
        written = self.path / FLAGS
        old = written.read_text(encoding="utf-8") if written.exists() else ""
        differing = _differences(old, flags)
        if differing and not self._overwrite:
            raise ValueError(
                "`run_dir` must not hold an unfinished run with other flags. "
                "Give its flags to resume it, add --overwrite to replace it, "
                f"or name another --run_dir. Received: run_dir={self.path} "
                f"with {', '.join(differing)}"
            )
        return not differing

    def begin(self, flags: str) -> None:
        """Makes the folder, removes old files of a run, writes the flags."""
        self.path.mkdir(parents=True, exist_ok=True)
        # The summary first: without it, what is left is unfinished.
        for name in (SUMMARY, FLAGS, INITIAL, MODEL, BEST, METRICS):
            (self.path / name).unlink(missing_ok=True)
        remove(self.path / TENSORBOARD)
        self.remove_checkpoints()
        self.write_text(FLAGS, flags)

    def remove_checkpoints(self) -> None:
        """Removes the checkpoints, which a finished run does not need."""
        # Of a symbolic link the link alone.
        remove(self.path / CHECKPOINTS)

    def metrics(self) -> list[dict[str, str]]:
        """Returns the rows of the metrics file, one for each epoch."""
        path = self.path / METRICS
        if not path.exists():
            return []
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def cut_metrics(self, num_epochs: int) -> None:
        """Removes all rows except those of the first epochs."""
        path = self.path / METRICS
        if path.exists():
            # Bytes, as the line ends are those of CSV.
            lines = path.read_bytes().splitlines(keepends=True)
            kept = b"".join(lines[: num_epochs + 1]).decode()
            self.write_text(METRICS, kept)

    def write_text(self, name: str, text: str) -> None:
        """Writes a text file in one step."""
        with replacing(self.path / name) as partial:
            partial.write_text(text, encoding="utf-8")

    def write_model(self, model: Any, name: str = MODEL) -> None:
        """Saves a Keras model in one step."""
        with replacing(self.path / name) as partial:
            model.save(partial)

    def finish(self, summary: dict[str, Any]) -> None:
        """Writes the summary, which marks the run as finished."""
        self.write_text(SUMMARY, json.dumps(summary, indent=2) + "\n")
        self.remove_checkpoints()


def _differences(old: str, new: str) -> list[str]:
    """Lists the flags that differ between two flagfiles."""
    before, after = parsed_flags(old), parsed_flags(new)
    return [
        f"{name}={before.get(name, '(not given)')} there and "
        f"{after.get(name, '(not given)')} here"
        for name in sorted(before | after)
        if before.get(name) != after.get(name)
    ]


def parsed_flags(flagfile: str) -> dict[str, str]:
    """Returns the flags of a run by name, dashes included, as text.

    Settings of other methods are left out; flag files of older runs have them.
    """
    lines = [x for x in flagfile.splitlines() if x.startswith("--")]
    pairs = [line.partition("=") for line in lines]
    flags = {name: value for name, _, value in pairs}
    unused = _unused_flags(flags.get("--method", ""))
    return {name: x for name, x in flags.items() if name not in unused}


def _unused_flags(method: str) -> set[str]:
    """Returns the flags of settings that a method does not have."""
    record = find(method)
    if record is None:
        return set()
    own = {x.name for x in settings_of(record.settings)}
    known = {x.name for r in records() for x in settings_of(r.settings)}
    return {f"--{no}{name}" for name in known - own for no in ("", "no")}
