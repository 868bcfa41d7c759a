"""All flags, by subject, in the order of the help."""

from absl import flags

from dsr_tf.cli import method_flags
from dsr_tf.cli import other_flags
from dsr_tf.cli import run_flags


def _names(*holders: flags.FlagHolder) -> tuple[str, ...]:
    return tuple(holder.name for holder in holders)


GROUPS = {
    "What to do": (*_names(*other_flags.WHAT_TO_DO), "verbosity"),
    "Data": _names(*run_flags.DATA),
    "Network": _names(*run_flags.NETWORK),
    "Budget": _names(*run_flags.BUDGET),
    "Training": _names(*run_flags.TRAINING),
    "Moving weights": _names(*run_flags.MOVES, *method_flags.METHODS),
    "Weights to start with": _names(*run_flags.START),
    "Devices, checkpoints and logs": _names(*other_flags.EXECUTION),
    "With --mode=export": _names(*other_flags.EXPORT),
    "With --mode=evaluate": _names(*other_flags.EVALUATE),
    "With --mode=report or --mode=compare": _names(*other_flags.REPORT),
}
