"""Which checkpoints can be used."""

from pathlib import Path

import tensorflow as tf

from dsr_tf.callbacks.checkpoint_files import as_tensorflow_reads
from dsr_tf.callbacks.checkpoint_files import checkpoint_path
from dsr_tf.callbacks.checkpoint_files import newest_first
from dsr_tf.callbacks.description import Description
from dsr_tf.callbacks.position import Position


class UnreadableCheckpointError(OSError):
    """There are checkpoints, but none of them can be used."""


def newest_usable(
    directory: Path, now: Description, ends: bool = False
) -> tuple[int, list[str]]:
    """Finds the newest checkpoint that can be used.

    Args:
        directory: Folder of the checkpoints; it need not exist.
        now: The training that is to go on, or an empty description if that is
            not known.
        ends: Whether only checkpoints of ends of epochs count.

    Returns:
        The number of the checkpoint, or 0 if there is none; and a line on each
        newer one that cannot be used.

    Raises:
        UnreadableCheckpointError: If there are checkpoints, but none can be
            used.
    """
    passed: list[str] = []
    is_within = False
    for number in newest_first(directory):
        path = checkpoint_path(directory, number)
        if reason := _damage(path):
            passed.append(f"{path} cannot be read ({reason})")
        elif reason := _problem(path, now):
            passed.append(f"{path} does not fit ({reason})")
        elif not (ends and position_of(path).step):
            return number, passed
        else:
            is_within = True
    if passed and not is_within:
        raise UnreadableCheckpointError(
            f"No checkpoint in {directory} can be used. Nothing was deleted. "
            "To begin anew, move the folder away. " + "; ".join(passed)
        )
    return 0, passed


def position_of(path: Path) -> Position:
    """Returns how far a training had come at a checkpoint."""
    found = Position()
    with as_tensorflow_reads(path) as readable:
        status = tf.train.Checkpoint(position=found).read(readable)
        status.assert_existing_objects_matched().expect_partial()
    return found


def _damage(path: Path) -> str | None:
    """Returns what is wrong with the files of a checkpoint, or None.

    Every tensor is read, because checksums are compared only then.
    """
    try:
        with as_tensorflow_reads(path) as readable:
            reader = tf.train.load_checkpoint(readable)
            for name in reader.get_variable_to_shape_map():
                reader.get_tensor(name)
    # Broad, as a damaged file may fail in any way.
    except Exception as error:
        return (str(error).splitlines() or [type(error).__name__])[0]
    return None


def _problem(path: Path, now: Description) -> str | None:
    """Says why training cannot go on from a checkpoint, or returns None."""
    saved = Description()
    try:
        position_of(path)
        with as_tensorflow_reads(path) as readable:
            whole = tf.train.Checkpoint(description=saved)
            whole.read(readable).expect_partial()
    # Broad, as a foreign file may fail in any way.
    except Exception:
        return "it is no checkpoint of dsr_tf"
    return saved.difference(now)
