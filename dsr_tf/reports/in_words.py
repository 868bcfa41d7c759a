"""Settings of a run in plain words."""

from pathlib import Path
from typing import Any

from dsr_tf import schedules
from dsr_tf.reports.links import without_seed
from dsr_tf.runs.flagfile import LEFT_OUT

# Where the name of a flag and its value, one after the other, say too little.
_PHRASES = {
    "batch_size": "batches of {}",
    "begin_step": "masks fixed until step {}",
    "epochs": "{} epochs",
    "initial_sparsity": "begins at a sparsity of {}",
    "jit": "XLA {}",
    "l1": "L1 {}",
    "l2": "L2 {}",
    "min_inputs": "at least {} inputs of each output",
    "mixed_precision": "computed in {}",
    "num_pruned": "{} pruned at a time",
    "num_prunes": "{} prunes",
    "prune_initial_sparsity": "pruned from a sparsity of {} on",
    "regrow_stddev": "new weights with a standard deviation of {}",
    "stop_epoch": "masks fixed from epoch {} on",
    "storage": "stored as {}",
    "warmup_epochs": "warm-up of {} epochs",
}
_SWITCHES = {
    "augment": ("augmented", "not augmented"),
    "percolate": ("percolated", "not percolated"),
    "prune_across_tensors": ("pruned across tensors", "pruned by tensor"),
    "soft": ("soft", "not soft"),
    "sparse_logits": ("last layer sparse", "last layer dense"),
    "standardize": ("standardized", "not standardized"),
}
# Of flags that a run leaves out, and that have no default.
_ABSENT = {
    "augment": "augmented as is usual",
    "mixed_precision": "computed in float32",
    "stop_epoch": "no stop epoch",
    "weight_decay": "usual weight decay",
}


def setting(name: str, value: str | None) -> str:
    """Returns a setting in words, such as `learning rate 0.1`.

    Args:
        name: Name of its flag.
        value: Its value as text; None if the run does not say it.
    """
    if value is None and name in LEFT_OUT:
        value = str(LEFT_OUT[name])
    words = name.replace("_", " ")
    if value is None:
        return _ABSENT.get(name, f"no {words}")
    if value.lower() in ("true", "false"):
        on, off = _SWITCHES.get(name, (words, f"no {words}"))
        return on if value.lower() == "true" else off
    return _PHRASES.get(name, f"{words} {{}}").replace("{}", _value(value))


def begin(source: str | None) -> str:
    """Says with which weights a run began.

    Args:
        source: Folder or file that gave them; None if they were fresh.
    """
    if source is None:
        return "begun with fresh weights"
    return f"begun with the weights of {without_seed(Path(source).name)}"


def _value(text: str) -> str:
    """Returns a value in words: a number, a name, or a schedule."""
    try:
        found = schedules.parse(text)
    except (ValueError, OverflowError):
        return text
    if isinstance(found, schedules.ByEpoch):
        return _steps(found.entries, "epoch {}".format)
    if isinstance(found, schedules.ByShare):
        return _steps(found.entries, "{:.6g} % of the training".format, 100)
    if isinstance(found, schedules.Ramp):
        return _ramp(found)
    if isinstance(found, schedules.Times):
        least = f", {found.least} steps apart" if found.least != 10 else ""
        return f"for {found.times:,} times in the training{least}"
    return _number(found.value)


def _steps(entries: Any, place: Any, factor: float = 1) -> str:
    (_, first), *later = entries
    if not later:
        return _number(first)
    parts = [f"{_number(x)} from {place(factor * at)}" for at, x in later]
    return f"{_number(first)} ({', '.join(parts)})"


def _ramp(ramp: schedules.Ramp) -> str:
    ends = f"{_number(ramp.start)} to {_number(ramp.end)}"
    curve = type(ramp).__name__.lower()
    if ramp.until == 1.0:
        return f"{ends} ({curve})"
    # An integer is a step, a float a share of the training.
    until = (
        f"step {ramp.until:,}"
        if isinstance(ramp.until, int)
        else f"{100 * ramp.until:.6g} % of the training"
    )
    return f"{ends} ({curve}, until {until})"


def _number(value: Any) -> str:
    """Returns a number with all its digits, whole ones without a point."""
    whole = abs(value) < 1e15 and value == int(value)
    return f"{int(value):,}" if whole else str(value)
