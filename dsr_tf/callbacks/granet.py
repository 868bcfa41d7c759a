"""GraNet as a callback."""

from collections.abc import Mapping

import keras

from dsr_tf import methods
from dsr_tf.callbacks.reallocate import Reallocate
from dsr_tf.methods.regeneration import DROP_FRACTION
from dsr_tf.schedules import DEFAULT_PERIOD
from dsr_tf.schedules import WHOLE
from dsr_tf.schedules import End
from dsr_tf.schedules import Schedule


@keras.saving.register_keras_serializable("dsr_tf")
class GraNet(Reallocate):
    """Prunes gradually, and replaces weights on its way and after it.

    The model begins with sparse layers of `initial_sparsity`. At each
    reallocation the smallest weights of all tensors go for good, down to the
    number that a cubic schedule allows; from `until` on that is the number that
    new sparse layers of `sparsity` hold, exactly. Then a fraction of each
    tensor, its smallest weights, is replaced by growth at the largest
    gradients. The authors let what has just been pruned grow again; here it
    does not.

    Args:
        sparsity: Fraction of zeros at the end, in `[0, 1)`.
        period: Optimizer steps between reallocations; `{from_epoch: steps}`;
            or a schedule of `dsr_tf.schedules`. By default a
            hundredth of the training, at least 10. The
            authors take 1,000 on CIFAR and 4,000 on ImageNet.
        initial_sparsity: Fraction of zeros that the model begins with, at most
            `sparsity`.
        drop_fraction: Fraction of the active weights of each tensor that is
            replaced, in `[0, 1)`; `{from_epoch: fraction}`; or a schedule of
            `dsr_tf.schedules`. By default it falls from 0.5 to 0.005 over the
            training, along half a cosine.
        until: Where `sparsity` is reached: a share of the training, a float in
            `(0, 1]`, or an optimizer step, an integer of at least 2.
        stop: When masks stop changing: a share of the training, a float in
            `(0, 1]`; an optimizer step, an integer; a `schedules.FromEpoch`;
            or None for never. By default 1.0, the end: all steps but the very
            last, whose new weights nothing would train.
        seed: Integer from 0 to 2**31 - 1. Equal seeds give equal runs.

    Raises:
        ValueError: If an argument is out of its range; when training begins,
            if the model has no trainable sparse layer, or too
            few weights, or `fit` ends before the sparsity is reached.
        FloatingPointError: At a reallocation, or at the end of an epoch, if a
            weight is NaN or infinite.

    Example:
    >>> model = dsr_tf.sparsify(dense, 0.5, distribution="erk")
    >>> model.fit(x, y, callbacks=[dsr_tf.callbacks.GraNet(0.9, period=1000)])

    Reference:
        [Liu et al., 2021](https://arxiv.org/abs/2106.10404), Algorithm 1.
    """

    def __init__(
        self,
        sparsity: float,
        period: int | Mapping[int, int] | Schedule = DEFAULT_PERIOD,
        initial_sparsity: float = 0.5,
        drop_fraction: float | Mapping[int, float] | Schedule = DROP_FRACTION,
        until: float = 0.5,
        stop: End = WHOLE,
        seed: int = 0,
    ) -> None:
        method = methods.granet(
            sparsity, initial_sparsity, drop_fraction, until
        )
        super().__init__(method, period, seed=seed, stop=stop)
