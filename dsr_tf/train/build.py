"""From a configuration to Keras objects."""

import math
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from dsr_tf import models
from dsr_tf.callbacks import DSR
from dsr_tf.callbacks import SET
from dsr_tf.callbacks import DeepR
from dsr_tf.callbacks import GradualPruning
from dsr_tf.callbacks import Reallocate
from dsr_tf.layers import budgeted_layers
from dsr_tf.train.config import Config

MODELS: dict[str, Callable[..., keras.Model]] = {
    "lenet_300_100": models.lenet_300_100,
    "wide_resnet": models.wide_resnet,
    "resnet50": models.resnet50,
}
DENSE_METHODS = ("dense", "thin_dense")
# Steps in an execution, during which a signal waits: some seconds at most.
_MOST_STEPS = {"lenet_300_100": 100, "wide_resnet": 10, "resnet50": 10}


def build_dense(
    config: Config, image_shape: tuple[int, ...], num_classes: int
) -> keras.Model:
    """Builds the network of plain Keras layers that a run starts from."""
    # Fresh weights for the masks of another run: no run has such a seed.
    fresh = config.weights_from == "random"
    seed = config.seed + (2**31 if fresh else 0)
    return _network(config, image_shape, num_classes, sparsity=None, seed=seed)


def build_model(
    config: Config, image_shape: tuple[int, ...], num_classes: int
) -> keras.Model:
    """Builds the network that is trained, with its own first masks."""
    if config.method in DENSE_METHODS:
        return build_dense(config, image_shape, num_classes)
    # What is compressed starts dense, with layers that can be pruned.
    sparsity = 0.0 if config.method == "compressed" else config.sparsity
    return _network(
        config,
        image_shape,
        num_classes,
        sparsity=sparsity,
        hashed=config.method == "hashed",
        seed=config.seed,
    )


def _network(
    config: Config,
    image_shape: tuple[int, ...],
    num_classes: int,
    **arguments: Any,
) -> keras.Model:
    if config.width is not None:
        arguments["width"] = config.width
    if config.model == "wide_resnet":
        arguments["depth"] = config.depth
        arguments["sparse_logits"] = config.sparse_logits
    if config.model != "lenet_300_100":
        arguments["granularity"] = config.granularity
        arguments["group_lasso"] = config.group_lasso
    return MODELS[config.model](
        input_shape=image_shape,
        num_classes=num_classes,
        l1=config.l1,
        l2=config.l2,
        **arguments,
    )


def budget(config: Config, model: keras.Model) -> int:
    """Counts the weights that the sparse tensors may hold at the end."""
    layers = budgeted_layers(model)
    if config.method == "compressed":
        return sum(layer.num_kept(config.sparsity) for layer in layers)
    return sum(layer.num_active for layer in layers)


def build_optimizer(
    config: Config, steps_per_epoch: int
) -> keras.optimizers.Optimizer:
    """Builds SGD with Nesterov momentum under the learning-rate schedule."""
    starts = sorted(config.learning_rate)
    values = [config.learning_rate[start] for start in starts]
    if len(values) == 1:
        learning_rate = values[0]
    else:
        # Keras' boundary is the last step of the value before it.
        learning_rate = keras.optimizers.schedules.PiecewiseConstantDecay(
            [start * steps_per_epoch - 1 for start in starts[1:]], values
        )
    return keras.optimizers.SGD(
        learning_rate, momentum=config.momentum, nesterov=config.momentum > 0
    )


def build_reallocation(config: Config) -> Reallocate | None:
    """Builds the callback of the method; None where no mask ever moves."""
    build = _CALLBACKS.get(config.method)
    return build(config) if build else None


def _dsr(config: Config) -> Reallocate:
    return DSR(
        num_pruned=config.num_pruned,
        period=config.period,
        tolerance=config.tolerance,
        initial_threshold=config.initial_threshold,
        regrow_stddev=config.regrow_stddev,
        stop_epoch=config.stop_epoch,
        seed=config.seed,
    )


def _set(config: Config) -> Reallocate:
    return SET(
        drop_fraction=config.drop_fraction,
        period=config.period,
        stop_epoch=config.stop_epoch,
        seed=config.seed,
    )


def _deepr(config: Config) -> Reallocate:
    return DeepR(
        temperature=config.temperature,
        noise_rate=config.noise_rate,
        stop_epoch=config.stop_epoch,
        seed=config.seed,
    )


def _compressed(config: Config) -> Reallocate:
    return GradualPruning(
        sparsity=config.sparsity,
        num_prunes=config.num_prunes,
        period=config.period,
        schedule=config.prune_schedule,
        across_tensors=config.prune_across_tensors,
        stop_epoch=config.stop_epoch,
    )


_CALLBACKS = {
    "dsr": _dsr,
    "set": _set,
    "deepr": _deepr,
    "compressed": _compressed,
}


def jit_compile(config: Config, num_replicas: int) -> str | bool:
    """Returns whether steps are compiled by XLA, as `compile` takes it."""
    if tf.config.list_physical_devices("GPU"):
        return "auto"
    # On a CPU Keras' "auto" is False. There XLA makes steps of dense layers
    # faster, and convolutions twice as slow; of several replicas it fails.
    return config.model == "lenet_300_100" and num_replicas == 1


def _is_slow(config: Config) -> bool:
    """Tells whether convolutions are to be computed on a CPU."""
    has_gpu = bool(tf.config.list_physical_devices("GPU"))
    return config.model != "lenet_300_100" and not has_gpu


def steps_per_execution(config: Config, steps_per_epoch: int) -> int:
    """Returns the longest execution that ends wherever something is due.

    It divides the epoch, and every period of the schedule that is used, and is
    so short that a signal is heard in time.
    """
    if config.method == "deepr" or _is_slow(config):
        return 1
    periods: list[int] = []
    if config.method in _CALLBACKS:
        last = min(config.epochs, config.stop_epoch or config.epochs)
        periods = [p for start, p in config.period.items() if start < last]
    common = math.gcd(steps_per_epoch, *periods)
    most = min(common, _MOST_STEPS[config.model])
    return max(n for n in range(1, most + 1) if common % n == 0)
