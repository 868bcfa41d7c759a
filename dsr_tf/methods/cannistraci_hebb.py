"""Cannistraci-Hebb training with the soft rule (CHTs)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from dsr_tf.checks import checked_fraction
from dsr_tf.checks import checked_number
from dsr_tf.checks import checked_switch
from dsr_tf.methods.allocate import what_it_lost
from dsr_tf.methods.context import Context
from dsr_tf.methods.context import SparseTensor
from dsr_tf.methods.grow import Growth
from dsr_tf.methods.link_scores import link_scores
from dsr_tf.methods.method import Method
from dsr_tf.methods.percolation import with_links_of_dead_units
from dsr_tf.methods.prune import Prune
from dsr_tf.methods.record import Record
from dsr_tf.methods.sampling import drawn_inactive
from dsr_tf.methods.sampling import gumbel_noise
from dsr_tf.methods.sampling import ones_at
from dsr_tf.methods.settings import scheduled_fraction
from dsr_tf.methods.settings import scheduled_number
from dsr_tf.methods.settings import switch
from dsr_tf.methods.tracing import compiled
from dsr_tf.methods.tracing import fold
from dsr_tf.methods.tracing import host_numbers
from dsr_tf.methods.tracing import in_turn
from dsr_tf.schedules import Linear
from dsr_tf.schedules import Moment
from dsr_tf.schedules import Schedule
from dsr_tf.schedules import as_schedule

# Numbers of the draws, for their seeds.
_PRUNED, _GROWN = 3, 4
_SMALLEST = np.finfo(np.float32).tiny


@dataclass(frozen=True)
class SampledFraction(Prune):
    """Prunes a part of each tensor by draws: small weights go more often.

    Of `M` active units `int(drop_fraction * M)` are pruned, but never more than
    there are inactive positions, and never all. Those that stay are drawn
    without replacement, in proportion to `|w| ** sharpness`.

    Args:
        drop_fraction: Fraction of the active units, in `[0, 1)`, or a schedule
            of it.
        sharpness: The exponent, at least 0, or a schedule of it. With 0, all
            units are alike; with a large one, the smallest go.
        percolate: Whether links of units that have lost all inputs or outputs
            go too.

    Raises:
        ValueError: If an argument is out of its range.

    Reference:
        [Zhang et al., 2025](https://arxiv.org/abs/2501.19107), equation 2.
    """

    drop_fraction: float | Mapping[int, float] | Schedule
    sharpness: float | Mapping[int, float] | Schedule
    percolate: bool = False

    def __post_init__(self) -> None:
        self._schedules()
        checked_switch("percolate", self.percolate)

    def _schedules(self) -> tuple[Schedule, Schedule]:
        return (
            as_schedule("drop_fraction", self.drop_fraction, checked_fraction),
            as_schedule("sharpness", self.sharpness, checked_number),
        )

    def numbers(
        self, state: Mapping[str, float], moment: Moment
    ) -> Mapping[str, float]:
        fraction, sharpness = (x(moment) for x in self._schedules())
        return {
            "drop_fraction": checked_fraction("drop_fraction", fraction),
            "sharpness": checked_number("sharpness", sharpness),
        }

    def __call__(self, ctx: Context) -> list[tf.Tensor]:
        fraction, sharpness = (
            tf.convert_to_tensor(ctx.numbers[name], tf.float64)
            for name in ("drop_fraction", "sharpness")
        )
        active = ctx.num_active
        counts = tf.cast(fraction * tf.cast(active, tf.float64), tf.int64)
        most = tf.minimum(ctx.num_inactive, active - 1)
        counts = tf.maximum(tf.minimum(counts, most), 0)
        gone = in_turn(
            lambda x, *row: _drawn(x.positions, x.magnitudes, sharpness, *row),
            ctx.tensors,
            host_numbers(counts),
            _seeds(ctx, ctx.seed, _PRUNED),
        )
        if not self.percolate:
            return gone
        return with_links_of_dead_units(ctx.tensors, gone)


@dataclass(frozen=True)
class ByTopology:
    """Grows units where the graph of a tensor suggests them, at exactly 0.

    Positions are drawn without replacement, in proportion to their scores by
    CH2-L3n in the graph of the units that stay (`link_scores`). Positions that
    no path of three links joins are drawn where the others are too few, all of
    these alike.

    Reference:
        [Zhang et al., 2025](https://arxiv.org/abs/2501.19107), equation 3.
    """

    def __call__(
        self, ctx: Context, counts: tf.Tensor, seed: tf.Tensor
    ) -> list[Growth]:
        """Draws positions for every tensor.

        Args:
            ctx: The network before pruning, and what goes.
            counts: Units to grow in each tensor, shape `(L,)`, int64.
            seed: Shape `(2,)`, int32.

        Returns:
            One `Growth` for each tensor.
        """
        positions = in_turn(
            _drawn_by_topology,
            ctx.tensors,
            ctx.gone or [],
            host_numbers(counts),
            _seeds(ctx, seed, _GROWN),
        )
        return [Growth(row) for row in positions]


def _seeds(ctx: Context, seed: Any, draw: int) -> list[tf.Tensor]:
    own = fold(seed, draw)
    return [fold(own, i) for i in range(len(ctx.tensors))]


@compiled
def _drawn(
    positions: tf.Tensor,
    magnitudes: tf.Tensor,
    sharpness: tf.Tensor,
    count: tf.Tensor,
    seed: tf.Tensor,
) -> tf.Tensor:
    """Draws the units to prune: those that are drawn last."""
    magnitudes = tf.maximum(tf.cast(magnitudes, tf.float64), _SMALLEST)
    noise = gumbel_noise(tf.shape(positions), seed)
    order = tf.argsort(sharpness * tf.math.log(magnitudes) + noise, stable=True)
    # Cut once it is int64: a GPU cuts int32, which the order is, on the host.
    return tf.sort(tf.gather(positions, order)[:count])


def _drawn_by_topology(
    tensor: SparseTensor, gone: tf.Tensor, count: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    active = ones_at(tensor.positions, tensor.num_units)
    stay = active - ones_at(gone, tensor.num_units)
    scores = link_scores(tensor.grid.matrix(stay))
    return drawn_inactive(tensor.grid.units(scores), active, count, seed)


_SHARPNESS = Linear(1.0, 3.0)


def chts(
    drop_fraction: Any = 0.3,
    sharpness: Any = _SHARPNESS,
    percolate: bool = False,
) -> Method:
    """Returns Cannistraci-Hebb training with the soft rule.

    Args:
        drop_fraction: `zeta`, fraction of the active weights of each tensor
            that is replaced, in `[0, 1)`, or a schedule of it.
        sharpness: `delta / (1 - delta)`, the power of a weight in proportion to
            which it stays, at least 0, or a schedule of it.
        percolate: Whether the links of dead units are replaced too.

    Reference:
        [Zhang et al., 2025](https://arxiv.org/abs/2501.19107).
    """
    rule = SampledFraction(drop_fraction, sharpness, percolate)
    return Method(rule, what_it_lost, ByTopology())


@dataclass(frozen=True)
class Settings:
    """The settings of `--method=chts`."""

    drop_fraction: Any = scheduled_fraction(
        0.3, "Fraction of the weights of each tensor that is replaced."
    )
    sharpness: Any = scheduled_number(
        _SHARPNESS,
        "Power of a weight in proportion to which it is kept: above 1, large "
        "weights stay more surely.",
    )
    percolate: bool = switch(
        False,
        "Whether links of units without inputs or outputs are replaced, in a "
        "plain stack of layers.",
    )


RECORD = Record(
    name="chts",
    help="Cannistraci-Hebb training with the soft rule",
    label="CHTs",
    settings=Settings,
    build=lambda settings, sparsity: chts(**vars(settings)),
    keeps_counts=True,
    settles=True,
)
