"""Flags that were typed, and have no effect with others."""

from collections.abc import Iterator
from collections.abc import Sequence

from absl import flags

from dsr_tf.cli import other_flags
from dsr_tf.cli.flag_checks import listed
from dsr_tf.cli.method_flags import owners
from dsr_tf.methods.records import records
from dsr_tf.runs.flagfile import OWNERS

# The modes that use the flags of a group, by the name of a flag.
_MODES = {
    flag.name: modes
    for group, modes in (
        (other_flags.EXPORT, ["export"]),
        (other_flags.EVALUATE, ["evaluate"]),
        (other_flags.REPORT, ["report", "compare"]),
    )
    for flag in group
} | {"out": ["report"]}


def check_typed(argv: Sequence[str]) -> None:
    """Refuses settings of another method or mode on the command line itself.

    Those of a file are passed over: the method of an experiment may be
    replaced by another, and runs hold settings of their method alone.

    Args:
        argv: The command line, which was parsed.

    Raises:
        flags.ValidationError: With the first such flag.
    """
    method = flags.FLAGS["method"].value
    known = owners(records())
    for name in _typed(argv):
        _check_owner(name)
        _check_mode(name)
        having = [record for record, _ in known.get(name, [])]
        if having and method not in [record.name for record in having]:
            raise flags.ValidationError(
                f"--{name} has no effect with --method={method}: it belongs "
                f"to --method={listed(having)}"
            )


def _check_owner(name: str) -> None:
    """Refuses a setting of other optimizers or networks."""
    needed, wanted = OWNERS.get(name, ("", ""))
    if needed and flags.FLAGS[needed].value != wanted:
        raise flags.ValidationError(
            f"--{name} has no effect with --{needed}="
            f"{flags.FLAGS[needed].value}: it belongs to --{needed}={wanted}"
        )


def _check_mode(name: str) -> None:
    """Refuses a flag that the mode does not read."""
    mode = flags.FLAGS["mode"].value
    wanted = _MODES.get(name, [mode])
    if mode not in wanted:
        raise flags.ValidationError(
            f"--{name} has no effect with --mode={mode}: it belongs to "
            f"--mode={' or '.join(wanted)}"
        )


def _typed(argv: Sequence[str]) -> Iterator[str]:
    """Yields the names of the flags that a command line names itself."""
    tokens = iter(argv[1:])
    for token in tokens:
        # What follows is no flag, to absl either.
        if not token.startswith("-") or token == "--":
            return
        name, equals, _ = token.lstrip("-").partition("=")
        if name not in flags.FLAGS:
            name = name.removeprefix("no")
        if name not in flags.FLAGS:
            continue
        yield name
        if not equals and not flags.FLAGS[name].boolean:
            next(tokens, None)
