"""Deep rewiring as a callback."""

from collections.abc import Mapping

import keras

from dsr_tf import methods
from dsr_tf.callbacks.reallocate import Reallocate
from dsr_tf.schedules import ByShare
from dsr_tf.schedules import Schedule

_TEMPERATURE = ByShare({0.0: 1e-5, 0.25: 1e-8, 0.5: 1e-12, 0.75: 1e-15})


@keras.saving.register_keras_serializable("dsr_tf")
class DeepR(Reallocate):
    """Adds noise, and replaces every weight that crosses zero.

    After every optimizer step noise N(0, 2·`noise_rate`·`temperature`) is
    added to the active weights. Weights whose sign then differs from their
    first sign are pruned. The same number is grown in the same tensor, at
    random positions, at 0, with random signs. Put an L1 penalty on the kernels:
    the method needs it.

    Compile the model with `steps_per_execution=1`; otherwise the method acts
    only once in each execution.

    Args:
        temperature: `T`, at least 0; `{from_epoch: temperature}`; or a
            schedule of `dsr_tf.schedules`. By default 1e-5, and 1e-8, 1e-12 and
            1e-15 from each quarter of the training on.
        noise_rate: `eta`, the learning rate in the formula of the noise, at
            least 0.
        stop_epoch: Epoch, counted from 0, from which on there is neither noise
            nor rewiring; None to go on to the end.
        seed: Integer from 0 to 2**31 - 1. Equal seeds give equal runs.

    Raises:
        ValueError: If an argument is out of its range; when training begins,
            if the model has no trainable sparse layer, or one that moves
            slices or blocks.
        FloatingPointError: At a step, if a weight is NaN or infinite.

    Example:
    >>> rewire = dsr_tf.callbacks.DeepR({0: 1e-5, 25: 1e-8})
    >>> model.fit(x, y, callbacks=[rewire])

    Reference:
        [Bellec et al., 2018](https://arxiv.org/abs/1711.05136), Algorithm 1,
        with the settings of
        [Mostafa & Wang, 2019](https://arxiv.org/abs/1902.05967), code.
    """

    def __init__(
        self,
        temperature: float | Mapping[int, float] | Schedule = _TEMPERATURE,
        noise_rate: float = 0.01,
        stop_epoch: int | None = None,
        seed: int = 0,
    ) -> None:
        method = methods.deepr(temperature, noise_rate)
        super().__init__(method, 1, stop_epoch, seed)
