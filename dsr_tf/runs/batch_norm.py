"""Averages of batch normalisation, by the length of a training."""

from collections.abc import Sequence

import keras
import numpy as np

from dsr_tf.data.load import is_own as is_own_data
from dsr_tf.layers.tree import all_layers
from dsr_tf.runs.build import is_own
from dsr_tf.runs.config import Config
from dsr_tf.runs.own_network import is_file
from dsr_tf.runs.own_network import is_function

# The most that what averages begin with may weigh in them at the end.
_MOST_LEFT = 0.05
# Averages that are shortened go over this share of the training.
_SHARE = 0.1


def settle_averages(
    config: Config,
    networks: Sequence[keras.Model],
    steps_per_epoch: int,
    earlier_epochs: int = 0,
) -> str | None:
    """Shortens averages that a training is too short for.

    A network is tested with them, and they begin at a mean of 0 and a variance
    of 1. Those of `keras.applications` go over 100 or 1,000 steps. Networks of
    the user's own stay as they are, and so do those of the paper on published
    data. Averages of a trained network are settled.

    Args:
        config: Settings of the run.
        networks: The network of the run, and others of the same layers.
        steps_per_epoch: Optimizer steps in an epoch.
        earlier_epochs: Epochs of the run that goes on; 0 if it begins.

    Returns:
        What was done, or what is to be done, in words; None if nothing.

    Raises:
        ValueError: If a run that goes on had other averages.
    """
    model, epochs = config.network.model, config.training.epochs
    if not is_own(model) and not is_own_data(config.data.dataset):
        return None
    num_steps = epochs * steps_per_epoch
    layers = [x for net in networks for x in _new(net)]
    unsettled = [x for x in layers if _settled(x, num_steps) != x.momentum]
    if is_function(model) or is_file(model):
        return _advice(unsettled, num_steps)
    before = (earlier_epochs or epochs) * steps_per_epoch
    if any(_settled(x, before) != _settled(x, num_steps) for x in layers):
        raise ValueError(
            "`epochs` must be those of the run in `run_dir`, where batch "
            "normalisation averages over a share of the training. Name another "
            "--run_dir; --init_from begins it with the weights of a finished "
            "run. "
            f"Received: epochs={epochs}, and {earlier_epochs} there"
        )
    return _shortened(unsettled, num_steps)


def _new(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """Returns the layers whose averages are still what they begin with."""
    return [
        layer
        for layer in all_layers(model)
        if isinstance(layer, keras.layers.BatchNormalization)
        and layer.built
        and layer.trainable
        and not np.any(keras.ops.convert_to_numpy(layer.moving_mean))
        and np.all(keras.ops.convert_to_numpy(layer.moving_variance) == 1)
    ]


def _settled(layer: keras.layers.BatchNormalization, num_steps: int) -> float:
    """Returns a momentum with which the averages settle in time.

    That is the layer's own where it does, or is 1, as none moves with it.
    """
    if not _MOST_LEFT < layer.momentum**num_steps < 1:
        return layer.momentum
    return _shorter(num_steps)


def _shorter(num_steps: int) -> float:
    return 1 - 1 / max(2, _SHARE * num_steps)


def _shortened(
    layers: Sequence[keras.layers.BatchNormalization], num_steps: int
) -> str | None:
    if not layers:
        return None
    before = max(layer.momentum for layer in layers)
    for layer in layers:
        layer.momentum = _shorter(num_steps)
    return (
        f"batch normalisation averages over {_steps(_shorter(num_steps))} "
        f"steps instead of {_steps(before)}, as the training has {num_steps:,}"
    )


def _advice(
    layers: Sequence[keras.layers.BatchNormalization], num_steps: int
) -> str | None:
    if not layers:
        return None
    before = max(layer.momentum for layer in layers)
    return (
        f"batch normalisation averages over {_steps(before)} steps, and the "
        f"training has {num_steps:,}: the network is tested with values near "
        "to those that averages begin with. Train longer, or give its layers "
        f"a momentum of {_shorter(num_steps):.3g}"
    )


def _steps(momentum: float) -> str:
    """Returns the steps that an average goes over, in words."""
    return f"{round(1 / (1 - momentum)):,}"
