"""The files of checkpoints."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from contextlib import suppress
from pathlib import Path

from dsr_tf.files import remove

PREFIX = "checkpoint"


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


def newest_first(directory: Path) -> list[int]:
    """Lists the numbers of the checkpoints in a folder.

    TensorFlow's own list cannot be used: it is written after a checkpoint.
    """
    names = [path.stem for path in directory.glob(f"{PREFIX}-*.index")]
    matches = [re.fullmatch(rf"{PREFIX}-([1-9]\d{{0,17}})", x) for x in names]
    return sorted((int(m[1]) for m in matches if m), reverse=True)


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
    numbers = newest_first(directory)
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
    return bool(newest_first(directory))
