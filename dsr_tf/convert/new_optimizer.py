"""Optimizers of models whose weights were exchanged."""

from typing import Any

import keras

from dsr_tf.layers.slots import trained_variables


def begin_anew(model: Any) -> None:
    """Gives a model a new optimizer, if the old one trains other weights.

    Keras builds the optimizer of a copy, with the weights that it has then.

    Args:
        model: A built model, compiled or not.
    """
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None or not trains_others(model):
        return
    with model.distribute_strategy.scope():
        new = type(optimizer).from_config(optimizer.get_config())
        new.build(model.trainable_variables)
    model.optimizer = new


def trains_others(model: keras.Model) -> bool:
    """Tells whether the built optimizer of a model trains other weights."""
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None or not optimizer.built:
        return False
    own = {id(x) for x in model.trainable_variables}
    return own != {id(x) for x in trained_variables(optimizer)}
