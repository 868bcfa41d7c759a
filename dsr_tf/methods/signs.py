"""Pruning the weights whose sign has flipped."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from dsr_tf.methods.prune import Prune
from dsr_tf.methods.tensors import Tensors


@dataclass(frozen=True)
class SignFlipped(Prune):
    """Prunes the weights whose sign is not the one they began with.

    A weight of exactly 0 has no sign, and stays.

    Raises:
        ValueError: When it is called, if the tensors come without signs, or
            move more than one weight as one.

    Reference:
        [Bellec et al., 2018](https://arxiv.org/abs/1711.05136), Algorithm 1.
    """

    def __call__(
        self, tensors: Tensors, state: Mapping[str, Any]
    ) -> list[tf.Tensor]:
        if tensors.signs is None or max(tensors.sizes) > 1:
            raise ValueError(
                "`tensors` must have `signs`, and units of one weight: several "
                "weights have no common sign. "
                f"Received: unit_sizes={list(tensors.sizes)}"
            )
        triples = zip(
            tensors.weights, tensors.masks, tensors.signs, strict=True
        )
        return [flipped(*triple) for triple in triples]


def flipped(weights: tf.Tensor, mask: tf.Tensor, signs: tf.Tensor) -> tf.Tensor:
    """Finds the active weights that have the other sign.

    Args:
        weights: Shape `(n,)`, any floating type.
        mask: Shape `(n,)`, bool.
        signs: Shape `(n,)`, -1 or 1, any type.

    Returns:
        Their positions, ascending, int64.
    """
    other = weights * tf.cast(signs, weights.dtype) < 0
    return tf.where(other & mask)[:, 0]
