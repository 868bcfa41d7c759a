"""Averages of batch normalisation, by the length of a training."""

from collections.abc import Sequence

import keras

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
    config: Config, networks: Sequence[keras.Model], num_steps: int
) -> str | None:
    """Shortens averages that a training is too short for.

    A network is tested with them, and they begin at a mean of 0 and a variance
    of 1. Those of `keras.applications` go over 100 or 1,000 steps. What a
    function of the user's makes stays as it is, and so does what is published.
    Averages of a trained network are settled.

    Args:
        config: Settings of the run.
        networks: The network of the run, and others of the same layers.
        num_steps: Optimizer steps of the training.

    Returns:
        What was done, or what is to be done, in words; None if nothing.
    """
    model = config.network.model
    is_published = not is_own(model) and not is_own_data(config.data.dataset)
    if is_published or is_file(model) or config.start.init_from:
        return None
    layers = [x for net in networks for x in _unsettled(net, num_steps)]
    if not layers:
        return None
    before = max(layer.momentum for layer in layers)
    momentum = 1 - 1 / max(2, _SHARE * num_steps)
    if is_function(model):
        return (
            f"batch normalisation averages over {_steps(before)} steps, and "
            f"there are {num_steps:,}: the network is tested with values near "
            "to those that averages begin with. Train longer, or give its "
            f"layers a momentum of {momentum:.3g}"
        )
    for layer in layers:
        layer.momentum = momentum
    return (
        f"batch normalisation averages over {_steps(momentum)} steps instead "
        f"of {_steps(before)}, as there are {num_steps:,}"
    )


def _unsettled(
    model: keras.Model, num_steps: int
) -> list[keras.layers.BatchNormalization]:
    """Returns the layers whose averages keep much of what they begin with."""
    return [
        layer
        for layer in all_layers(model)
        if isinstance(layer, keras.layers.BatchNormalization)
        and layer.trainable
        and _MOST_LEFT < layer.momentum**num_steps < 1
    ]


def _steps(momentum: float) -> str:
    """Returns the steps that an average goes over, in words."""
    return f"{round(1 / (1 - momentum)):,}"
