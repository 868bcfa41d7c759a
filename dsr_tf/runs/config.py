"""What one training run is made of."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Config:
    """Settings of a run, one field a flag of `main.py`.

    Schedules are `{from_epoch: value}`, epochs counted from 0.

    Args:
        dataset: `"digits"` or the name of a TFDS set.
        image_size: Height and width to crop images to, where they vary in
            size; None for the usual one.
        train_examples: Number of training images to use, or None for all.
        model: Name of the network.
        depth: Layers of a wide ResNet, `6n + 4`.
        width: Factor of the network's channels, above 0; None for the paper's.
        sparse_logits: Whether the last layer of a wide ResNet is sparse too.
        method: How the parameters are kept within the budget.
        sparsity: Fraction of zeros in the sparse tensors, in `[0, 1)`.
        granularity: What masks move as one.
        epochs: Epochs to train, at least 1.
        batch_size: Images in a batch, at least 1.
        learning_rate: Schedule of the learning rate, above 0.
        momentum: Nesterov momentum, in `[0, 1)`.
        l1: Gradient factor of the sign of active weights, at least 0.
        l2: Gradient factor of active weights, at least 0.
        group_lasso: Factor of the norms of the slices, at least 0.
        num_pruned: Weights to prune in a reallocation.
        tolerance: Fraction of `num_pruned` the count may miss, in `[0, 1)`.
        initial_threshold: Threshold of the first reallocation.
        regrow_stddev: Standard deviation of new weights.
        drop_fraction: Fraction of each tensor that SET replaces, in `[0, 1)`.
        temperature: Schedule of DeepR's temperature, at least 0.
        noise_rate: Learning rate in the formula of DeepR's noise, at least 0.
        num_prunes: Prunes down to the sparsity, at least 1.
        prune_schedule: `"cubic"` or `"exponential"`.
        prune_across_tensors: Whether all tensors' weights are ranked together.
        period: Schedule of the optimizer steps between reallocations.
        stop_epoch: Epoch from which on masks stay, or None.
        init_from: Folder of a finished run, or `.keras` file, whose weights to
            start with, or None.
        masks_from: Folder of a finished run whose last masks to start with, or
            None.
        weights_from: Folder of a finished run whose first weights to start
            with, `"random"` for fresh ones, or None.
        seed: Integer from 0 to 2**31 - 1.
        data_dir: Where TFDS keeps its sets, or None for its default.
        run_dir: Folder that the run writes.
        overwrite: Whether a finished run there may be replaced, or an
            unfinished one of other settings.
        strategy: Devices and workers to train on, as
            `distribute.choose_strategy` takes it.
        checkpoint_steps: Optimizer steps between checkpoints within an epoch;
            None for one at the end of each epoch alone.
        keep_checkpoints: How many of the newest to keep.
        keep_best: Metric whose best epoch's network to keep, or None.
        tensorboard: Whether to write for TensorBoard.
        flags: The command line's settings, a line each, for `flags.cfg`.
    """

    dataset: str
    image_size: int | None
    train_examples: int | None
    model: str
    depth: int
    width: float | None
    sparse_logits: bool
    method: str
    sparsity: float
    granularity: str
    epochs: int
    batch_size: int
    learning_rate: Mapping[int, float]
    momentum: float
    l1: float
    l2: float
    group_lasso: float
    num_pruned: int
    tolerance: float
    initial_threshold: float
    regrow_stddev: float
    drop_fraction: float
    temperature: Mapping[int, float]
    noise_rate: float
    num_prunes: int
    prune_schedule: str
    prune_across_tensors: bool
    period: Mapping[int, int]
    stop_epoch: int | None
    init_from: str | None
    masks_from: str | None
    weights_from: str | None
    seed: int
    data_dir: str | None
    run_dir: str
    overwrite: bool
    strategy: str
    checkpoint_steps: int | None
    keep_checkpoints: int
    keep_best: str | None
    tensorboard: bool
    flags: str
