"""The files of checkpoints, and which of them can be read."""

import re
from pathlib import Path

import tensorflow as tf

PREFIX = "checkpoint"


class UnreadableCheckpointError(OSError):
    """There are checkpoints, and none of them can be read."""


def newest_readable(directory: Path) -> tuple[str | None, list[str]]:
    """Finds the newest checkpoint all of which can be read.

    Every tensor is read, as their checksums are compared only then.

    Args:
        directory: Where the checkpoints are; it need not exist.

    Returns:
        Its path, as `tf.train.Checkpoint.restore` takes it, or None where
        there is none; and a line on each newer one that cannot be read.

    Raises:
        UnreadableCheckpointError: If there are some, and none can be read.
    """
    damaged: list[str] = []
    for path in _newest_first(directory):
        reason = _damage(path)
        if reason is None:
            return path, damaged
        damaged.append(f"{path} cannot be read ({reason})")
    if damaged:
        raise UnreadableCheckpointError(
            f"No checkpoint in {directory} can be read. Nothing was deleted; "
            "to begin anew, move the folder away. " + "; ".join(damaged)
        )
    return None, damaged


def remove_unfinished(directory: Path) -> None:
    """Removes what a write that was interrupted has left."""
    for path in directory.glob(f"{PREFIX}-*_temp/*"):
        path.unlink()
    for path in directory.glob(f"{PREFIX}-*_temp"):
        path.rmdir()
    for path in directory.glob(f"{PREFIX}*.tempstate*"):
        path.unlink()


def _newest_first(directory: Path) -> list[str]:
    """Lists checkpoints by number: what is there, not what TensorFlow noted.

    That note, a file of its own, is written after the checkpoint.
    """
    found = {}
    for path in directory.glob(f"{PREFIX}-*.index"):
        match = re.fullmatch(rf"{PREFIX}-(\d+)", path.stem)
        if match:
            found[int(match[1])] = str(path.with_suffix(""))
    return [found[number] for number in sorted(found, reverse=True)]


def _damage(path: str) -> str | None:
    """Returns what is wrong with a checkpoint, or None."""
    try:
        reader = tf.train.load_checkpoint(path)
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    # Broad, as a damaged file may fail in any way.
    except Exception as error:
        return (str(error).splitlines() or [type(error).__name__])[0]
    return None
