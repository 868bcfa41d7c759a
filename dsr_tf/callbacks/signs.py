"""The signs that the weights of sparse layers began with."""

from collections.abc import Sequence

import tensorflow as tf

from dsr_tf.layers import MaskedKernel
from dsr_tf.methods.grow import fold


class Signs(tf.Module):
    """A sign for every weight of some layers, for `tf.train.Checkpoint`.

    Attributes:
        values: int8 variables, -1 or 1, flat, one a layer; none before
            training has begun. What a checkpoint restores before that is
            theirs as soon as they are made.
    """

    def __init__(self) -> None:
        super().__init__()
        self.values: list[tf.Variable] = []
        self._kernels: tuple[int, ...] = ()

    def belong_to(self, layers: Sequence[MaskedKernel]) -> bool:
        """Tells whether these signs, if there are any, are of these layers."""
        return self._kernels in ((), _identities(layers))

    def forget(self) -> None:
        """Drops all signs."""
        self.values = []
        self._kernels = ()

    def begin(self, layers: Sequence[MaskedKernel], seed: int) -> None:
        """Takes the signs of weights, and draws those of zeros; only once."""
        if self._kernels:
            return
        step = tf.constant([seed, 0], tf.int32)
        for i, layer in enumerate(layers):
            weights = tf.reshape(layer.kernel.value, [-1])
            drawn = random_signs(tf.shape(weights), step, i)
            signs = tf.cast(tf.sign(weights), tf.int8)
            self.values.append(tf.Variable(tf.where(signs == 0, drawn, signs)))
        self._kernels = _identities(layers)

    def redraw(self, index: int, positions: tf.Tensor, seed: tf.Tensor) -> None:
        """Draws the signs of layer `index` anew at some flat positions."""
        signs = random_signs(tf.shape(positions), seed, index)
        self.values[index].scatter_nd_update(positions[:, None], signs)


def _identities(layers: Sequence[MaskedKernel]) -> tuple[int, ...]:
    return tuple(id(layer.kernel) for layer in layers if layer.built)


def random_signs(shape: tf.Tensor, seed: tf.Tensor, index: int) -> tf.Tensor:
    """Draws signs, -1 or 1, int8, for layer `index`."""
    bits = tf.random.stateless_uniform(
        shape, fold(fold(seed, 2), index), 0, 2, tf.int32, alg="auto_select"
    )
    return tf.cast(2 * bits - 1, tf.int8)
