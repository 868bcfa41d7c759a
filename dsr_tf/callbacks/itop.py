"""In-time over-parameterization as a callback."""

from collections.abc import Mapping

import keras

from dsr_tf import methods
from dsr_tf.callbacks.reallocate import Reallocate
from dsr_tf.methods.over_parameterization import DROP_FRACTION
from dsr_tf.schedules import DEFAULT_PERIOD
from dsr_tf.schedules import WHOLE
from dsr_tf.schedules import End
from dsr_tf.schedules import Schedule


@keras.saving.register_keras_serializable("dsr_tf")
class ITOP(Reallocate):
    """Replaces weights rarely, so that new ones have time, and to the end.

    Of the `M` active weights of a tensor the `int(drop_fraction * M)` smallest
    are pruned, and the same number grows in that tensor, at 0. What counts is
    that many positions are active at some time, for long enough.

    Args:
        period: Optimizer steps between reallocations; `{from_epoch: steps}`;
            or a schedule of `dsr_tf.schedules`. By default a
            hundredth of the training, at least 10. The
            authors take 4,000 with growth by gradient, and 1,500 at random, on
            VGG with 391 steps an epoch.
        drop_fraction: Fraction of the active weights of each tensor that is
            replaced, in `[0, 1)`; `{from_epoch: fraction}`; or a schedule of
            `dsr_tf.schedules`. By default it falls from 0.5 to 0.005 over the
            training, along half a cosine.
        growth: Where weights grow: where the magnitude of the `"gradient"` is
            largest, or of its running mean, `"momentum"`; or at `"random"`.
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
    >>> model.fit(x, y, callbacks=[dsr_tf.callbacks.ITOP(period=1500)])

    Reference:
        [Liu et al., 2021](https://arxiv.org/abs/2102.02887).
    """

    def __init__(
        self,
        period: int | Mapping[int, int] | Schedule = DEFAULT_PERIOD,
        drop_fraction: float | Mapping[int, float] | Schedule = DROP_FRACTION,
        growth: str = "gradient",
        stop: End = WHOLE,
        seed: int = 0,
    ) -> None:
        method = methods.itop(drop_fraction, growth)
        super().__init__(method, period, seed=seed, stop=stop)
