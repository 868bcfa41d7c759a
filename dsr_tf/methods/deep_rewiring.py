"""Deep rewiring (DeepR): noise, and pruning where a sign flips."""

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from typing import Any

import tensorflow as tf

from dsr_tf.checks import checked_number
from dsr_tf.checks import keep
from dsr_tf.methods.allocate import what_it_lost
from dsr_tf.methods.context import Context
from dsr_tf.methods.context import Extent
from dsr_tf.methods.context import SparseTensor
from dsr_tf.methods.grow import AtRandom
from dsr_tf.methods.grow import Growth
from dsr_tf.methods.method import Method
from dsr_tf.methods.prune import Prune
from dsr_tf.methods.record import Record
from dsr_tf.methods.settings import number
from dsr_tf.methods.settings import scheduled_number
from dsr_tf.methods.tracing import fold
from dsr_tf.schedules import ByEpoch
from dsr_tf.schedules import Moment
from dsr_tf.schedules import as_schedule

SIGNS = "signs"


@dataclass(frozen=True)
class SignFlipped(Prune):
    """Adds noise, and prunes the weights whose sign has then flipped.

    The sign of a weight is compared with its first sign: the sign when training
    began or resumed, or, for a grown weight, a random sign. A weight of exactly
    0 has no sign, and is not pruned.

    Args:
        temperature: `T`, at least 0, or a schedule of it. The noise is
            N(0, 2·`noise_rate`·`temperature`).
        noise_rate: `eta`, the learning rate in that formula, at least 0.

    Raises:
        ValueError: If an argument is out of its range; in `check`, if a tensor
            moves more than one weight as one.

    Reference:
        [Bellec et al., 2018](https://arxiv.org/abs/1711.05136), Algorithm 1.
    """

    temperature: Any
    noise_rate: float = 0.01

    def __post_init__(self) -> None:
        as_schedule("temperature", self.temperature, checked_number)
        rate = checked_number("noise_rate", self.noise_rate)
        keep(self, noise_rate=rate)

    def numbers(
        self, state: Mapping[str, float], moment: Moment
    ) -> Mapping[str, float]:
        schedule = as_schedule("temperature", self.temperature, checked_number)
        temperature = checked_number("temperature", schedule(moment))
        return {"stddev": (2 * self.noise_rate * temperature) ** 0.5}

    def check(self, extents: Sequence[Extent]) -> None:
        """Refuses tensors that move several weights as one."""
        for extent in extents:
            if extent.unit_size > 1:
                raise ValueError(
                    "`granularity` must be 'weight' in all sparse layers that "
                    "DeepR rewires: several weights have no common sign. "
                    f"Received: units of {extent.unit_size} weights in layer "
                    f"'{extent.name}'"
                )

    def begin(
        self, ctx: Context, seed: tf.Tensor
    ) -> Mapping[str, Sequence[tf.Tensor]]:
        """Returns the signs of weights, and random signs for zeros."""
        signs = [_first_signs(x, seed, i) for i, x in enumerate(ctx.tensors)]
        return {SIGNS: signs}

    def perturb(self, ctx: Context, seed: tf.Tensor) -> Sequence[tf.Tensor]:
        """Adds noise to the active weights."""
        own = fold(seed, 0)
        stddev = tf.cast(ctx.numbers["stddev"], tf.float32)
        return [
            _with_noise(tensor.values, stddev, fold(own, i))
            for i, tensor in enumerate(ctx.tensors)
        ]

    def __call__(self, ctx: Context) -> list[tf.Tensor]:
        return [_flipped(tensor) for tensor in ctx.tensors]


@dataclass(frozen=True)
class AtRandomWithSigns(AtRandom):
    """Grows weights at random positions, at 0, with random first signs."""

    def __call__(
        self, ctx: Context, counts: tf.Tensor, seed: tf.Tensor
    ) -> list[Growth]:
        grown = super().__call__(ctx, counts, fold(seed, 1))
        return [
            replace(
                growth,
                arrays={
                    SIGNS: random_signs(tf.shape(growth.positions), seed, i)
                },
            )
            for i, growth in enumerate(grown)
        ]


def _first_signs(
    tensor: SparseTensor, seed: tf.Tensor, index: int
) -> tf.Tensor:
    drawn = random_signs(tf.constant([tensor.num_units]), seed, index)
    drawn = tf.gather(drawn, tensor.positions)
    before = tensor.arrays.get(SIGNS, drawn)
    # None was drawn for what became active by assignment, from outside.
    before = tf.where(before == 0, drawn, before)
    signs = tf.cast(tf.sign(tensor.values), tf.int8)
    return tf.where(signs == 0, before, signs)


def _with_noise(
    values: tf.Tensor, stddev: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    noise = tf.random.stateless_normal(
        tf.shape(values), seed, stddev=stddev, alg="auto_select"
    )
    return values + tf.cast(noise, values.dtype)


def _flipped(tensor: SparseTensor) -> tf.Tensor:
    signs = tf.cast(tensor.arrays[SIGNS], tensor.values.dtype)
    places = tf.where(tensor.values * signs < 0)[:, 0]
    return tf.gather(tensor.positions, places)


def random_signs(shape: tf.Tensor, seed: tf.Tensor, index: int) -> tf.Tensor:
    """Draws signs, -1 or 1, int8, for tensor `index`."""
    bits = tf.random.stateless_uniform(
        shape, fold(fold(seed, 2), index), 0, 2, tf.int32, alg="auto_select"
    )
    # First the cast: a GPU computes with int32 on the host.
    return 2 * tf.cast(bits, tf.int8) - 1


def deepr(temperature: Any, noise_rate: float = 0.01) -> Method:
    """Returns deep rewiring, which must run after every optimizer step.

    Args:
        temperature: `T`, at least 0, or a schedule of it.
        noise_rate: `eta`, the learning rate in the formula of the noise.

    Reference:
        [Bellec et al., 2018](https://arxiv.org/abs/1711.05136).
    """
    rule = SignFlipped(temperature, noise_rate)
    return Method(rule, what_it_lost, AtRandomWithSigns())


@dataclass(frozen=True)
class Settings:
    """The settings of `--method=deepr`."""

    temperature: Any = scheduled_number(
        ByEpoch(((0, 1e-5), (25, 1e-8), (50, 1e-12), (75, 1e-15))),
        "Temperature of the noise.",
    )
    noise_rate: float = number(
        0.01, "Learning rate in the formula of the noise."
    )


RECORD = Record(
    name="deepr",
    help="deep rewiring",
    label="DeepR",
    settings=Settings,
    build=lambda settings, sparsity: deepr(**vars(settings)),
    every_step=True,
    keeps_counts=True,
    moves_units=False,
)
