"""Flags of the methods, made from the settings of their records."""

from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from absl import flags

from dsr_tf.cli.flag_types import define_amount
from dsr_tf.cli.flag_types import define_number
from dsr_tf.cli.flag_types import define_schedule
from dsr_tf.methods.record import Record
from dsr_tf.methods.records import records
from dsr_tf.methods.settings import Amount
from dsr_tf.methods.settings import Setting
from dsr_tf.methods.settings import settings_of
from dsr_tf.schedules import ByEpoch

# The methods that have a setting, and what each knows of it.
Owners = list[tuple[Record, Setting]]


def owners(known: Sequence[Record]) -> dict[str, Owners]:
    """Returns the settings of some methods, by name."""
    found: dict[str, Owners] = {}
    for record in known:
        for setting in settings_of(record.settings):
            found.setdefault(setting.name, []).append((record, setting))
    return found


def define(name: str, rows: Owners) -> Any:
    """Defines the flag of a setting, one for all methods that have it.

    If methods have different defaults, the flag has none.

    Raises:
        ValueError: If methods allow different values.
    """
    first = rows[0][1]
    if any(_facts(setting) != _facts(first) for _, setting in rows):
        raise ValueError(
            "Settings with the same name must be of one kind, with the same "
            f"bounds and choices, in all methods. Received: {name} of "
            f"{[record.name for record, _ in rows]}"
        )
    defaults = [setting.default for _, setting in rows]
    alike = all(default == defaults[0] for default in defaults)
    shared = replace(first, default=defaults[0] if alike else None)
    help = _help(rows) if alike else f"{_help(rows)} {_defaults(rows)}"
    return _DEFINE[first.kind](shared, help)


def _facts(setting: Setting) -> Setting:
    """Returns a setting without what may differ between methods."""
    by_epoch = isinstance(setting.default, ByEpoch)
    return replace(setting, default=by_epoch, help="")


def _help(rows: Owners) -> str:
    """Returns the help texts, each after the names of its methods."""
    names: dict[str, list[str]] = {}
    for record, setting in rows:
        names.setdefault(setting.help, []).append(record.name)
    parts = (f"{', '.join(x)}: {_small(help)}" for help, x in names.items())
    return " ".join(parts)


def _small(text: str) -> str:
    """Begins a sentence with a small letter, unless it begins with a name."""
    is_name = text[1:2].isupper() or text[1:2].isdigit()
    return text if is_name else text[:1].lower() + text[1:]


def _defaults(rows: Owners) -> str:
    defaults = (f"{record.name}: {x.default}" for record, x in rows)
    return f"(default: {', '.join(defaults)})"


def _number(setting: Setting, help: str) -> Any:
    bounds: dict[str, Any] = {"lower": setting.lower, "above": setting.above}
    if setting.below is not None:
        bounds["below"] = setting.below
    name, default = setting.name, setting.default
    if not setting.scheduled:
        return define_number(name, default, help, **bounds)
    by_epoch = isinstance(default, ByEpoch)
    return define_schedule(name, default, help, by_epoch=by_epoch, **bounds)


def _amount(setting: Setting, help: str) -> Any:
    return define_amount(setting.name, setting.default, help)


def _integer(setting: Setting, help: str) -> Any:
    lower = int(setting.lower)
    return flags.DEFINE_integer(
        setting.name, setting.default, help, lower_bound=lower
    )


def _choice(setting: Setting, help: str) -> Any:
    choices = list(setting.choices)
    return flags.DEFINE_enum(setting.name, setting.default, choices, help)


def _switch(setting: Setting, help: str) -> Any:
    return flags.DEFINE_bool(setting.name, setting.default, help)


_DEFINE: dict[type, Callable[[Setting, str], Any]] = {
    float: _number,
    int: _integer,
    str: _choice,
    bool: _switch,
    Amount: _amount,
}
METHODS = tuple(define(*row) for row in owners(records()).items())
