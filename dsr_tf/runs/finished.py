"""The files of a finished run, which may be damaged, or of something else."""

import json
from pathlib import Path
from typing import Any

import keras

from dsr_tf.checks import first_line
from dsr_tf.checks import is_integer
from dsr_tf.runs.earlier import MODEL
from dsr_tf.runs.earlier import SUMMARY

# What a summary says of the parts of a data set.
SPLITS = ("train_split", "test_split")
# What it says of how images are read, and what older runs did.
_READING = {"image_size": None, "standardize": True}


def is_finished(folder: Path) -> bool:
    """Tells whether a folder has the files that a finished run has."""
    return (folder / SUMMARY).is_file() and (folder / MODEL).is_file()


def read_summary(name: str, folder: Path) -> dict[str, Any]:
    """Reads what an evaluation or an export takes from a summary.

    Args:
        name: Name of the argument that led there, for the message.
        folder: Folder of a finished run.

    Raises:
        ValueError: If the summary is damaged. The message is one line.
    """
    try:
        summary = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
        problem = _problem(summary)
    except (ValueError, RecursionError):
        problem = "it is not JSON"
    if problem is None:
        return summary
    raise ValueError(
        f"`{name}` must be the folder of a finished run with a sound "
        f"{SUMMARY}. Received: {name}={folder}, where {problem}"
    )


def data_of(summary: dict[str, Any]) -> dict[str, Any]:
    """Returns how the data of a run is loaded, as `load_images` takes it."""
    parts = {name: summary.get(name) for name in SPLITS}
    reading = {name: summary.get(name, x) for name, x in _READING.items()}
    return {"name": summary["dataset"], **parts, **reading}


def _problem(summary: Any) -> str | None:
    if not isinstance(summary, dict):
        return "it holds no fields"
    accuracy, seed = summary.get("test_accuracy"), summary.get("seed", -1)
    is_number = isinstance(accuracy, int | float)
    valid = {
        "dataset": isinstance(summary.get("dataset"), str),
        "test_accuracy": is_number and 0 <= summary["test_accuracy"] <= 1,
        "seed": is_integer(seed) and 0 <= seed < 2**31,
    }
    for name in SPLITS:
        # Older runs have none.
        valid[name] = isinstance(summary.get(name), str | None)
    size = summary.get("image_size")
    valid["image_size"] = size is None or (is_integer(size) and size > 0)
    valid["standardize"] = isinstance(summary.get("standardize", True), bool)
    wrong = [field for field, is_valid in valid.items() if not is_valid]
    return f"it has no valid `{wrong[0]}`" if wrong else None


def load_network(name: str, given: str, path: Path) -> keras.Model:
    """Loads a `.keras` file, which may hold anything.

    Args:
        name: Name of the argument that led there, for the message.
        given: Its value.
        path: The file.

    Raises:
        ValueError: If it holds no model. The message is one line.
    """
    try:
        return keras.models.load_model(path, compile=False)
    # Broad, as a foreign file may fail in any way.
    except Exception as error:
        raise ValueError(
            f"`{name}` must lead to a model that Keras can load. "
            f"Received: {name}={given} ({first_line(error)})"
        ) from error
