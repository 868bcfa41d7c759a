"""Turns flags into the settings of a run."""

import dataclasses
from typing import Any

from absl import flags

from dsr_tf.cli.derived import derived
from dsr_tf.cli.run_dir import NAMED
from dsr_tf.cli.run_dir import default_run_dir
from dsr_tf.methods.record import Record
from dsr_tf.runs.config import Budget
from dsr_tf.runs.config import Config
from dsr_tf.runs.config import Data
from dsr_tf.runs.config import Execution
from dsr_tf.runs.config import Moves
from dsr_tf.runs.config import Network
from dsr_tf.runs.config import Start
from dsr_tf.runs.config import Training
from dsr_tf.runs.flagfile import LEFT_OUT
from dsr_tf.runs.flagfile import OWNERS

_REMARK = "# python main.py --flagfile=THIS_FILE --run_dir=ANOTHER_FOLDER"


def config() -> Config:
    """Returns the settings of a run, read from the flags."""
    usual = derived()
    parts: dict[str, Any] = {
        "data": Data(**_values(Data, usual)),
        "network": Network(**_values(Network, usual)),
        "budget": Budget(**_values(Budget, usual)),
        "training": Training(**_values(Training, usual)),
        "moves": Moves(**_values(Moves, usual)),
        "start": Start(**_values(Start, usual)),
    }
    settings = _settings(parts["budget"].record)
    execution = _values(Execution, {})
    if not execution["run_dir"]:
        others = _others(settings, usual, *parts.values())
        execution["run_dir"] = default_run_dir(**parts, others=others)
    return Config(
        **parts,
        settings=settings,
        execution=Execution(**execution),
        flags=_flagfile(*parts.values(), settings),
    )


def _values(group: type, usual: dict[str, Any]) -> dict[str, Any]:
    """Returns the values of the flags named after the fields of a group.

    Args:
        group: A dataclass.
        usual: Values that take the place of those of flags, by name.
    """
    names = [field.name for field in dataclasses.fields(group)]
    return {x: usual.get(x, flags.FLAGS[x].value) for x in names}


def _settings(record: Record) -> Any:
    """Returns the method's own settings, by its record."""
    values = _values(record.settings, {})
    # A flag of several methods has no default where theirs differ.
    given = {name: x for name, x in values.items() if x is not None}
    return record.settings(**given)


def _others(
    settings: Any, derived: dict[str, Any], *groups: Any
) -> dict[str, str]:
    """Returns the settings that are not at their defaults, as texts."""
    own = vars(type(settings)())
    found = {}
    for group in (*groups, settings):
        for name, value in vars(group).items():
            usual = derived.get(name, flags.FLAGS[name].default)
            if group is settings:
                usual = own[name]
            if name not in NAMED and str(value) != str(usual):
                found[name] = _one_value(str(value))
    return found


def _one_value(text: str) -> str:
    """Returns a schedule of one value as that value."""
    return text.removeprefix("0:") if "," not in text else text


def _flagfile(*groups: Any) -> str:
    """Returns the settings as a flagfile, without the folder of the run."""
    values = {k: v for group in groups for k, v in vars(group).items()}
    lines = [
        _line(flags.FLAGS[name], value)
        for name, value in values.items()
        if value is not None
        and value != LEFT_OUT.get(name)
        and not _is_anothers(name, values)
    ]
    return "\n".join([_REMARK, *lines]) + "\n"


def _is_anothers(name: str, values: dict[str, Any]) -> bool:
    """Tells whether a setting is of another network or optimizer."""
    owner, wanted = OWNERS.get(name, ("", ""))
    return bool(owner) and values[owner] != wanted


def _line(flag: Any, value: Any) -> str:
    if flag.boolean:
        return f"--{flag.name}" if value else f"--no{flag.name}"
    return f"--{flag.name}={flag.serializer.serialize(value)}"
