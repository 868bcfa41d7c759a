"""Sparse evolutionary training as a callback."""

from collections.abc import Mapping

from dsr_tf import methods
from dsr_tf.callbacks.reallocate import Reallocate
from dsr_tf.schedules import Schedule


class SET(Reallocate):
    """Replaces the smallest weights of every tensor by random ones.

    Of the `M` active weights of a tensor the `int(drop_fraction * M) + 1`
    smallest are pruned, and the same number is grown at random in that tensor.

    Args:
        drop_fraction: Fraction of the active weights of each tensor that is
            replaced, in `[0, 1)`; `{from_epoch: fraction}`; or a schedule of
            `dsr_tf.schedules`.
        period: Optimizer steps between replacements;
            `{from_epoch: steps}`; or a schedule of `dsr_tf.schedules`.
        stop_epoch: Epoch, counted from 0, from which on masks do not change;
            None to go on to the end.
        seed: Integer from 0 to 2**31 - 1. Equal seeds give equal runs.

    Raises:
        ValueError: If an argument is out of its range; when training begins,
            if the model has no trainable sparse layer.
        FloatingPointError: At a replacement, or at the end of an epoch, if a
            weight is NaN or infinite.

    Example:
    >>> model.fit(x, y, callbacks=[dsr_tf.callbacks.SET(0.1, period=100)])

    Reference:
        [Mocanu et al., 2018](https://arxiv.org/abs/1707.04780); the count
        follows the code of
        [Mostafa & Wang, 2019](https://arxiv.org/abs/1902.05967).
    """

    def __init__(
        self,
        drop_fraction: float | Mapping[int, float] | Schedule,
        period: int | Mapping[int, int] | Schedule,
        stop_epoch: int | None = None,
        seed: int = 0,
    ) -> None:
        method = methods.set_method(drop_fraction)
        super().__init__(method, period, stop_epoch, seed)
