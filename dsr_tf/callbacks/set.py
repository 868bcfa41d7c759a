"""Sparse evolutionary training as a callback."""

from collections.abc import Mapping

import keras

from dsr_tf import methods
from dsr_tf.callbacks.falling import falling
from dsr_tf.callbacks.reallocate import Reallocate
from dsr_tf.schedules import DEFAULT_PERIOD
from dsr_tf.schedules import End
from dsr_tf.schedules import Schedule


@keras.saving.register_keras_serializable("dsr_tf")
class SET(Reallocate):
    """Replaces the smallest weights of every tensor by random ones.

    Of the `M` active weights of a tensor the `int(drop_fraction * M) + 1`
    smallest are pruned, and the same number is grown at random in that tensor.

    Args:
        drop_fraction: Fraction of the active weights of each tensor that is
            replaced, in `[0, 1)`; `{from_epoch: fraction}`; or a schedule of
            `dsr_tf.schedules`. None for 0.3 at first, falling along half a
            cosine until masks stop at three quarters of the training.
        period: Optimizer steps between replacements; `{from_epoch: steps}`;
            or a schedule of `dsr_tf.schedules`. By default a
            hundredth of the training, at least 10.
        stop_epoch: Epoch, counted from 0, from which on masks do not change;
            None to go on to the end.
        seed: Integer from 0 to 2**31 - 1. Equal seeds give equal runs.
        stop: The same, as a share of the training, a float in `(0, 1]`, or as
            an optimizer step, an integer.

    Raises:
        ValueError: If an argument is out of its range; when training begins,
            if the model has no trainable sparse layer.
        FloatingPointError: At a replacement, or at the end of an epoch, if a
            weight is NaN or infinite.

    Example:
    >>> model.fit(x, y, epochs=10, callbacks=[dsr_tf.callbacks.SET()])

    Reference:
        [Mocanu et al., 2018](https://arxiv.org/abs/1707.04780); the count
        follows the code of
        [Mostafa & Wang, 2019](https://arxiv.org/abs/1902.05967).
    """

    def __init__(
        self,
        drop_fraction: float | Mapping[int, float] | Schedule | None = None,
        period: int | Mapping[int, int] | Schedule = DEFAULT_PERIOD,
        stop_epoch: int | None = None,
        seed: int = 0,
        *,
        stop: End = None,
    ) -> None:
        if drop_fraction is None:
            drop_fraction, stop = falling(0.3, stop_epoch, stop)
        method = methods.set_method(drop_fraction)
        super().__init__(method, period, stop_epoch, seed, stop=stop)
