"""What one training run is made of."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Config:
    """Settings of a run, one field a flag of `main.py`.

    Schedules are `{from_epoch: value}`, epochs counted from 0.

    Args:
        dataset: `"digits"` or the name of a TFDS set.
        model: Name of the network.
        method: How the sparse tensors are trained.
        sparsity: Fraction of zeros in the sparse tensors, in `[0, 1)`.
        granularity: What masks move as one.
        epochs: Epochs to train, at least 1.
        batch_size: Images in a batch, at least 1.
        learning_rate: Schedule of the learning rate, above 0.
        momentum: Nesterov momentum, in `[0, 1)`.
        l1: Gradient factor of the sign of active weights, at least 0.
        l2: Gradient factor of active weights, at least 0.
        num_pruned: Weights to prune in a reallocation.
        tolerance: Fraction of `num_pruned` the count may miss, in `[0, 1)`.
        initial_threshold: Threshold of the first reallocation.
        regrow_stddev: Standard deviation of new weights.
        period: Schedule of the optimizer steps between reallocations.
        stop_epoch: Epoch from which on masks stay, or None.
        seed: Integer from 0 to 2**31 - 1.
        data_dir: Where TFDS keeps its sets, or None for its default.
        run_dir: Folder that the run writes.
        overwrite: Whether a finished run there may be replaced.
        flags: The command line's settings, a line each, for `flags.cfg`.
    """

    dataset: str
    model: str
    method: str
    sparsity: float
    granularity: str
    epochs: int
    batch_size: int
    learning_rate: Mapping[int, float]
    momentum: float
    l1: float
    l2: float
    num_pruned: int
    tolerance: float
    initial_threshold: float
    regrow_stddev: float
    period: Mapping[int, int]
    stop_epoch: int | None
    seed: int
    data_dir: str | None
    run_dir: str
    overwrite: bool
    flags: str
