"""Defaults of flags that depend on other flags."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from absl import flags

from dsr_tf.data.load import is_own as is_own_data
from dsr_tf.methods.records import find
from dsr_tf.runs.build import is_own
from dsr_tf.runs.config import AUTO
from dsr_tf.runs.earlier import FLAGS
from dsr_tf.runs.flagfile import parsed_flags
from dsr_tf.schedules import Cosine

# What a run that begins with another takes from it, each group if none of
# its flags is given.
_MODEL = ("model", "depth", "width", "sparse_logits")
_DATA = (
    *("dataset", "data_dir", "image_size", "train_split", "test_split"),
    *("augment", "standardize"),
)
_BUDGET = ("sparsity", "distribution", "granularity", "storage")
# Of optimizers that scale gradients; SGD has the paper's.
_LEARNING_RATE = Cosine(1e-3, 0.0)
# As Keras' `fit`: one's own data may be few.
_BATCH_SIZE = 32


def derived() -> dict[str, Any]:
    """Returns the values of flags that were not given, where others say them.

    A run that starts from another run has its network, data and budget. The
    learning rate depends on the optimizer, and penalties belong to networks of
    this library. Networks and data of one's own are trained by Adam, and their
    weights move as often as the length of the training says. One's own data
    come in batches of 32.
    """
    found = _taken_over()
    model, dataset, optimizer = (
        found.get(name, flags.FLAGS[name].value)
        for name in ("model", "dataset", "optimizer")
    )
    if is_own(model) and not _is_given("l1"):
        found["l1"] = 0.0
    if is_own_data(dataset) and not _is_given("batch_size"):
        found["batch_size"] = _BATCH_SIZE
    if is_own(model) or is_own_data(dataset):
        if not _is_given("period"):
            found["period"] = AUTO
        if not _is_given("optimizer", "learning_rate", "momentum"):
            found["optimizer"] = optimizer = "adam"
    if optimizer != "sgd" and not _is_given("learning_rate"):
        found["learning_rate"] = _LEARNING_RATE
    return found


def _is_given(*names: str) -> bool:
    return any(flags.FLAGS[name].present for name in names)


def _taken_over() -> dict[str, Any]:
    start = flags.FLAGS["init_from"].value
    masks = flags.FLAGS["masks_from"].value
    found = _of_run(start, (_MODEL, _DATA))
    return found | _of_run(masks or start, (_BUDGET,))


def _of_run(path: str | None, groups: Iterable[tuple[str, ...]]) -> Any:
    """Returns flags of an earlier run, of groups of which none is given."""
    settings = _settings(path)
    record = find(settings.get("--method", ""))
    found: dict[str, Any] = {}
    for names in groups:
        is_dense = record is None or record.kernels != "masked"
        if _is_given(*names) or (names is _BUDGET and is_dense):
            continue
        for name in names:
            found |= _read(name, settings)
    return found


def _settings(path: str | None) -> dict[str, str]:
    """Returns the flags of a run, of its folder or a file in it."""
    if not path:
        return {}
    folder = Path(path).parent if Path(path).is_file() else Path(path)
    try:
        return parsed_flags((folder / FLAGS).read_text("utf-8"))
    # What is no run is refused where it is loaded.
    except (OSError, ValueError):
        return {}


def _read(name: str, settings: dict[str, str]) -> dict[str, Any]:
    flag = flags.FLAGS[name]
    if f"--no{name}" in settings:
        return {name: False}
    text = settings.get(f"--{name}")
    if text is None:
        return {}
    try:
        return {name: True if flag.boolean else flag.parser.parse(text)}
    except (ValueError, TypeError):
        return {}
