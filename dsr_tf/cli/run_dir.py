"""Default names for the folders of runs."""

import hashlib
import os
import re
from collections.abc import Iterator
from collections.abc import Mapping

from dsr_tf.runs.config import Budget
from dsr_tf.runs.config import Data
from dsr_tf.runs.config import Moves
from dsr_tf.runs.config import Network
from dsr_tf.runs.config import Start
from dsr_tf.runs.config import Training

# Flags that stand in the name without their own.
NAMED = (
    "dataset",
    "depth",
    "distribution",
    "epochs",
    "granularity",
    "method",
    "model",
    "seed",
    "sparsity",
    "stop_epoch",
    "storage",
    "train_examples",
    "width",
)
# How long the name of a data set may be, the value of another flag, and all
# other flags together. File systems take 255 letters in all.
_MOST_OF_NAME, _MOST_OF_VALUE, _MOST = 40, 12, 60


def default_run_dir(
    data: Data,
    network: Network,
    budget: Budget,
    training: Training,
    moves: Moves,
    start: Start,
    others: Mapping[str, str],
) -> str:
    """Returns a folder in runs/, named after the settings of a run.

    Args:
        data: Settings of the run, as in `Config`.
        network: As well.
        budget: As well.
        training: As well.
        moves: As well.
        start: As well.
        others: Flags that are not `NAMED` and not at their defaults, with
            their values as text. What does not fit is there as a digest, so
            that runs of different settings have different folders.
    """
    parts = [
        _short(data.dataset),
        *_network(network),
        *_budget(budget),
        *_start(start),
    ]
    if moves.stop_epoch is not None and budget.record.moves_weights:
        parts.append(f"stop{moves.stop_epoch}")
    # Nothing that was only tried should pass for the whole run.
    parts.append(f"e{training.epochs}")
    if data.train_examples is not None:
        parts.append(f"n{data.train_examples}")
    parts.append(f"seed{training.seed}")
    return os.path.join("runs", "_".join([*parts, *_others(others)]))


def _others(values: Mapping[str, str]) -> Iterator[str]:
    """Yields as many as fit, and a digest if these are not all."""
    left, shown = _MOST, 0
    for name, text in values.items():
        part = f"{name}={text}"
        fits = len(text) <= _MOST_OF_VALUE and len(part) <= left
        if fits and _is_plain(part):
            yield part
            left, shown = left - len(part), shown + 1
    if shown < len(values):
        yield _digest(str(sorted(values.items())))


def _short(name: str) -> str:
    """Returns a name as a part of a file name; different ones for different."""
    if len(name) <= _MOST_OF_NAME and _is_plain(name):
        return name
    kept = re.sub(r"[^A-Za-z0-9.]+", "-", name)[:_MOST_OF_NAME]
    return f"{kept.strip('-.')}-{_digest(name)}"


def _is_plain(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9_=+.-]+", text) is not None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _network(network: Network) -> Iterator[str]:
    yield _short(network.model)
    if network.model == "wide_resnet":
        width = 2 if network.width is None else network.width
        yield f"{network.depth}_{width:g}"
    elif network.width is not None:
        yield f"w{network.width:g}"


def _budget(budget: Budget) -> Iterator[str]:
    yield budget.method
    if budget.record.kernels != "dense":
        yield f"s{budget.sparsity:g}"
    if budget.distribution != "uniform":
        yield budget.distribution
    if budget.granularity != "weight":
        yield budget.granularity
    if budget.storage == "blocks":
        yield "stored"
    elif budget.storage == "auto":
        yield "auto"


def _start(start: Start) -> Iterator[str]:
    if start.masks_from is not None:
        fresh = start.weights_from == "random"
        yield "fresh_weights" if fresh else "first_weights"
