"""The text of `--help`: it lists flags by subject; absl sorts by name."""

from typing import Any

from absl import flags

from dsr_tf.cli.flag_groups import GROUPS
from dsr_tf.schedules import RAMPS

_KINDS = list(RAMPS)
_MORE = (
    "KIND:START:END is a schedule that goes from START to END over the whole\n"
    f"training. KIND is {', '.join(_KINDS[:-1])} or {_KINDS[-1]}.\n"
    "KIND:START:END:UNTIL reaches END sooner: after a share of the training,\n"
    "such as 0.75, or after a number of optimizer steps, such as 5000.\n"
    "--flagfile=FILE reads flags from a file; flags after it override them.\n"
    "--helpfull also lists the flags of absl."
)


def help_text() -> str:
    """Returns the help, in lines of at most 80 characters."""
    lines = ["Trains sparse networks; exports, evaluates and compares them."]
    for title, names in GROUPS.items():
        lines += ["", title, *(_flag_help(flags.FLAGS[x]) for x in names)]
    return "\n".join([*lines, "", _MORE])


def _flag_help(flag: Any) -> str:
    notes = [flag.help]
    if flag.default is not None:
        notes.append(f"(default: {flag.default_as_str})")
    if flag.parser.syntactic_help:
        notes.append(f"({flag.parser.syntactic_help})")
    name = f"--[no]{flag.name}" if flag.boolean else f"--{flag.name}"
    text = flags.text_wrap(" ".join(notes), 78, "      ", "      ")
    return f"  {name}\n{text}"
