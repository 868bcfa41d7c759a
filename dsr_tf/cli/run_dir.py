"""Default names for the folders of runs."""

import os
from collections.abc import Iterator

from dsr_tf.runs.config import Budget
from dsr_tf.runs.config import Data
from dsr_tf.runs.config import Moves
from dsr_tf.runs.config import Network
from dsr_tf.runs.config import Start
from dsr_tf.runs.config import Training


def default_run_dir(
    data: Data,
    network: Network,
    budget: Budget,
    training: Training,
    moves: Moves,
    start: Start,
) -> str:
    """Returns a folder in runs/, named after the main settings of a run."""
    parts = [
        data.dataset,
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
    return os.path.join("runs", "_".join(parts))


def _network(network: Network) -> Iterator[str]:
    yield network.model
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


def _start(start: Start) -> Iterator[str]:
    if start.masks_from is not None:
        fresh = start.weights_from == "random"
        yield "fresh_weights" if fresh else "first_weights"
