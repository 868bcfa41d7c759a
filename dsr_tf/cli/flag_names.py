"""Messages of the library, in the words of the command line."""

import re

from dsr_tf.cli.flag_groups import GROUPS

_NAMES = {name for names in GROUPS.values() for name in names}


def in_flags(message: str) -> str:
    """Returns a message with flags in the place of arguments of their names.

    An argument stands between backticks, or before `=` and its value:
    "`run_dir` must be a folder. Received: run_dir=x" becomes "--run_dir must be
    a folder. Received: --run_dir=x".
    """
    message = re.sub(r"`(\w+)`", _flag, message)
    # Not of a part of a path, or of a flag.
    return re.sub(r"(?<![\w./-])(\w+)(?==\S)", _flag, message)


def _flag(found: re.Match[str]) -> str:
    return f"--{found[1]}" if found[1] in _NAMES else found[0]
