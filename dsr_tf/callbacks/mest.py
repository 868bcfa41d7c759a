"""Elastic mutation (MEST) as a callback."""

from collections.abc import Mapping

import keras

from dsr_tf import methods
from dsr_tf.callbacks.reallocate import Reallocate
from dsr_tf.schedules import DEFAULT_PERIOD
from dsr_tf.schedules import End
from dsr_tf.schedules import Schedule


@keras.saving.register_keras_serializable("dsr_tf")
class MEST(Reallocate):
    """Replaces weights of small magnitude and gradient by random ones.

    A fifth of the active weights of each tensor are replaced, those of the
    smallest `|w| + gradient_weight * |gradient|`; a tenth of them from 9/16
    of the training on, and none from 3/4 on.

    With `soft=True` (EM&S) the network begins denser than its budget: with 5 %
    of all weights more, and 2.5 % more from 9/16 of the training on. From 3/4
    on, it holds exactly what new sparse layers of `sparsity` hold. Make it with
    `sparsity - 0.05`.

    Args:
        period: Optimizer steps between reallocations; `{from_epoch: steps}`;
            or a schedule of `dsr_tf.schedules`. By default a
            hundredth of the training, at least 10. The
            authors take five epochs.
        gradient_weight: `lambda`, at least 0. The authors' scripts give none.
        soft: Whether the network begins denser.
        sparsity: With `soft`, fraction of zeros at the end, in `[0, 1)`.
        stop: When masks stop changing: a share of the training, a float in
            `(0, 1]`; an optimizer step, an integer; a `schedules.FromEpoch`;
            or None for never.
        seed: Integer from 0 to 2**31 - 1. Equal seeds give equal runs.

    Raises:
        ValueError: If an argument is out of its range; when training begins,
            if the model has no trainable sparse layer, or too
            few weights, or `fit` ends before the sparsity is reached.
        FloatingPointError: At a reallocation, or at the end of an epoch, if a
            weight is NaN or infinite.

    Example:
    >>> model.fit(x, y, callbacks=[dsr_tf.callbacks.MEST(period=3000)])

    Reference:
        [Yuan et al., 2021](https://arxiv.org/abs/2110.14032); shares and steps
        by the scripts of its authors, for sparsities of .9 and .95.
    """

    def __init__(
        self,
        period: int | Mapping[int, int] | Schedule = DEFAULT_PERIOD,
        gradient_weight: float = 0.5,
        soft: bool = False,
        sparsity: float | None = None,
        stop: End = None,
        seed: int = 0,
    ) -> None:
        method = methods.mest(gradient_weight, soft, sparsity)
        super().__init__(method, period, seed=seed, stop=stop)
