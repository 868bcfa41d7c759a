"""The folder that a run writes."""

import csv
import json
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock
from filelock import Timeout

from dsr_tf.callbacks import checkpoint_files
from dsr_tf.files import remove
from dsr_tf.files import replacing
from dsr_tf.runs.flagfile import differences
from dsr_tf.runs.flagfile import is_longer
from dsr_tf.runs.flagfile import of_shares
from dsr_tf.runs.flagfile import parsed_flags

BEST = "best.keras"
CHECKPOINTS = "checkpoints"
FLAGS = "flags.cfg"
INITIAL = "initial.keras"
LOCK = ".lock"
METRICS = "metrics.csv"
MODEL = "model.keras"
SUMMARY = "summary.json"
TENSORBOARD = "tensorboard"


class RunFolder:
    """The files of one run. A run with a summary, the last file, is finished.

    Args:
        path: Folder; it is made if it does not exist.
        overwrite: Whether the files of another run may be replaced.

    Raises:
        ValueError: If it is a file.
    """

    def __init__(self, path: str | Path, overwrite: bool = False) -> None:
        self.path = Path(path)
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(
                f"`run_dir` must be a folder. Received: run_dir={path}, a file"
            )
        self._overwrite = overwrite
        self._lock = FileLock(self.path / LOCK)

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Keeps other processes out, if there is something to keep.

        A folder that does not exist yet is locked when it is made.

        Raises:
            ValueError: If another process has it.
        """
        try:
            if self.path.exists():
                self._acquire()
            yield
        finally:
            self._lock.release()

    def _acquire(self) -> None:
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            raise ValueError(
                "`run_dir` must not be in use by another run. Wait until that "
                "has ended, or name another --run_dir. "
                f"Received: run_dir={self.path}"
            ) from None

    def resumes(self, flags: str, by_share: Sequence[str] = ()) -> bool:
        """Tells whether an earlier run here is to go on.

        That is an unfinished run of the same flags, or any run of fewer epochs
        and otherwise the same flags.

        Args:
            flags: Settings of the run, in the form of `flags.cfg`.
            by_share: Names of the settings that are shares of the training, and
                so would be others with more epochs.

        Raises:
            ValueError: If the folder holds another run, or a finished one, and
                `overwrite` is False, or what is there cannot be read.
        """
        finished = (self.path / SUMMARY).exists()
        has_checkpoint = checkpoint_files.has_checkpoint(
            self.path / CHECKPOINTS
        )
        if not finished and not has_checkpoint:
            return False
        if finished and self._overwrite:
            return False
        there, here = self._flags_there(), parsed_flags(flags)
        differing = differences(there, here)
        longer = is_longer(there, here)
        if longer and list(differing) == ["--epochs"] and not by_share:
            self._check_goes_on(has_checkpoint)
            return True
        if differing and not self._overwrite:
            more = " train it further, with more --epochs"
            raise ValueError(
                f"`run_dir` must not hold {'a ' if finished else 'an un'}"
                "finished run with other flags. Give its flags to"
                f"{more if finished else ' resume it'}, add --overwrite to "
                "replace it, or name another --run_dir. Received: "
                f"run_dir={self.path} with {', '.join(differing.values())}"
                + of_shares(by_share if longer else ())
            )
        if finished:
            # Of a run that was killed between its last two steps.
            self._keep_last_checkpoint()
            raise ValueError(
                "`run_dir` must not hold a finished run. Give more --epochs to "
                "train it further, add --overwrite to replace it, or name "
                f"another --run_dir. Received: run_dir={self.path}"
            )
        if not differing:
            self._check_goes_on(has_checkpoint)
        return not differing

    def _flags_there(self) -> dict[str, str]:
        path = self.path / FLAGS
        try:
            return parsed_flags(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            if self._overwrite:
                return {}
            raise ValueError(
                f"`run_dir` must hold a run with readable flags. Add "
                f"--overwrite to replace it, or name another --run_dir. "
                f"Received: run_dir={self.path}, whose {FLAGS} cannot be read "
                f"({error})"
            ) from error

    def _check_goes_on(self, has_checkpoint: bool) -> None:
        """Refuses to go on where that would fail, or write elsewhere."""
        if not has_checkpoint:
            raise ValueError(
                "`run_dir` must hold a checkpoint, so that its run can go on. "
                "Add --overwrite to replace it, or name another --run_dir. "
                f"Received: run_dir={self.path}, without a checkpoint"
            )
        for name in (CHECKPOINTS, TENSORBOARD, METRICS):
            if (self.path / name).is_symlink():
                raise ValueError(
                    "`run_dir` must hold its files itself, so that its run can "
                    "go on. Replace the link by what it leads to. "
                    f"Received: {self.path / name}, a link"
                )

    def begin(self, flags: str) -> None:
        """Makes the folder, removes old files of a run, writes the flags.

        Raises:
            ValueError: If another run has begun there meanwhile.
        """
        if not self._lock.is_locked:
            self.path.mkdir(parents=True, exist_ok=True)
            self._acquire()
            if self.resumes(flags):
                raise ValueError(
                    "`run_dir` must not be in use by another run. "
                    f"Received: run_dir={self.path}, where one has just begun"
                )
        # The summary first: without it, what is left is unfinished.
        for name in (SUMMARY, FLAGS, INITIAL, MODEL, BEST, METRICS):
            remove(self.path / name)
        # Of symbolic links the link alone.
        remove(self.path / TENSORBOARD)
        remove(self.path / CHECKPOINTS)
        self.write_text(FLAGS, flags)

    def go_on(self, flags: str, num_rows: int | None) -> None:
        """Prepares the files of a run for more epochs.

        To be called once it is known that the run can go on.

        Args:
            flags: Settings of the run.
            num_rows: Rows of metrics to keep; None where a checkpoint brings
                back the rows themselves.

        Raises:
            ValueError: If there are fewer rows.
        """
        if num_rows is None:
            # What is no text, nobody could read before.
            if self._metric_lines() is None:
                self.write_text(METRICS, "")
        else:
            self._cut_metrics(num_rows)
        (self.path / SUMMARY).unlink(missing_ok=True)
        self.write_text(FLAGS, flags)

    def _keep_last_checkpoint(self) -> None:
        """Removes the checkpoints that a finished run does not need."""
        checkpoint_files.keep_newest(self.path / CHECKPOINTS, keep=1)

    def metrics(self) -> list[dict[str, str]]:
        """Returns the rows of the metrics file, one for each epoch."""
        path = self.path / METRICS
        if not path.exists():
            return []
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def _cut_metrics(self, num_epochs: int) -> None:
        """Removes all rows except those of the first epochs."""
        lines = self._metric_lines() or []
        if num_epochs and len(lines) <= num_epochs:
            raise ValueError(
                f"{METRICS} must hold a row for each epoch, so that the run "
                "can go on: its checkpoint, of an older version, holds no "
                f"rows. Received: {self.path / METRICS} with "
                f"{max(0, len(lines) - 1)} of {num_epochs} rows"
            )
        self.write_text(METRICS, "".join(lines[: num_epochs + 1]))

    def _metric_lines(self) -> list[str] | None:
        """Returns the lines of the metrics file; None if it is no text."""
        try:
            # Bytes, as the line ends are those of CSV.
            text = (self.path / METRICS).read_bytes().decode()
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError):
            return None
        return text.splitlines(keepends=True)

    def write_text(self, name: str, text: str) -> None:
        """Writes a text file in one step."""
        with replacing(self.path / name) as partial:
            partial.write_bytes(text.encode())

    def write_model(self, model: Any, name: str = MODEL) -> None:
        """Saves a Keras model in one step."""
        with replacing(self.path / name) as partial:
            model.save(partial)

    def finish(self, summary: dict[str, Any]) -> None:
        """Writes the summary, which marks the run as finished.

        The last checkpoint stays, for more epochs.
        """
        self.write_text(SUMMARY, json.dumps(summary, indent=2) + "\n")
        self._keep_last_checkpoint()
