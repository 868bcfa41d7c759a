"""Gradual magnitude pruning as a callback."""

from collections.abc import Mapping

import keras

from dsr_tf import methods
from dsr_tf.callbacks.reallocate import Reallocate
from dsr_tf.schedules import DEFAULT_PERIOD
from dsr_tf.schedules import Schedule


@keras.saving.register_keras_serializable("dsr_tf")
class GradualPruning(Reallocate):
    """Prunes the smallest weights in steps, until a sparsity is reached.

    The model must be trained, and have sparse layers with `sparsity=0`, or with
    any sparsity below that of the end. By default the sparsity is reached at
    three quarters of the training. With `num_prunes`, prune `k` comes
    `begin_step + k * period` optimizer steps after the start. After the last
    one the layers together hold exactly as many weights as new sparse layers of
    that sparsity would. No weight is regrown. Slices or blocks that move as one
    stay whole, so the count may end lower by less than one.

    Args:
        sparsity: Fraction of zeros at the end, in `[0, 1)`.
        num_prunes: Number of prunes, at least 1; None to prune until a share of
            the training.
        period: Optimizer steps between prunes; `{from_epoch: steps}`;
            or a schedule of `dsr_tf.schedules`. By default a
            hundredth of the training, at least 10.
        schedule: `"cubic"`, or `"exponential"`.
        across_tensors: Whether the weights of all layers are ranked together,
            so that some layers become sparser than others; otherwise every
            layer gets the same sparsity.
        stop_epoch: Epoch, counted from 0, from which on nothing is pruned;
            None to go on to the end.
        initial_sparsity: Sparsity to begin from, in `[0, 1)` and at most
            `sparsity`. The first prune goes beyond it.
        begin_step: Optimizer step from which on `period` counts; 0 unless
            `num_prunes` is given.
        power: Exponent of the cubic schedule, above 0: 1 for a straight line.
            The exponential one takes 3 alone.
        until: Where the sparsity is reached, if `num_prunes` is None: a share
            of the training, a float in `(0, 1]`, or an optimizer step.

    Raises:
        ValueError: If an argument is out of its range; when training begins,
            if the model has no trainable sparse layer, or too few weights, or
            `fit` ends before the last prune.
        FloatingPointError: At a prune, or at the end of an epoch, if a weight
            is NaN or infinite.

    Example:
    >>> prune = dsr_tf.callbacks.GradualPruning(0.9)
    >>> model.fit(x, y, epochs=10, callbacks=[prune])

    Reference:
        [Zhu & Gupta, 2017](https://arxiv.org/abs/1710.01878), equation 1.
    """

    def __init__(
        self,
        sparsity: float,
        num_prunes: int | None = None,
        period: int | Mapping[int, int] | Schedule = DEFAULT_PERIOD,
        schedule: str = "cubic",
        across_tensors: bool = True,
        stop_epoch: int | None = None,
        initial_sparsity: float = 0.0,
        begin_step: int = 0,
        power: float = 3.0,
        until: float = 0.75,
    ) -> None:
        if num_prunes is None and begin_step:
            raise ValueError(
                "`num_prunes` must be given with `begin_step`. "
                f"Received: num_prunes=None, begin_step={begin_step}"
            )
        method = methods.gradual_pruning(
            sparsity,
            num_prunes,
            schedule,
            across_tensors,
            initial_sparsity,
            power,
            until,
        )
        super().__init__(method, period, stop_epoch, begin_step=begin_step)
