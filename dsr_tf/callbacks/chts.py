"""Cannistraci-Hebb training with the soft rule as a callback."""

from collections.abc import Mapping

import keras

from dsr_tf import methods
from dsr_tf.callbacks.falling import falling
from dsr_tf.callbacks.reallocate import Reallocate
from dsr_tf.schedules import DEFAULT_PERIOD
from dsr_tf.schedules import End
from dsr_tf.schedules import Linear
from dsr_tf.schedules import Schedule

_RISING = Linear(1.0, 3.0)


@keras.saving.register_keras_serializable("dsr_tf")
class CHTs(Reallocate):
    """Replaces weights by draws: by their magnitude, and by topology.

    Of the `M` active weights of a tensor `int(drop_fraction * M)` are pruned.
    Those that stay are drawn without replacement, in proportion to
    `|w| ** sharpness`. The new ones are drawn in proportion to their CH2-L3n
    scores: a position scores high if many paths of three links join its input
    and its output, over units with few other links. They begin at 0.

    The graph is that of inputs and outputs of each kernel as a matrix. Inputs
    of a convolution are the weights of a window over all its channels; with
    `granularity="kernel"` they are channels, and with blocks, rows of blocks.

    It differs from the authors' method in some points:

    * What is pruned does not come back in the same replacement.
    * Masks begin as those of the model, and not from correlations of inputs.
    * Weights go by their magnitude. Relative importance, which suits some data
      sets better, is left out, and so is the density that falls (CHTss).
    * `percolate` looks at consecutive sparse layers of single weights alone. It
      does not know of attention, of residual connections, or of layers between
      that are dense.

    A replacement holds matrices of float32 of all pairs of a layer's inputs and
    of its outputs: for 3072 inputs and outputs some 300 MB, for one layer at a
    time.

    Args:
        period: Optimizer steps between replacements; `{from_epoch: steps}`;
            or a schedule of `dsr_tf.schedules`. By default a
            hundredth of the training, at least 10. In the
            paper, it is an epoch for image classifiers, and 100 steps for
            transformers.
        drop_fraction: Fraction of the active weights of each tensor that is
            replaced, in `[0, 1)`; `{from_epoch: fraction}`; or a schedule. None
            for 0.3 at first, falling along half a cosine until masks stop at
            three quarters of the training.
        sharpness: Power of a weight in proportion to which it stays, at least
            0; `{from_epoch: number}`; or a schedule. With 0, all weights are
            alike; with a large one, the smallest go. In the paper it is
            `delta / (1 - delta)`, and `delta` rises from .5 to .75.
        percolate: Whether links of units without inputs, or without outputs,
            are replaced too, as in the paper. Only for a plain stack of sparse
            layers, in which the outputs of each are the inputs of the next.
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
    >>> moves = dsr_tf.callbacks.CHTs(period=steps_per_epoch, percolate=True)
    >>> model.fit(x, y, callbacks=[moves])

    Reference:
        [Zhang et al., 2025](https://arxiv.org/abs/2501.19107).
    """

    def __init__(
        self,
        period: int | Mapping[int, int] | Schedule = DEFAULT_PERIOD,
        drop_fraction: float | Mapping[int, float] | Schedule | None = None,
        sharpness: float | Mapping[int, float] | Schedule = _RISING,
        percolate: bool = False,
        stop_epoch: int | None = None,
        seed: int = 0,
        *,
        stop: End = None,
    ) -> None:
        if drop_fraction is None:
            drop_fraction, stop = falling(0.3, stop_epoch, stop)
        method = methods.chts(drop_fraction, sharpness, percolate)
        super().__init__(method, period, stop_epoch, seed, stop=stop)
