"""Builds Keras objects from a configuration."""

import math
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from dsr_tf import models
from dsr_tf.callbacks import Reallocate
from dsr_tf.convert import hash_kernels
from dsr_tf.convert import sparsify
from dsr_tf.convert.kernel_sparsities import Scoring
from dsr_tf.layers import budgeted_layers
from dsr_tf.runs import outputs
from dsr_tf.runs.config import AUTO
from dsr_tf.runs.config import Config
from dsr_tf.runs.own_network import check_images
from dsr_tf.runs.own_network import own_network
from dsr_tf.schedules import ByEpoch
from dsr_tf.schedules import ByShare
from dsr_tf.schedules import Constant
from dsr_tf.schedules import Ramp
from dsr_tf.schedules import Times

MODELS: dict[str, Callable[..., keras.Model]] = {
    "lenet_300_100": models.lenet_300_100,
    "mlp": models.mlp,
    "wide_resnet": models.wide_resnet,
    "resnet50": models.resnet50,
}
# Those without convolutions.
_PERCEPTRONS = ("lenet_300_100", "mlp")
_OF_IMAGES = ("wide_resnet", "resnet50")
# Steps in an execution, during which a signal waits: some seconds at most.
_MOST_STEPS = {"lenet_300_100": 100, "mlp": 20}
_MOST_STEPS_OF_OTHERS = 10


def gives_logits(
    config: Config, model: keras.Model, image_shape: tuple[int, ...]
) -> bool:
    """Tells whether the outputs of the network of a run are logits."""
    if not is_own(config.network.model):
        return True
    return outputs.gives_logits(model, image_shape)


def build_dense(
    config: Config, image_shape: tuple[int, ...], num_classes: int
) -> keras.Model:
    """Builds the network of plain Keras layers that a run starts from."""
    # Fresh weights for the masks of another run: no run has such a seed.
    fresh = config.start.weights_from == "random"
    seed = config.training.seed + (2**31 if fresh else 0)
    return _network(config, image_shape, num_classes, sparsity=None, seed=seed)


def build_model(
    config: Config,
    image_shape: tuple[int, ...],
    num_classes: int,
    scoring: Scoring | None = None,
    dense: keras.Model | None = None,
) -> keras.Model:
    """Builds the network that is trained, with its own first masks.

    Args:
        config: Settings of the run.
        image_shape: Height, width and channels.
        num_classes: Number of classes.
        scoring: Scores the weights, where the budget is to be balanced.
        dense: The plain network of these settings, if it is built already.
    """
    record = config.record
    if record.kernels == "dense":
        return build_dense(config, image_shape, num_classes)
    distribution = scoring or config.budget.distribution
    own: dict[str, Any] = {}
    if distribution != "uniform":
        own["distribution"] = distribution
    if is_own(config.network.model):
        # Keras gives other names to the layers of a second one.
        own["dense"] = dense
    return _network(
        config,
        image_shape,
        num_classes,
        sparsity=first_sparsity(config),
        hashed=record.kernels == "hashed",
        seed=config.training.seed,
        **own,
    )


def first_sparsity(config: Config) -> float:
    """Returns the sparsity that the network of a run begins with."""
    record, sparsity = config.record, config.budget.sparsity
    if record.first_sparsity:
        return record.first_sparsity(config.settings, sparsity)
    # What starts dense has layers that can be pruned, too.
    return 0.0 if record.starts_dense else sparsity


def _network(
    config: Config,
    image_shape: tuple[int, ...],
    num_classes: int,
    **arguments: Any,
) -> keras.Model:
    network, training = config.network, config.training
    if is_own(network.model):
        return _own(config, image_shape, num_classes, **arguments)
    if network.model in _OF_IMAGES:
        check_images(network.model, image_shape)
    if network.width is not None:
        arguments["width"] = network.width
    if network.model == "wide_resnet":
        arguments["depth"] = network.depth
        arguments["sparse_logits"] = network.sparse_logits
    if network.model not in _PERCEPTRONS:
        arguments["group_lasso"] = training.group_lasso
    return MODELS[network.model](
        input_shape=image_shape,
        num_classes=num_classes,
        l1=training.l1,
        l2=training.l2,
        granularity=config.budget.granularity,
        storage=config.budget.storage,
        **arguments,
    )


def is_own(model: str) -> bool:
    """Tells whether `--model` names no network of this library."""
    return model not in MODELS


def _own(
    config: Config,
    image_shape: tuple[int, ...],
    num_classes: int,
    sparsity: float | None,
    seed: int,
    hashed: bool = False,
    distribution: Any = "uniform",
    dense: keras.Model | None = None,
) -> keras.Model:
    if dense is None:
        model = config.network.model
        dense = own_network(model, image_shape, num_classes, seed)
    if sparsity is None:
        return dense
    if hashed:
        return hash_kernels(dense, sparsity, seed=seed)
    return sparsify(
        dense,
        sparsity,
        distribution,
        granularity=config.budget.granularity,
        seed=seed,
        storage=config.budget.storage,
    )


def budget(config: Config, model: keras.Model) -> int:
    """Counts the weights that the sparse layers may hold at the end."""
    layers = budgeted_layers(model)
    if first_sparsity(config) < config.budget.sparsity:
        sparsity = config.budget.sparsity
        return sum(layer.num_kept(sparsity) for layer in layers)
    return sum(layer.num_active for layer in layers)


def build_reallocation(config: Config) -> Reallocate | None:
    """Builds the callback of the method; None if no mask ever changes."""
    record = config.record
    if record.build is None:
        return None
    return Reallocate(
        record.build(config.settings, config.budget.sparsity),
        1 if record.every_step else config.moves.period,
        config.moves.stop_epoch,
        config.training.seed,
        begin_step=config.moves.begin_step,
        stop=config.stop,
    )


def jit_compile(config: Config, num_replicas: int) -> str | bool:
    """Returns whether steps are compiled by XLA, as `compile` takes it."""
    jit = config.training.jit
    if jit == "on" and num_replicas > 1:
        raise ValueError(
            "`jit` must be 'auto' or 'off' on several replicas, which XLA "
            f"cannot compile. Received: jit=on with {num_replicas} replicas"
        )
    if jit != "auto":
        return jit == "on"
    if tf.config.list_physical_devices("GPU"):
        return "auto"
    # On a CPU Keras' "auto" is False. There XLA makes steps of dense layers
    # faster, and convolutions twice as slow; of several replicas it fails.
    return config.network.model in _PERCEPTRONS and num_replicas == 1


def by_share(config: Config) -> list[str]:
    """Names the settings whose values depend on the length of the training."""
    values = {**vars(config.settings)}
    values["learning_rate"] = config.training.learning_rate
    if config.record.moves_weights:
        values["period"] = config.moves.period
    return [
        name
        for name, value in values.items()
        if isinstance(value, ByShare | Times)
        or (name == "period" and value == AUTO)
        or (isinstance(value, Ramp) and isinstance(value.until, float))
    ]


def _is_slow(config: Config) -> bool:
    """Tells whether convolutions are to be computed on a CPU."""
    has_gpu = bool(tf.config.list_physical_devices("GPU"))
    return config.network.model not in _PERCEPTRONS and not has_gpu


def steps_per_execution(config: Config, steps_per_epoch: int) -> int:
    """Returns the largest number of steps in an execution that fits the run.

    It divides the epoch, every period of the run and the step where they begin,
    and it is small enough that a signal is handled in time. If the period
    changes from step to step, it is one step.
    """
    if _is_slow(config):
        return 1
    begin = config.moves.begin_step if config.record.moves_weights else 0
    common = math.gcd(steps_per_epoch, begin, *_used_periods(config))
    most = min(
        common, _MOST_STEPS.get(config.network.model, _MOST_STEPS_OF_OTHERS)
    )
    return max(n for n in range(1, most + 1) if common % n == 0)


def _used_periods(config: Config) -> list[int]:
    """Returns the periods that the run uses: one step if they are not known."""
    record, period = config.record, config.moves.period
    # Some steps late is no harm to a period that is only so many times.
    if not record.moves_weights or isinstance(period, Times):
        return []
    if isinstance(period, Constant) and not record.every_step:
        return [period.value]
    if isinstance(period, ByEpoch) and not record.every_step:
        epochs = config.training.epochs
        last = min(epochs, config.moves.stop_epoch or epochs)
        return [steps for start, steps in period.entries if start < last]
    return [1]
