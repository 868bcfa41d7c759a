"""When a run was started, by which command, and with which versions."""

import json
import platform
from datetime import UTC
from datetime import datetime
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

import dsr_tf
from dsr_tf import launch
from dsr_tf.runs.earlier import HISTORY

# Far above what a run writes.
_MOST_BYTES = 2**20


def this_start(resumes: bool) -> dict[str, Any]:
    """Returns what the history of a run holds of this process.

    Args:
        resumes: Whether the run was begun by an earlier process.
    """
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "resumes": resumes,
        # Of a run that another program makes there is none.
        "command": launch.command(),
        "versions": {
            "dsr_tf": dsr_tf.__version__,
            "keras": keras.__version__,
            "tensorflow": tf.__version__,
            "python": platform.python_version(),
        },
    }


def read_history(folder: Path) -> list[dict[str, Any]]:
    """Returns each start of a run; none if the folder does not say it.

    Older runs have no such file. It is for people alone: what cannot be read
    keeps no run from going on, and none out of a report.
    """
    path = folder / HISTORY
    try:
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:
            return []
        starts = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return []
    return starts if _is_history(starts) else []


def _is_history(starts: Any) -> bool:
    return isinstance(starts, list) and all(map(_is_start, starts))


def _is_start(start: Any) -> bool:
    if not isinstance(start, dict):
        return False
    versions = start.get("versions")
    return (
        isinstance(start.get("date"), str)
        and isinstance(start.get("resumes"), bool)
        and isinstance(start.get("command"), str | None)
        and isinstance(versions, dict)
        and all(isinstance(x, str) for x in versions.values())
    )
