"""RigL as a callback."""

from collections.abc import Mapping
from typing import Any

import keras

from dsr_tf import methods
from dsr_tf.callbacks.falling import falling_until
from dsr_tf.callbacks.reallocate import Reallocate
from dsr_tf.checks import checked_fraction
from dsr_tf.checks import is_number
from dsr_tf.schedules import DEFAULT_PERIOD
from dsr_tf.schedules import End
from dsr_tf.schedules import FromEpoch
from dsr_tf.schedules import Schedule


@keras.saving.register_keras_serializable("dsr_tf")
class RigL(Reallocate):
    """Replaces the smallest weights where the gradient is largest.

    Of the `M` active weights of a tensor the `int(drop_fraction * M)` smallest
    are pruned. The same number grows in that tensor, at 0, where the gradient
    of the loss is largest in magnitude. That is the gradient of the last batch,
    or of all batches of an optimizer step, at the weights before that step. It
    is computed in these steps alone.

    The authors skip the optimizer's update in the step of a reallocation. Here
    it is taken, as `fit` takes it before callbacks run; weights that grow begin
    at 0 after it, with fresh slots.

    Args:
        drop_fraction: Fraction of the active weights of each tensor that is
            replaced at first, in `[0, 1)`: it falls to 0 at `stop`, or at the
            end, along half a cosine. Or a mapping, `{from_epoch: fraction}`, or
            a schedule of `dsr_tf.schedules`, which is taken as it is.
        period: Optimizer steps between reallocations; `{from_epoch: steps}`;
            or a schedule of `dsr_tf.schedules`. By default a
            hundredth of the training, at least 10.
        stop: When masks stop changing: a share of the training, a float in
            `(0, 1]`; an optimizer step, an integer; a `schedules.FromEpoch`,
            with which the fraction does not fall; or None for never.
        seed: Integer from 0 to 2**31 - 1. Equal seeds give equal runs.

    Raises:
        ValueError: If an argument is out of its range; when training begins,
            if the model has no trainable sparse layer.
        FloatingPointError: At a reallocation, or at the end of an epoch, if a
            weight is NaN or infinite.

    Example:
    >>> model.fit(x, y, epochs=10, callbacks=[dsr_tf.callbacks.RigL()])

    Reference:
        [Evci et al., 2020](https://arxiv.org/abs/1911.11134), Algorithm 1.
    """

    def __init__(
        self,
        drop_fraction: float | Mapping[int, float] | Schedule = 0.3,
        period: int | Mapping[int, int] | Schedule = DEFAULT_PERIOD,
        stop: End = 0.75,
        seed: int = 0,
    ) -> None:
        if is_number(drop_fraction):
            drop_fraction = _falling(drop_fraction, stop)
        method = methods.rigl(drop_fraction)
        super().__init__(method, period, seed=seed, stop=stop)


def _falling(drop_fraction: Any, stop: End) -> float | Schedule:
    """Returns a fraction that falls to 0, unless the end is an epoch."""
    fraction = checked_fraction("drop_fraction", drop_fraction)
    if isinstance(stop, FromEpoch):
        return fraction
    return falling_until(fraction, 1.0 if stop is None else stop)
