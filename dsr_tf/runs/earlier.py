"""What a run folder holds from before."""

import json
import os
from pathlib import Path

from dsr_tf.callbacks import checkpoint_files
from dsr_tf.runs.flagfile import parsed_flags

BEST = "best.keras"
CHECKPOINTS = "checkpoints"
DATA = "data.json"
FLAGS = "flags.cfg"
HISTORY = "history.json"
INITIAL = "initial.keras"
METRICS = "metrics.csv"
MODEL = "model.keras"
SUMMARY = "summary.json"
TENSORBOARD = "tensorboard"
# All that a run writes, and a new one removes. The summary first: without it,
# what is left is unfinished; the flags last: they say what it is.
NAMES = (
    *(SUMMARY, INITIAL, MODEL, BEST, METRICS, TENSORBOARD, CHECKPOINTS, DATA),
    HISTORY,
    FLAGS,
)


class Earlier:
    """What a run folder holds from before.

    Args:
        path: Folder; it need not exist.

    Attributes:
        found: Names of the files and folders of a run that are there.
        has_checkpoint: Whether there is a checkpoint, of whatever quality.
        is_finished: Whether the run is finished.
        flags: Its flags; None if they are missing or cannot be read.
        problem: Why there are no flags.
    """

    def __init__(self, path: Path) -> None:
        self.found = [x for x in NAMES if os.path.lexists(path / x)]
        self.has_checkpoint = checkpoint_files.has_checkpoint(
            path / CHECKPOINTS
        )
        self.is_finished = (path / MODEL).is_file() and _is_summary(
            path / SUMMARY
        )
        self.flags: dict[str, str] | None = None
        self.problem = f"no {FLAGS}"
        try:
            self.flags = parsed_flags((path / FLAGS).read_text("utf-8"))
        except FileNotFoundError:
            pass
        except (OSError, UnicodeDecodeError) as error:
            self.problem = f"a {FLAGS} that cannot be read ({error})"


def _is_summary(path: Path) -> bool:
    """Tells whether a file is a summary; it may be damaged."""
    try:
        summary = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(summary, dict) and "epochs" in summary
