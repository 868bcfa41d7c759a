"""The folder that a run writes."""

import csv
import json
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock
from filelock import Timeout

from dsr_tf.callbacks import checkpoint_files
from dsr_tf.files import remove
from dsr_tf.files import replacing
from dsr_tf.runs.earlier import CHECKPOINTS
from dsr_tf.runs.earlier import DATA
from dsr_tf.runs.earlier import FLAGS
from dsr_tf.runs.earlier import HISTORY
from dsr_tf.runs.earlier import METRICS
from dsr_tf.runs.earlier import MODEL
from dsr_tf.runs.earlier import NAMES
from dsr_tf.runs.earlier import SUMMARY
from dsr_tf.runs.earlier import TENSORBOARD
from dsr_tf.runs.earlier import Earlier
from dsr_tf.runs.exported import exports
from dsr_tf.runs.flagfile import differences
from dsr_tf.runs.flagfile import is_longer
from dsr_tf.runs.flagfile import parsed_flags
from dsr_tf.runs.history import read_history

LOCK = ".lock"


class RunFolder:
    """The files of one run. A run with a summary, the last file, is finished.

    Args:
        path: Folder; it is made if it does not exist.
        overwrite: Whether what is there may be replaced.

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
                "`run_dir` is in use by another process. Wait until "
                "that has ended, or name another --run_dir. "
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
        earlier = Earlier(self.path)
        if not earlier.found:
            self._check_is_free()
            return False
        if self._overwrite and (earlier.is_finished or earlier.flags is None):
            return False
        there = self._flags_of(earlier)
        differing = differences(there, parsed_flags(flags))
        longer = is_longer(there, parsed_flags(flags))
        grows = longer and list(differing) == ["--epochs"] and not by_share
        if differing and not grows:
            if self._overwrite:
                return False
            if longer and by_share and list(differing) == ["--epochs"]:
                raise self._of_other_length(by_share, differing["--epochs"])
            raise self._other(earlier, ", ".join(differing.values()))
        if earlier.is_finished and not grows:
            # Of a run that was killed between its last two steps.
            self._keep_last_checkpoint()
            raise ValueError(
                "`run_dir` already holds a finished run. Give more --epochs to "
                "train it further, add --overwrite to replace it, or name "
                f"another --run_dir. Received: run_dir={self.path}"
            )
        if not earlier.has_checkpoint and SUMMARY not in earlier.found:
            # Stopped before its first checkpoint.
            return False
        self._check_goes_on(earlier)
        return True

    def earlier_epochs(self, default: int) -> int:
        """Returns the epochs of the run that is here and is to go on.

        Args:
            default: What is returned where its flags do not say.
        """
        flags = self._flags_of(Earlier(self.path))
        return int(flags.get("--epochs", default))

    def _check_is_free(self) -> None:
        """Refuses a folder of folders, such as a data set."""
        folders = [x.name for x in self.path.glob("[!.]*") if x.is_dir()]
        if folders:
            raise ValueError(
                "`run_dir` must be a new folder, or that of a run. Name "
                f"another --run_dir. Received: run_dir={self.path}, which "
                f"holds no run, and {len(folders)} folders such as "
                f"{min(folders)}"
            )

    def _flags_of(self, earlier: Earlier) -> dict[str, str]:
        if earlier.flags is None:
            raise ValueError(
                "`run_dir` must be a new folder, or that of a run. Name "
                "another --run_dir, or add --overwrite to replace what is "
                f"there. Received: run_dir={self.path} with "
                f"{', '.join(earlier.found)}, and {earlier.problem}"
            )
        return earlier.flags

    def _of_other_length(
        self, by_share: Sequence[str], differing: str
    ) -> ValueError:
        names = ", ".join(f"--{name}" for name in by_share)
        return ValueError(
            "`run_dir` must hold a run whose settings do not follow the length "
            "of the training, so that more --epochs can go on. Begin another "
            "with its weights by --init_from, or add --overwrite. Received: "
            f"run_dir={self.path} with {differing}, and settings that follow "
            f"it: {names}"
        )

    def _other(self, earlier: Earlier, differing: str) -> ValueError:
        kind, use = "an unfinished", "resume it"
        if earlier.is_finished:
            kind, use = "a finished", "train it further, with more --epochs"
        return ValueError(
            f"`run_dir` already holds {kind} run with other flags. Give its "
            f"flags to {use}, add --overwrite to replace it, or name another "
            f"--run_dir. Received: run_dir={self.path} with {differing}"
        )

    def _check_goes_on(self, earlier: Earlier) -> None:
        """Refuses to go on where that would fail, or write elsewhere."""
        if not earlier.has_checkpoint:
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

    def write_data(self, facts: Mapping[str, str]) -> None:
        """Writes what tells the user's own data from others, by name."""
        self.write_text(DATA, json.dumps(facts, indent=2) + "\n")

    def check_data(self, facts: Mapping[str, str]) -> None:
        """Refuses to go on with other data than the run began with.

        Args:
            facts: What tells the data from others, by name.

        Raises:
            ValueError: With what differs, if something does.
        """
        try:
            before = json.loads((self.path / DATA).read_text("utf-8"))
        # Its flags name the same data; that is all there is to know.
        except (OSError, ValueError):
            return
        differing = [
            f"{name} was {before.get(name)} and is {value}"
            for name, value in facts.items()
            if before.get(name) != value
        ]
        if differing:
            raise ValueError(
                "`dataset` must hold what it held when the run began. Put that "
                "back, add --overwrite to begin anew, or name another "
                f"--run_dir. Received: run_dir={self.path}, where "
                f"{'; '.join(differing)}"
            )

    def begin(self, flags: str) -> None:
        """Makes the folder, removes old files of a run, writes the flags.

        Raises:
            ValueError: If another run has begun there meanwhile.
        """
        if not self._lock.is_locked:
            self._make()
            self._acquire()
            if self.resumes(flags):
                raise ValueError(
                    "`run_dir` is in use by another run. "
                    f"Received: run_dir={self.path}, where one has just begun"
                )
        # What was exported is of another network, too.
        for path in (*exports(self.path), *(self.path / x for x in NAMES)):
            # Of symbolic links the link alone.
            remove(path)
        self.write_text(FLAGS, flags)

    def _make(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(
                "`run_dir` must be a folder that can be made. "
                f"Received: run_dir={self.path} ({error.strerror})"
            ) from error

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

    def add_start(self, start: Mapping[str, Any]) -> None:
        """Adds the start of a process to the history of the run."""
        starts = [*read_history(self.path), start]
        self.write_text(HISTORY, json.dumps(starts, indent=2) + "\n")

    def _keep_last_checkpoint(self) -> None:
        """Removes the checkpoints that a finished run does not need."""
        # What a link leads to is not the run's.
        if not (self.path / CHECKPOINTS).is_symlink():
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
