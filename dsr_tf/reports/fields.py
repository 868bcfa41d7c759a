"""What the files of a finished run must hold, for a report to show it."""

import math
from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

TEXTS = ("dataset", "model", "method")
_COUNTS = (
    "seed",
    "epochs",
    "budget",
    "num_active",
    "num_weights",
    "model_parameters",
    "reallocations",
    "weights_moved",
)
_NUMBERS = ("test_accuracy", "train_seconds", "reallocation_seconds")
# Far above what is counted or measured, and nothing overflows below it.
_MOST = 2**63 - 1
_LONGEST = 1e12
# Multiply-adds of a training, which are drawn by their logarithm, and of one
# before it.
_MOST_WORK = 10**30
_WORKS = {"training_multiply_adds": 1, "earlier_multiply_adds": 0}
# Seconds are written with three digits.
_SHORTEST = 1e-3
_MOST_AXES = 32
_LEAST_SHARE = 1 / _MOST
# Pictures have a row for each: more take minutes.
_MOST_LAYERS = 2000


def wrong_field(summary: Any) -> str | None:
    """Names the first field that is missing or of a wrong type or range."""
    if not isinstance(summary, dict):
        return "dataset"
    layers = summary.get("layers")
    valid: dict[str, bool] = {
        **{name: isinstance(summary.get(name), str) for name in TEXTS},
        **{name: is_count(summary.get(name)) for name in _COUNTS},
        **{name: is_number(summary.get(name)) for name in _NUMBERS},
        "layers": isinstance(layers, list)
        and len(layers) <= _MOST_LAYERS
        and all(map(_is_layer, layers)),
    }
    if all(valid.values()):
        valid = _within(summary)
    return next((name for name in valid if not valid[name]), None)


def _within(summary: Mapping[str, Any]) -> dict[str, bool]:
    """Tells of fields of the right type whether their values are possible."""
    budget, num_weights = summary["budget"], summary["num_weights"]
    return {
        "test_accuracy": summary["test_accuracy"] <= 1,
        "budget": min(1, num_weights) <= budget <= num_weights,
        "num_active": summary["num_active"] <= num_weights,
        "epochs": summary["epochs"] > 0,
        "model_parameters": summary["model_parameters"] > 0,
        "train_seconds": summary["train_seconds"] >= _SHORTEST,
        # Older runs have none, nor have those without sparse layers.
        "ever_active": _is_share(summary.get("ever_active", 0)),
        **{x: _is_work(summary.get(x), _WORKS[x]) for x in _WORKS},
    }


def _is_work(value: Any, least: int) -> bool:
    """Tells whether a value can be multiply-adds; older runs have none."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value is None or (whole and least <= value <= _MOST_WORK)


def _is_share(value: Any) -> bool:
    return value is None or (is_number(value) and value <= 1)


def is_count(value: Any) -> bool:
    """Tells whether a value is a count that no sum of a report overflows."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole and 0 <= value <= _MOST


def is_number(value: Any) -> bool:
    """Tells whether a value is a number of at least 0, and of a usual size."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    # NaN is at no side of any number.
    return number and 0 <= value <= _LONGEST


def _is_layer(layer: Any) -> bool:
    if not isinstance(layer, dict) or not _is_shape(layer.get("shape")):
        return False
    size = math.prod(layer["shape"])
    counts = [layer.get("num_active"), layer.get("num_active_at_start", 0)]
    within = all(is_count(count) and count <= size for count in counts)
    dead = [layer.get("dead_inputs"), layer.get("dead_outputs")]
    within &= all(x is None or is_count(x) for x in dead)
    named = isinstance(layer.get("name"), str)
    return named and 0 < size <= _MOST and within


def _is_shape(shape: Any) -> bool:
    is_list = isinstance(shape, list) and len(shape) <= _MOST_AXES
    return is_list and all(map(is_count, shape))


def wrong_setting(settings: Mapping[str, str]) -> str | None:
    """Names the first flag whose text is not the number that it must be."""
    given = (name for name in _FLAGS if name in settings)
    return next((x for x in given if not _FLAGS[x](settings[x])), None)


def _reads_as_count(text: str) -> bool:
    try:
        return is_count(int(text))
    except ValueError:
        return False


def _reads_as_factor(text: str) -> bool:
    try:
        return 0 < float(text) <= _LONGEST
    except ValueError:
        return False


# Flags that a report reads as numbers.
_FLAGS: dict[str, Callable[[str], bool]] = {
    "depth": _reads_as_count,
    "width": _reads_as_factor,
    "image_size": _reads_as_count,
    "train_examples": _reads_as_count,
    "stop_epoch": _reads_as_count,
}


def is_row(row: Mapping[str, float]) -> bool:
    """Tells whether an epoch has an accuracy, and what moved is possible."""
    moved = row.get("weights_moved", 0)
    within = moved == 0 or 1 <= moved <= _MOST
    # It is drawn by its logarithm.
    within &= _LEAST_SHARE <= row.get("ever_active", 1) <= 1
    return 0 <= row.get("val_accuracy", -1) <= 1 and within
