"""Links of dead units: units of a network without inputs or without outputs."""

from collections.abc import Sequence

import tensorflow as tf

from dsr_tf.methods.context import SparseTensor
from dsr_tf.methods.sampling import ones_at
from dsr_tf.methods.tracing import chosen


def with_links_of_dead_units(
    tensors: Sequence[SparseTensor], gone: Sequence[tf.Tensor]
) -> list[tf.Tensor]:
    """Adds links that are of no use once others are gone.

    Between two tensors that follow each other are units of the network. One
    that no link leaves gives nothing to the network, and one that no link
    enters gives a constant: the links at its other side go too, and then those
    of units that die by this.

    Args:
        tensors: Each is taken to be followed by the next, unless `are_joined`
            says otherwise.
        gone: Positions of the links that go, ascending, of each tensor.

    Returns:
        Positions of all links that go, ascending, int64.

    Reference:
        [Zhang et al., 2025](https://arxiv.org/abs/2501.19107), appendix F.
    """
    stay = [_others(*row) for row in zip(tensors, gone, strict=True)]
    pairs = [
        (i, i + 1)
        for i in range(len(tensors) - 1)
        if are_joined(tensors[i], tensors[i + 1])
    ]
    for i, after in reversed(pairs):
        left = _leaving(tensors[i], tensors[after], stay[after])
        stay[i] = _linked(stay[i], left, tensors[i].grid.outputs(stay[i]))
    for before, i in pairs:
        units = tensors[before].grid.num_outputs
        reached = _counts(tensors[before].grid.outputs(stay[before]), units)
        stay[i] = _linked(
            stay[i], reached, tensors[i].grid.inputs(stay[i]) % units
        )
    return [_others(*row) for row in zip(tensors, stay, strict=True)]


def are_joined(before: SparseTensor, after: SparseTensor) -> bool:
    """Tells whether outputs of one tensor can be inputs of the next.

    Both are of single weights, and there are as many, or, for a window of a
    convolution or a flattened image, several times as many: channels are last.
    """
    single = before.unit_size == after.unit_size == 1
    return single and after.grid.num_inputs % before.grid.num_outputs == 0


def _leaving(
    before: SparseTensor, after: SparseTensor, stay: tf.Tensor
) -> tf.Tensor:
    """Counts the links that leave each output of `before`."""
    units = before.grid.num_outputs
    return _counts(after.grid.inputs(stay) % units, units)


def _counts(numbers: tf.Tensor, most: int) -> tf.Tensor:
    """Counts how often each number is there, as float32: a GPU adds these."""
    return ones_at(numbers, most)


def _linked(
    positions: tf.Tensor, counts: tf.Tensor, numbers: tf.Tensor
) -> tf.Tensor:
    """Keeps the positions of links at units that have some others."""
    return chosen(positions, tf.gather(counts, numbers) > 0)


def _others(tensor: SparseTensor, some: tf.Tensor) -> tf.Tensor:
    """Returns the active positions that are not among some of them."""
    # In int64: a GPU leaves int32 to the host.
    places = tf.searchsorted(tensor.positions, some, out_type=tf.int64)
    found = tf.scatter_nd(
        places[:, None],
        tf.ones_like(some, tf.float32),
        tf.shape(tensor.positions, tf.int64),
    )
    return chosen(tensor.positions, found < 1)
