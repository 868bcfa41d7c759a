"""Gradual magnitude pruning as a callback."""

from collections.abc import Mapping

from dsr_tf import methods
from dsr_tf.callbacks.reallocate import Reallocate
from dsr_tf.schedules import Schedule


class GradualPruning(Reallocate):
    """Prunes the smallest weights in steps, until a sparsity is reached.

    The model must be trained, and have sparse layers with `sparsity=0`, or with
    any sparsity below that of the end. Prune `k` of `n` comes
    `begin_step + k * period` optimizer steps after the start. After the last
    one the layers together hold exactly as many weights as new sparse layers of
    that sparsity would. No weight is regrown. Slices or blocks that move as one
    stay whole, so the count may end lower by less than one.

    Args:
        sparsity: Fraction of zeros at the end, in `[0, 1)`.
        num_prunes: Number of prunes, at least 1.
        period: Optimizer steps between prunes; `{from_epoch: steps}`; or a
            schedule of `dsr_tf.schedules`.
        schedule: `"cubic"`, or `"exponential"`.
        across_tensors: Whether the weights of all layers are ranked together,
            so that some layers become sparser than others; otherwise every
            layer gets the same sparsity.
        stop_epoch: Epoch, counted from 0, from which on nothing is pruned;
            None to go on to the end.
        initial_sparsity: Sparsity to begin from, in `[0, 1)` and at most
            `sparsity`. The first prune goes beyond it.
        begin_step: Optimizer step from which on `period` counts.
        power: Exponent of the cubic schedule, above 0: 1 for a straight line.
            The exponential one takes 3 alone.

    Raises:
        ValueError: If an argument is out of its range; when training begins,
            if the model has no trainable sparse layer, or too few weights, or
            `fit` ends before the last prune.
        FloatingPointError: At a prune, or at the end of an epoch, if a weight
            is NaN or infinite.

    Example:
    >>> prune = dsr_tf.callbacks.GradualPruning(0.9, num_prunes=20, period=100)
    >>> model.fit(x, y, callbacks=[prune])

    Reference:
        [Zhu & Gupta, 2017](https://arxiv.org/abs/1710.01878), equation 1.
    """

    def __init__(
        self,
        sparsity: float,
        num_prunes: int,
        period: int | Mapping[int, int] | Schedule,
        schedule: str = "cubic",
        across_tensors: bool = True,
        stop_epoch: int | None = None,
        initial_sparsity: float = 0.0,
        begin_step: int = 0,
        power: float = 3.0,
    ) -> None:
        method = methods.gradual_pruning(
            sparsity,
            num_prunes,
            schedule,
            across_tensors,
            initial_sparsity,
            power,
        )
        super().__init__(method, period, stop_epoch, begin_step=begin_step)
