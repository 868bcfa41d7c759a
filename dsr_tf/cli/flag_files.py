"""Flags that are read from files."""

import contextlib
import io
from collections.abc import Iterator
from collections.abc import Sequence

from absl import flags


def parsed(argv: Sequence[str]) -> list[str]:
    """Parses a command line and the flag files that it names.

    Args:
        argv: The command line.

    Returns:
        The arguments that are no flags.

    Raises:
        flags.Error: If a flag or a file of flags is wrong.
    """
    names = list(_named(argv))
    if "" in names:
        # absl would pass over it, and so over all flags that are meant.
        raise flags.Error("--flagfile must name a file")
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            left = flags.FLAGS(argv)
    except (ValueError, RecursionError) as error:
        shown = ", ".join(names)
        raise flags.Error(
            f"--flagfile={shown} must be a text file, and so must all files "
            f"that it names ({error})"
        ) from error
    if said.getvalue():
        # absl only warns of a file that names itself.
        path = said.getvalue().rpartition(": ")[2]
        raise flags.Error(f"--flagfile={path} must not lead back to itself")
    return left


def _named(argv: Sequence[str]) -> Iterator[str]:
    """Yields the flag files that a command line names itself."""
    tokens = iter(argv[1:])
    for token in tokens:
        if token == "--":
            return
        name, equals, value = token.partition("=")
        if name in ("-flagfile", "--flagfile"):
            # absl says it where nothing follows.
            yield value if equals else next(tokens, "-")
