"""Files and folders that are written beside their place and moved there."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yields a path to write to, and then moves the result to `path`.

    The block writes a file or a folder to the path that it gets. That path lies
    beside `path` and does not exist yet. When the block ends, the result
    replaces whatever is at `path`. If the block or the move raises an error,
    `path` is unchanged.

    A symbolic link at `path` is replaced itself; its target stays.

    Args:
        path: File or folder to write or replace, in an existing folder.

    Raises:
        ValueError: If `path` has no name of its own, like `.` or `..`.
        OSError: If the result cannot be moved.

    Example:
    >>> with replacing("summary.json") as partial:
    ...     partial.write_text("{}")
    """
    path = Path(path)
    if path.name in ("", ".."):
        raise ValueError(
            "`path` must end in the name of a file or folder. "
            f"Received: path={path}"
        )
    # In the same folder, so that it can be moved and need not be copied. With
    # the ending of `path`, as some writers choose the format by it.
    partial = path.with_name(f".partial.{path.name}")
    remove(partial)
    try:
        yield partial
        _move(partial, path)
    finally:
        remove(partial)


def remove(path: Path) -> None:
    """Removes a file, a folder or a symbolic link, if it exists.

    The target of a symbolic link stays.
    """
    if _is_folder(path):
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _move(new: Path, path: Path) -> None:
    old = path.with_name(f".old.{path.name}")
    if _is_folder(new) or _is_folder(path):
        _move_folder(new, path, old)
    else:
        # In one step: a process that is killed here leaves one of the two.
        os.replace(new, path)
    # It is there after a move of folders, and after one that was killed.
    remove(old)


def _move_folder(new: Path, path: Path, old: Path) -> None:
    """Moves in two steps: no folder can take another's place in one."""
    try:
        if os.path.lexists(path):
            remove(old)
            os.replace(path, old)
        os.replace(new, path)
    except BaseException:
        if os.path.lexists(old) and not os.path.lexists(path):
            os.replace(old, path)
        raise
