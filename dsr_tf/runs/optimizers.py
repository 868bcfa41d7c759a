"""Optimizers and learning rates, from the settings of a run."""

import math
from typing import Any

import keras

from dsr_tf.runs.config import Training
from dsr_tf.schedules import ByEpoch
from dsr_tf.schedules import ByShare
from dsr_tf.schedules import Constant
from dsr_tf.schedules import Cosine
from dsr_tf.schedules import Cubic
from dsr_tf.schedules import Exponential
from dsr_tf.schedules import Ramp
from dsr_tf.training import WarmUp

OPTIMIZERS = {
    "sgd": keras.optimizers.SGD,
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "nadam": keras.optimizers.Nadam,
    "adamax": keras.optimizers.Adamax,
    "rmsprop": keras.optimizers.RMSprop,
    "lion": keras.optimizers.Lion,
    "lamb": keras.optimizers.Lamb,
    "adagrad": keras.optimizers.Adagrad,
}


def build_optimizer(
    training: Training, steps_per_epoch: int
) -> keras.optimizers.Optimizer:
    """Builds the optimizer of a run, under its learning-rate schedule."""
    arguments: dict[str, Any] = {
        "learning_rate": _learning_rate(training, steps_per_epoch)
    }
    if training.weight_decay is not None:
        arguments["weight_decay"] = training.weight_decay
    if training.optimizer == "sgd":
        arguments["momentum"] = training.momentum
        arguments["nesterov"] = training.momentum > 0
    return OPTIMIZERS[training.optimizer](**arguments)


def _learning_rate(training: Training, steps_per_epoch: int) -> Any:
    num_steps = training.epochs * steps_per_epoch
    rate = _rate(training.learning_rate, steps_per_epoch, num_steps)
    warmup_steps = round(training.warmup_epochs * steps_per_epoch)
    return WarmUp(rate, warmup_steps) if warmup_steps else rate


def _rate(schedule: Any, steps_per_epoch: int, num_steps: int) -> Any:
    """Returns a schedule as a number, or as one of Keras' schedules."""
    if isinstance(schedule, Constant):
        return schedule.value
    if isinstance(schedule, ByEpoch):
        starts, values = zip(*schedule.entries, strict=True)
        return _piecewise([x * steps_per_epoch for x in starts], values)
    if isinstance(schedule, ByShare):
        shares, values = zip(*schedule.entries, strict=True)
        return _piecewise([math.ceil(x * num_steps) for x in shares], values)
    return _ramp(schedule, num_steps)


def _piecewise(starts: list[int], values: tuple[float, ...]) -> Any:
    if len(values) == 1:
        return values[0]
    # Keras' boundary is the last step of the value before it.
    return keras.optimizers.schedules.PiecewiseConstantDecay(
        [start - 1 for start in starts[1:]], list(values)
    )


def _ramp(schedule: Ramp, num_steps: int) -> Any:
    start, end, until = schedule.start, schedule.end, schedule.until
    steps = until * num_steps if isinstance(until, float) else until
    known = keras.optimizers.schedules
    if isinstance(schedule, Cosine):
        return known.CosineDecay(start, steps, alpha=end / start)
    if isinstance(schedule, Exponential):
        if steps < num_steps:
            raise ValueError(
                "`learning_rate` must go on to the end of the training where "
                "it is exponential. Leave out what follows its END. "
                f"Received: learning_rate={schedule}"
            )
        return known.ExponentialDecay(start, steps, end / start)
    power = 3.0 if isinstance(schedule, Cubic) else 1.0
    return known.PolynomialDecay(start, steps, end, power)
