"""The files of checkpoints, and which of them can be used."""

import re
import tempfile
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from contextlib import suppress
from pathlib import Path

import tensorflow as tf

from dsr_tf.files import remove

PREFIX = "checkpoint"


class UnreadableCheckpointError(OSError):
    """There are checkpoints, but none of them can be used."""


def checkpoint_path(directory: Path, number: int) -> Path:
    """Returns the path of a checkpoint, which is that of its files' stem."""
    return directory / f"{PREFIX}-{number}"


@contextmanager
def as_tensorflow_reads(path: Path) -> Iterator[str]:
    """Yields a path to the same files that TensorFlow takes as it is.

    In other paths it sees patterns: in `r[1]` it would read the files of `r1`.
    """
    if not re.search(r"[\[\]*?\\]", str(path)):
        yield str(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / "link"
        link.symlink_to(path.parent.resolve(), target_is_directory=True)
        yield str(link / path.name)


def newest_usable(
    directory: Path, problem: Callable[[Path], str | None]
) -> tuple[int, list[str]]:
    """Finds the newest checkpoint that can be used.

    Args:
        directory: Folder of the checkpoints; it need not exist.
        problem: Says why the checkpoint at a path cannot be used, or None.

    Returns:
        The number of the checkpoint, or 0 if there is none; and a line on each
        newer one that cannot be used.

    Raises:
        UnreadableCheckpointError: If there are checkpoints, but none can be
            used.
    """
    passed: list[str] = []
    for number in _newest_first(directory):
        path = checkpoint_path(directory, number)
        if reason := damage(path):
            passed.append(f"{path} cannot be read ({reason})")
        elif reason := problem(path):
            passed.append(f"{path} does not fit ({reason})")
        else:
            return number, passed
    if passed:
        raise UnreadableCheckpointError(
            f"No checkpoint in {directory} can be used. Nothing was deleted. "
            "To begin anew, move the folder away. " + "; ".join(passed)
        )
    return 0, passed


def remove_unfinished(directory: Path) -> None:
    """Removes the files of an interrupted write."""
    for pattern in (f"{PREFIX}-*_temp", f"{PREFIX}*.tempstate*"):
        for path in directory.glob(pattern):
            remove(path)


def keep_newest(directory: Path, keep: int, newest: int | None = None) -> None:
    """Removes all checkpoints but the newest.

    Args:
        directory: Folder of the checkpoints.
        keep: How many to keep, at least 1.
        newest: Number of the newest that counts: later ones stay, as they are
            of another training. None for the highest number.
    """
    numbers = _newest_first(directory)
    if newest is not None:
        numbers = [number for number in numbers if number <= newest]
    for number in numbers[keep:]:
        path = checkpoint_path(directory, number)
        # The index first: without it, what is left is no checkpoint.
        for file in (
            path.with_name(f"{path.name}.index"),
            *directory.glob(f"{path.name}.data-*"),
        ):
            with suppress(OSError):
                file.unlink()


def has_checkpoint(directory: Path) -> bool:
    """Tells whether a folder holds a checkpoint, of whatever quality."""
    return bool(_newest_first(directory))


def damage(path: Path) -> str | None:
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


def _newest_first(directory: Path) -> list[int]:
    """Lists the numbers of the checkpoints in a folder.

    TensorFlow's own list cannot be used: it is written after a checkpoint.
    """
    names = [path.stem for path in directory.glob(f"{PREFIX}-*.index")]
    matches = [re.fullmatch(rf"{PREFIX}-([1-9]\d{{0,17}})", x) for x in names]
    return sorted((int(m[1]) for m in matches if m), reverse=True)
