"""Sparse tensors that are stored as dense tensors with masks."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import tensorflow as tf

from dsr_tf.methods.context import Context
from dsr_tf.methods.context import SparseTensor
from dsr_tf.methods.context import comparable
from dsr_tf.methods.grid import Grid
from dsr_tf.methods.tracing import chosen
from dsr_tf.methods.tracing import compiled
from dsr_tf.methods.tracing import fold
from dsr_tf.methods.tracing import host_length
from dsr_tf.methods.tracing import host_numbers
from dsr_tf.methods.tracing import in_turn
from dsr_tf.methods.tracing import on_host

# Weights that are compared at a time, which takes several bytes for each.
_BLOCK = 2**20


class MaskedTensor(SparseTensor):
    """A tensor of dense shape, whose mask says which units are active.

    Args:
        mask: Shape `(n,)`, bool: a unit is active where it is True.
        rows: The weights, shape `(unit_size, n)`, one column for each unit, any
            floating type.
        shape: Shape of the tensor, as methods see it; `(n,)` by default.
        slots: Slots of the optimizer, by name, of the shape of `rows`.
        arrays: Arrays of the method, by name, of shape `(n,)`.
        num_active: The count of True in `mask`, if it is known.
        growth_scores: Shape `(n,)`, float32, if the method needs them.
        grid: Where units stand; by default as in `shape` if each is a weight,
            and otherwise all at one input.
    """

    def __init__(
        self,
        mask: tf.Tensor,
        rows: tf.Tensor,
        shape: tuple[int, ...] | None = None,
        slots: Mapping[str, tf.Tensor] | None = None,
        arrays: Mapping[str, tf.Tensor] | None = None,
        num_active: tf.Tensor | None = None,
        growth_scores: tf.Tensor | None = None,
        grid: Grid | None = None,
    ) -> None:
        self.mask = mask
        self.growth_scores = growth_scores
        self.rows = rows
        self.unit_size, self.num_units = map(int, rows.shape)
        self.shape = shape or (self.num_units,)
        alone = self.shape if self.unit_size == 1 else (self.num_units,)
        self.grid = grid or Grid(alone)
        self.slots = _Gathered(self, slots or {})
        self.arrays = _Gathered(self, arrays or {})
        if num_active is not None:
            self.num_active = num_active

    @cached_property
    def num_active(self) -> tf.Tensor:
        return count_active(self.mask)

    @cached_property
    def positions(self) -> tf.Tensor:
        return _true_positions(self.mask)

    @cached_property
    def values(self) -> tf.Tensor:
        return self.at_active(self.rows)

    @property
    def magnitudes(self) -> tf.Tensor:
        if self.unit_size == 1:
            return tf.abs(self.values)
        return tf.gather(self._magnitudes, self.positions)

    @property
    def is_finite(self) -> tf.Tensor:
        return _is_finite(self.rows)

    @cached_property
    def _magnitudes(self) -> tf.Tensor:
        """Magnitudes of all units."""
        if self.unit_size == 1:
            return tf.abs(self.rows[0])
        return tf.reduce_mean(tf.abs(self.rows), axis=0)

    def smaller_than(self, threshold: Any) -> tf.Tensor:
        # Without a list of the active units, and block by block: memory is
        # what limits this in large networks.
        one = self.unit_size == 1
        scores = self.rows[0] if one else self._magnitudes
        limit = comparable(scores[:0], threshold)[1]

        def below(start: int) -> tf.Tensor:
            block = slice(start, start + _BLOCK)
            return _below(scores[block], self.mask[block], limit) + start

        starts = range(0, self.num_units, _BLOCK)
        return tf.concat(in_turn(below, starts), axis=0)

    def magnitudes_at(self, positions: tf.Tensor) -> tf.Tensor:
        values = tf.gather(self.rows, positions, axis=1)
        if self.unit_size == 1:
            return tf.abs(values[0])
        return tf.reduce_mean(tf.abs(values), axis=0)

    def at_active(self, rows: tf.Tensor) -> tf.Tensor:
        """Returns the entries of the active units."""
        if rows.shape.rank == 1:
            return tf.gather(rows, self.positions)
        if self.unit_size == 1:
            return tf.gather(rows[0], self.positions)
        return tf.gather(rows, self.positions, axis=1)


class PerturbedTensor(MaskedTensor):
    """A masked tensor whose active units have new weights.

    Args:
        before: The tensor with its old weights.
        rows: The new weights, as in `MaskedTensor`.
        values: The new weights of the active units only.
    """

    def __init__(
        self, before: MaskedTensor, rows: tf.Tensor, values: tf.Tensor
    ) -> None:
        super().__init__(before.mask, rows, before.shape, grid=before.grid)
        self.slots, self.arrays = before.slots, before.arrays
        self.growth_scores = before.growth_scores
        self.num_active = before.num_active
        self.positions = before.positions
        self.values = values

    @property
    def is_finite(self) -> tf.Tensor:
        # What is not active has not changed.
        return _is_finite(self.values)


class _Gathered(Mapping[str, tf.Tensor]):
    """Entries of the active units, gathered when they are read."""

    def __init__(
        self, tensor: MaskedTensor, whole: Mapping[str, tf.Tensor]
    ) -> None:
        self._tensor = tensor
        self._whole = whole

    def __getitem__(self, name: str) -> tf.Tensor:
        return self._tensor.at_active(self._whole[name])

    def __iter__(self) -> Any:
        return iter(self._whole)

    def __len__(self) -> int:
        return len(self._whole)


class MaskedContext(Context):
    """A context of `MaskedTensor`s."""

    def random_inactive(
        self, counts: tf.Tensor, seed: tf.Tensor
    ) -> list[tf.Tensor]:
        units = [tensor.num_units for tensor in self.tensors]
        plan = draws(tf.constant(units, tf.int64), self.num_inactive, counts)
        return in_turn(
            lambda tensor, row, i: random_inactive(
                tensor.mask, row, fold(fold(seed, i), 0)
            ),
            self.tensors,
            plan,
            range(len(units)),
        )


def count_active(mask: tf.Tensor) -> tf.Tensor:
    """Counts the active entries of a mask, exactly, as an int64 scalar.

    Args:
        mask: Shape `(n,)`, bool, of known length.
    """
    octets = tf.cast(mask, tf.uint8)
    return count_ones(tf.pad(octets, [[0, -mask.shape[0] % 8]]))


@compiled
def count_ones(octets: tf.Tensor) -> tf.Tensor:
    """Counts the ones among zeros, exactly, as an int64 scalar.

    It counts eight bytes at a time, by operations that run on a GPU. A GPU
    cannot sum bytes, and a sum of integers would take eight bytes per weight.

    Args:
        octets: Shape `(8 * n,)`, uint8.
    """
    words = tf.bitcast(tf.reshape(octets, [-1, 8]), tf.int64)
    ones = tf.raw_ops.PopulationCount(x=words)
    return tf.reduce_sum(tf.cast(ones, tf.int64))


@compiled
def _is_finite(values: tf.Tensor) -> tf.Tensor:
    # Flat: of unknown rank, axes would have to be computed.
    return tf.reduce_all(tf.math.is_finite(tf.reshape(values, [-1])))


@compiled
def _true_positions(mask: tf.Tensor) -> tf.Tensor:
    return tf.where(mask)[:, 0]


@compiled
def _below(weights: tf.Tensor, mask: tf.Tensor, limit: tf.Tensor) -> tf.Tensor:
    """Finds the small active weights of a block."""
    small = tf.abs(tf.cast(weights, limit.dtype)) < limit
    return tf.where(small & mask)[:, 0]


def draws(
    num_units: tf.Tensor, num_inactive: tf.Tensor, counts: tf.Tensor
) -> list[tf.Tensor]:
    """Plans how positions of some tensors are drawn.

    Args:
        num_units: Units of each tensor, shape `(L,)`, int64.
        num_inactive: How many of them are inactive.
        counts: How many of these to draw.

    Returns:
        For each tensor what `random_inactive` needs, int32, on the host: how
        many to draw, how many draws to make at first, and 1 if inactive
        positions are to be listed.
    """
    few = num_inactive * 8 < num_units
    most = counts * 2 > num_inactive
    # One and a half times what is needed when none repeats: a second round
    # is rare.
    listed = tf.cast(few | most, tf.int64)
    places = tf.maximum(num_inactive, 1) * 2
    tries = (1 - listed) * (counts * num_units * 3 // places + 16)
    return host_numbers(tf.stack([counts, tries, listed], axis=1))


@compiled
def random_inactive(
    mask: tf.Tensor, plan: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    """Draws inactive positions uniformly, without replacement.

    Positions are drawn from the whole tensor. Positions that are active, or
    were drawn before, are skipped, so work and memory depend on the count, not
    on the size of the tensor. If few positions are inactive, or most of them
    are to be drawn, this would take too many draws: then the inactive positions
    are listed and shuffled.

    Args:
        mask: Shape `(n,)`, bool.
        plan: A row of `draws`.
        seed: Shape `(2,)`, int32. Equal seeds give equal positions.

    Returns:
        Distinct positions where `mask` is False, int64.
    """
    count, tries, listed = tf.unstack(plan, 3)
    return tf.cond(
        listed > 0,
        lambda: _by_listing(mask, count, seed),
        lambda: _by_rejection(mask, count, tries, seed),
    )


def _by_listing(
    mask: tf.Tensor, count: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    inactive = tf.where(~mask)[:, 0]
    # A sort of random numbers: no GPU has TensorFlow's own shuffle.
    keys = tf.random.stateless_uniform(
        tf.shape(inactive), seed, None, None, tf.int64, alg="auto_select"
    )
    # As int64: a GPU would leave int32 to the host.
    order = tf.cast(tf.argsort(keys, stable=True), tf.int64)
    return tf.gather(inactive, order[:count])


def _by_rejection(
    mask: tf.Tensor, count: tf.Tensor, tries: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    def draw(found: tf.Tensor, trial: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # Here: a loop takes no int64 from the host.
        length = host_length(mask)
        with on_host():
            zero, size = tf.constant(0, tf.int64), tf.reshape(length, [])
        drawn = tf.random.stateless_uniform(
            [tries],
            fold(seed, trial),
            zero,
            size,
            dtype=tf.int64,
            alg="auto_select",
        )
        hits = chosen(drawn, ~tf.gather(mask, drawn))
        return tf.unique(tf.concat([found, hits], axis=0))[0], trial + 1

    found, _ = tf.while_loop(
        lambda found, _: tf.size(found) < count,
        draw,
        [tf.zeros([0], tf.int64), tf.constant(0)],
        shape_invariants=[tf.TensorShape([None]), tf.TensorShape([])],
    )
    return found[:count]
