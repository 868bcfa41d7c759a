"""The files of checkpoints, and which of them can be read."""

import re
from pathlib import Path

import tensorflow as tf

PREFIX = "checkpoint"


class UnreadableCheckpointError(OSError):
    """There are checkpoints, but none of them can be read."""


def checkpoint_path(directory: Path, number: int) -> str:
    """Returns the path of a checkpoint, as `restore` takes it."""
    return str(directory / f"{PREFIX}-{number}")


def newest_readable(directory: Path) -> tuple[int, list[str]]:
    """Finds the newest checkpoint that can be read completely.

    Every tensor is read, because checksums are compared only then.

    Args:
        directory: Folder of the checkpoints; it need not exist.

    Returns:
        The number of the checkpoint, or 0 if there is none; and a line on each
        newer one that cannot be read.

    Raises:
        UnreadableCheckpointError: If there are checkpoints, but none can be
            read.
    """
    damaged: list[str] = []
    for number in _newest_first(directory):
        path = checkpoint_path(directory, number)
        reason = _damage(path)
        if reason is None:
            return number, damaged
        damaged.append(f"{path} cannot be read ({reason})")
    if damaged:
        raise UnreadableCheckpointError(
            f"No checkpoint in {directory} can be read. Nothing was deleted. "
            "To begin anew, move the folder away. " + "; ".join(damaged)
        )
    return 0, damaged


def remove_unfinished(directory: Path) -> None:
    """Removes the files of an interrupted write."""
    for path in directory.glob(f"{PREFIX}-*_temp/*"):
        path.unlink()
    for path in directory.glob(f"{PREFIX}-*_temp"):
        path.rmdir()
    for path in directory.glob(f"{PREFIX}*.tempstate*"):
        path.unlink()


def _newest_first(directory: Path) -> list[int]:
    """Lists the numbers of the checkpoints in a folder.

    TensorFlow's own list cannot be used: it is written after a checkpoint.
    """
    names = [path.stem for path in directory.glob(f"{PREFIX}-*.index")]
    matches = [re.fullmatch(rf"{PREFIX}-(\d+)", name) for name in names]
    return sorted((int(m[1]) for m in matches if m), reverse=True)


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
