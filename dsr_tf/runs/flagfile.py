"""The flags that a run was made with, and how those of two runs differ."""

from dsr_tf.methods.records import find
from dsr_tf.methods.records import records
from dsr_tf.methods.settings import settings_of

# Older runs have no such flags: runs that do the same have no line of them.
LEFT_OUT = {
    "distribution": "uniform",
    "begin_step": 0,
    "prune_initial_sparsity": 0.0,
    "prune_power": 3.0,
    "standardize": True,
    "optimizer": "sgd",
    "warmup_epochs": 0.0,
    "jit": "auto",
}

# The flag that each of these belongs to, and its value.
OWNERS = {
    "momentum": ("optimizer", "sgd"),
    "depth": ("model", "wide_resnet"),
    "sparse_logits": ("model", "wide_resnet"),
}


def differences(
    before: dict[str, str], after: dict[str, str]
) -> dict[str, str]:
    """Returns the flags that differ, each with both values in words."""
    return {
        name: f"{name}={before.get(name, '(not given)')} there and "
        f"{after.get(name, '(not given)')} here"
        for name in sorted(before | after)
        if before.get(name) != after.get(name)
    }


def is_longer(before: dict[str, str], after: dict[str, str]) -> bool:
    """Tells whether the flags ask for more epochs than those before."""
    try:
        return int(after["--epochs"]) > int(before["--epochs"])
    except (KeyError, ValueError):
        return False


def parsed_flags(flagfile: str) -> dict[str, str]:
    """Returns the flags of a run by name, dashes included, as text.

    Settings of other methods, networks and optimizers are left out; flag files
    of older runs have them.
    """
    lines = [x for x in flagfile.splitlines() if x.startswith("--")]
    pairs = [line.partition("=") for line in lines]
    flags = {name: value for name, _, value in pairs}
    unused = _of_other_methods(flags.get("--method", ""))
    unused |= {x for x in OWNERS if not _is_owned(x, flags)}
    names = {f"--{no}{name}" for name in unused for no in ("", "no")}
    return {name: x for name, x in flags.items() if name not in names}


def _of_other_methods(method: str) -> set[str]:
    """Returns the names of settings that a method does not have."""
    record = find(method)
    if record is None:
        return set()
    own = {x.name for x in settings_of(record.settings)}
    known = {x.name for r in records() for x in settings_of(r.settings)}
    return known - own


def _is_owned(name: str, flags: dict[str, str]) -> bool:
    owner, wanted = OWNERS[name]
    return flags.get(f"--{owner}", LEFT_OUT.get(owner, wanted)) == wanted
