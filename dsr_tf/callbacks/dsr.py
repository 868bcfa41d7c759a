"""Dynamic sparse reparameterization as a callback."""

from collections.abc import Mapping

import keras

from dsr_tf import methods
from dsr_tf.callbacks.falling import falling
from dsr_tf.callbacks.reallocate import Reallocate
from dsr_tf.schedules import DEFAULT_PERIOD
from dsr_tf.schedules import End
from dsr_tf.schedules import Schedule


@keras.saving.register_keras_serializable("dsr_tf")
class DSR(Reallocate):
    """Moves weights between sparse layers while the model trains.

    Every `period` optimizer steps the smallest weights of all tensors are
    pruned, and the same number is grown, at random positions by default. Each
    tensor gets new weights in proportion to its surviving weights. The number
    of active weights over all sparse layers never changes.

    Args:
        num_pruned: How much to prune in a reallocation. A count of weights, or
            of slices or blocks where these move as one, at least 1 and below
            the budget. Or a share of all active weights, a float in `[0, 1)`,
            `{from_epoch: share}`, or a schedule. None for a share of 0.3 at
            first, falling along half a cosine until masks
            stop at three quarters of the training.
        period: Optimizer steps between reallocations; `{from_epoch: steps}`;
            or a schedule of `dsr_tf.schedules`. By default a
            hundredth of the training, at least 10.
        tolerance: With an `initial_threshold`, fraction of `num_pruned` by
            which the number of pruned weights may differ before the threshold
            is doubled or halved, in `[0, 1)`.
        initial_threshold: First threshold on the magnitude of a weight, above
            0. It then adapts to `num_pruned`, a count, as in the paper; a
            reallocation prunes at most four times as many. None to find the
            threshold anew each time, so that just as many are pruned.
        regrow_stddev: Standard deviation of new weights, at least 0. With 0,
            as in the paper's text, they start at exactly 0.
        stop_epoch: Epoch, counted from 0, from which on masks do not change;
            None to go on to the end.
        seed: Integer from 0 to 2**31 - 1. Equal seeds give equal runs.
        growth: Where weights grow in a tensor: `"random"`, as in the paper; or
            where the magnitude of the `"gradient"`, or of its running mean,
            `"momentum"`, is largest; or `"drawn"`, at random in proportion to
            that of the running mean. `regrow_stddev` is then 0.
        stop: When masks stop changing, as `stop_epoch`, but as a share of the
            training, a float in `(0, 1]`, or as an optimizer step, an integer.
        min_inputs: Weights for each output that every layer gets before others
            get more, or slices or blocks where these move as one; 0, as in the
            paper, for none.

    Raises:
        ValueError: If an argument is out of its range; when training begins,
            if the model has no trainable sparse layer, or its budget is too
            small. The budget of a model that is not built yet is known only
            after its first step.
        FloatingPointError: At a reallocation, or at the end of an epoch, if a
            weight is NaN or infinite.

    Example:
    >>> model.fit(x, y, epochs=10, callbacks=[dsr_tf.callbacks.DSR()])

    Reference:
        [Mostafa & Wang, 2019](https://arxiv.org/abs/1902.05967), Algorithm 1.
    """

    def __init__(
        self,
        num_pruned: int | float | Mapping[int, float] | Schedule | None = None,
        period: int | Mapping[int, int] | Schedule = DEFAULT_PERIOD,
        tolerance: float = 0.1,
        initial_threshold: float | None = None,
        regrow_stddev: float = 0.0,
        stop_epoch: int | None = None,
        seed: int = 0,
        *,
        growth: str = "random",
        stop: End = None,
        min_inputs: int = 0,
    ) -> None:
        if num_pruned is None:
            num_pruned, stop = falling(0.3, stop_epoch, stop)
        method = methods.dsr(
            num_pruned,
            tolerance,
            initial_threshold,
            regrow_stddev,
            growth,
            min_inputs,
        )
        super().__init__(method, period, stop_epoch, seed, stop=stop)

    @property
    def threshold(self) -> float:
        """Threshold of the next reallocation, on the magnitude of a weight.

        Raises:
            ValueError: If it is found anew in each reallocation.
        """
        first = self.method.rule.initial_state()
        if not first:
            raise ValueError(
                "`initial_threshold` must be given, so that a threshold "
                "adapts. Received: initial_threshold=None"
            )
        return (self.state.method if self._current else first)["threshold"]
