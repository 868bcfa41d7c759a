"""Sparse momentum as a callback."""

from collections.abc import Mapping

import keras

from dsr_tf import methods
from dsr_tf.callbacks.reallocate import Reallocate
from dsr_tf.methods.sparse_momentum import DROP_FRACTION
from dsr_tf.schedules import DEFAULT_PERIOD
from dsr_tf.schedules import WHOLE
from dsr_tf.schedules import End
from dsr_tf.schedules import Schedule


@keras.saving.register_keras_serializable("dsr_tf")
class SNFS(Reallocate):
    """Moves weights to where the momentum is large, in and across tensors.

    Of the `M` active weights of a tensor the `int(drop_fraction * M)` smallest
    are pruned. Tensors get back weights in proportion to the mean magnitude of
    the momentum of their active weights, and they grow, at 0, where that of
    inactive ones is largest. The number of active weights over all tensors
    never changes; in the authors' code it does.

    The momentum is a running mean of gradients with a decay of 0.9, whatever
    the optimizer is. Gradients of all positions are needed for it in the 66
    steps before a reallocation, and computed in these alone.

    Args:
        period: Optimizer steps between reallocations; `{from_epoch: steps}`;
            or a schedule of `dsr_tf.schedules`. By default a
            hundredth of the training, at least 10. The
            authors take an epoch.
        drop_fraction: Fraction of the active weights of each tensor that is
            pruned, in `[0, 1)`; `{from_epoch: fraction}`; or a schedule of
            `dsr_tf.schedules`. By default it falls from 0.5 to 0.005 over the
            training, along half a cosine.
        stop: When masks stop changing: a share of the training, a float in
            `(0, 1]`; an optimizer step, an integer; a `schedules.FromEpoch`;
            or None for never. By default 1.0, the end: all steps but the very
            last, whose new weights nothing would train.
        seed: Integer from 0 to 2**31 - 1. Equal seeds give equal runs.

    Raises:
        ValueError: If an argument is out of its range; when training begins,
            if the model has no trainable sparse layer.
        FloatingPointError: At a reallocation, or at the end of an epoch, if a
            weight is NaN or infinite.

    Example:
    >>> model.fit(x, y, callbacks=[dsr_tf.callbacks.SNFS(period=600)])

    Reference:
        [Dettmers & Zettlemoyer, 2019](https://arxiv.org/abs/1907.04840).
    """

    def __init__(
        self,
        period: int | Mapping[int, int] | Schedule = DEFAULT_PERIOD,
        drop_fraction: float | Mapping[int, float] | Schedule = DROP_FRACTION,
        stop: End = WHOLE,
        seed: int = 0,
    ) -> None:
        method = methods.sparse_momentum(drop_fraction)
        super().__init__(method, period, seed=seed, stop=stop)
