"""The settings of one training run."""

from dataclasses import dataclass
from typing import Any

from dsr_tf.methods.record import Record
from dsr_tf.methods.records import find
from dsr_tf.methods.records import records
from dsr_tf.schedules import Schedule

# A period that depends on the length of the training.
AUTO = "auto"


@dataclass(frozen=True)
class Data:
    """The data that a network is trained on.

    Args:
        dataset: `"digits"`, the name of a TFDS set, or the path of one's own
            data, as in `load_images`.
        data_dir: Folder of the sets of TFDS, or None for its default.
        image_size: Height and width to crop images to, if they vary in size;
            None for the default size.
        train_examples: Number of training images to use, or None for all.
        train_split: Split of a TFDS set to train on, or a part of one; None for
            the part of `train` that is not tested.
        test_split: The same to test on; None for the set's own.
        augment: Whether training images are cropped and mirrored at random;
            None for what is usual for the set.
        standardize: Whether mean and standard deviation are taken out.
    """

    dataset: str
    data_dir: str | None
    image_size: int | None
    train_examples: int | None
    train_split: str | None
    test_split: str | None
    augment: bool | None = None
    standardize: bool = True


@dataclass(frozen=True)
class Network:
    """The network, without the settings that make it sparse.

    Args:
        model: Name of the network.
        depth: Layers of a wide ResNet, `6n + 4`.
        width: Factor on the channels, above 0; None for the paper's width.
        sparse_logits: Whether the last layer of a wide ResNet is sparse too.
    """

    model: str
    depth: int
    width: float | None
    sparse_logits: bool


@dataclass(frozen=True)
class Budget:
    """How many weights are active, and by which method.

    Args:
        method: Name of the method.
        sparsity: Fraction of zeros in the sparse layers, in `[0, 1)`.
        distribution: How the budget is split between layers at the start:
            `"uniform"`, `"erk"` or `"balanced"`.
        granularity: Name of the unit that masks move.
        storage: How kernels are stored, as in `sparsify`.
    """

    method: str
    sparsity: float
    distribution: str
    granularity: str
    storage: str = "masks"

    @property
    def record(self) -> Record:
        """The record of the method.

        Raises:
            ValueError: If there is no such method.
        """
        record = find(self.method)
        if record is None:
            raise ValueError(
                f"`method` must be one of {[x.name for x in records()]}. "
                f"Received: method={self.method!r}"
            )
        return record


@dataclass(frozen=True)
class Training:
    """How weights are trained.

    Args:
        epochs: Epochs to train, at least 1.
        batch_size: Images in a batch, at least 1.
        learning_rate: Schedule of the learning rate; it may end at 0.
        momentum: Nesterov momentum of SGD, in `[0, 1)`.
        l1: Gradient factor of the sign of active weights, at least 0.
        l2: Gradient factor of active weights, at least 0.
        group_lasso: Factor of the norms of the slices, at least 0.
        seed: Integer from 0 to 2**31 - 1.
        optimizer: Name of the optimizer, as in `runs.optimizers`.
        warmup_epochs: Epochs in which the learning rate rises from 0.
        weight_decay: Decoupled weight decay; None for the optimizer's own.
        jit: Whether XLA compiles the steps: `"on"`, `"off"`, or `"auto"`.
        mixed_precision: `"float16"`, `"bfloat16"`, or None.
    """

    epochs: int
    batch_size: int
    learning_rate: Schedule
    momentum: float
    l1: float
    l2: float
    group_lasso: float
    seed: int
    optimizer: str = "sgd"
    warmup_epochs: float = 0.0
    weight_decay: float | None = None
    jit: str = "auto"
    mixed_precision: str | None = None


@dataclass(frozen=True)
class Moves:
    """When weights move.

    Args:
        period: Schedule of the optimizer steps between reallocations, or
            `"auto"`: by the length of the training.
        stop_epoch: Epoch from which on the masks no longer change, or None.
        begin_step: Optimizer step from which on `period` counts.
    """

    period: Any
    stop_epoch: int | None
    begin_step: int = 0


@dataclass(frozen=True)
class Start:
    """The weights and masks to start with.

    Args:
        init_from: Folder of a finished run, or `.keras` file, that gives the
            weights to start with, and the masks, if it is sparse and the
            method trains under masks; or None.
        masks_from: Folder of a finished run that gives its last masks; or None.
        weights_from: Folder of a finished run that gives its first weights;
            `"random"` for fresh weights; or None.
    """

    init_from: str | None
    masks_from: str | None
    weights_from: str | None


@dataclass(frozen=True)
class Execution:
    """Where a run is computed, and which files it keeps.

    These settings do not change the result.

    Args:
        run_dir: Folder that the run writes.
        overwrite: Whether to replace a finished run there, or an unfinished run
            with other settings.
        strategy: Devices and workers to train on, as in
            `distribute.choose_strategy`.
        checkpoint_steps: Optimizer steps between checkpoints within an epoch;
            None for a checkpoint only at the end of each epoch.
        keep_checkpoints: How many of the newest checkpoints to keep.
        keep_best: Metric that selects the network of the best epoch, or None.
        tensorboard: Whether to write for TensorBoard.
    """

    run_dir: str
    overwrite: bool
    strategy: str
    checkpoint_steps: int | None
    keep_checkpoints: int
    keep_best: str | None
    tensorboard: bool


@dataclass(frozen=True)
class Config:
    """Settings of a run.

    Args:
        data: The data that the network is trained on.
        network: The network.
        budget: How many weights are active, and by which method.
        settings: Settings of the method: an instance of its record's
            `settings`.
        training: How weights are trained.
        moves: When weights move.
        start: The weights and masks to start with.
        execution: Where the run is computed, and which files it keeps.
        flags: The settings as flags, one line each, for `flags.cfg`.
        stop: Share of the training after which masks no longer change, where
            neither the method nor a flag says when; or None.

    Raises:
        ValueError: If there is no such method, or `settings` belong to another
            method.
    """

    data: Data
    network: Network
    budget: Budget
    settings: Any
    training: Training
    moves: Moves
    start: Start
    execution: Execution
    flags: str
    stop: float | None = None

    def __post_init__(self) -> None:
        own = self.record.settings
        if not isinstance(self.settings, own):
            raise ValueError(
                f"`settings` must be an instance of {own.__module__}."
                f"{own.__qualname__} for method={self.record.name}. "
                f"Received: settings={self.settings!r}"
            )

    @property
    def record(self) -> Record:
        """The record of the method."""
        return self.budget.record
