"""From a configuration to Keras objects."""

import math

import keras

from dsr_tf import models
from dsr_tf.callbacks import DSR
from dsr_tf.callbacks import Reallocate
from dsr_tf.data import Images
from dsr_tf.train.config import Config

MODELS = {"lenet_300_100": models.lenet_300_100}


def build_model(config: Config, images: Images) -> keras.Model:
    """Builds the network for the images' shape and classes."""
    return MODELS[config.model](
        input_shape=images.image_shape,
        num_classes=images.num_classes,
        sparsity=config.sparsity,
        granularity=config.granularity,
        l1=config.l1,
        l2=config.l2,
        seed=config.seed,
    )


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
    """Builds the callback of the method; None where masks never move."""
    if config.method == "static":
        return None
    return DSR(
        num_pruned=config.num_pruned,
        period=config.period,
        tolerance=config.tolerance,
        initial_threshold=config.initial_threshold,
        regrow_stddev=config.regrow_stddev,
        stop_epoch=config.stop_epoch,
        seed=config.seed,
    )


def steps_per_execution(config: Config, steps_per_epoch: int) -> int:
    """Returns the longest execution that ends wherever something is due.

    It divides the epoch, and every period of the schedule that is used.
    """
    if config.method == "static":
        return steps_per_epoch
    last = min(config.epochs, config.stop_epoch or config.epochs)
    periods = [p for start, p in config.period.items() if start < last]
    return math.gcd(steps_per_epoch, *periods)
