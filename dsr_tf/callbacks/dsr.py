"""Dynamic sparse reparameterization as a callback."""

from collections.abc import Mapping

from dsr_tf import methods
from dsr_tf.callbacks.reallocate import Reallocate
from dsr_tf.schedules import Schedule


class DSR(Reallocate):
    """Moves weights between sparse layers while the model trains.

    Every `period` optimizer steps the weights below a global threshold are
    pruned, and the same number is grown, at random positions by default. Each
    tensor gets new weights in proportion to its surviving weights. The number
    of active weights over all sparse layers never changes.

    Args:
        num_pruned: Number of weights to prune in a reallocation, or of slices
            or blocks where these move as one; at least 1 and below the budget.
            The threshold adapts to it.
        period: Optimizer steps between reallocations;
            `{from_epoch: steps}`; or a schedule of `dsr_tf.schedules`.
        tolerance: Fraction of `num_pruned` by which the number of pruned
            weights may differ before the threshold is doubled or halved, in
            `[0, 1)`.
        initial_threshold: First threshold on the magnitude of a weight, above
            0.
        regrow_stddev: Standard deviation of new weights, at least 0. With 0,
            as in the paper's text, they start at exactly 0.
        stop_epoch: Epoch, counted from 0, from which on masks do not change;
            None to go on to the end.
        seed: Integer from 0 to 2**31 - 1. Equal seeds give equal runs.
        growth: Where weights grow in a tensor: `"random"`, as in the paper; or
            where the magnitude of the `"gradient"`, or of its running mean,
            `"momentum"`, is largest. `regrow_stddev` is then 0.
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
    >>> model.fit(x, y, callbacks=[dsr_tf.callbacks.DSR(600, period=100)])

    Reference:
        [Mostafa & Wang, 2019](https://arxiv.org/abs/1902.05967), Algorithm 1.
    """

    def __init__(
        self,
        num_pruned: int,
        period: int | Mapping[int, int] | Schedule,
        tolerance: float = 0.1,
        initial_threshold: float = 1e-3,
        regrow_stddev: float = 0.0,
        stop_epoch: int | None = None,
        seed: int = 0,
        *,
        growth: str = "random",
        min_inputs: int = 0,
    ) -> None:
        method = methods.dsr(
            num_pruned,
            tolerance,
            initial_threshold,
            regrow_stddev,
            growth,
            min_inputs,
        )
        super().__init__(method, period, stop_epoch, seed)

    @property
    def threshold(self) -> float:
        """Threshold of the next reallocation, on the magnitude of a weight."""
        if self._current is None:
            return self.method.rule.initial_state()["threshold"]
        return self.state.method["threshold"]
