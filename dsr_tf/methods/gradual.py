"""Gradual magnitude pruning: to a sparsity, in steps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from dsr_tf.budget import num_kept
from dsr_tf.checks import checked_count
from dsr_tf.checks import checked_fraction
from dsr_tf.methods.prune import Prune
from dsr_tf.methods.prune import smallest
from dsr_tf.methods.tensors import State
from dsr_tf.methods.tensors import Tensors
from dsr_tf.methods.tensors import in_turn
from dsr_tf.methods.tensors import num_active


@dataclass(frozen=True)
class ToSparsity(Prune):
    """Prunes the smallest weights, up to a sparsity, in steps.

    After prune `k` of `n` the sparsity is, with `x = k / n`,
    `s * (1 - (1 - x)³)` by the cubic schedule, or `1 - (1 - s)^x` by the
    exponential one; after the last, exactly as many are left as new sparse
    tensors of that sparsity would hold: `sum(num_kept(size, s))`.

    Units of several sizes stay whole: across tensors, less than one may go
    beyond the last count.

    Args:
        sparsity: `s`, fraction of zeros at the end, in `[0, 1)`.
        num_prunes: `n`, number of prunes, at least 1; later ones do nothing.
        schedule: `"cubic"` or `"exponential"`.
        across_tensors: Whether the weights of all tensors are ranked together,
            so that some end sparser than others; otherwise each tensor gets
            the sparsity. The largest weight of a tensor always stays.

    Raises:
        ValueError: If an argument is out of its range.

    Reference:
        [Zhu & Gupta, 2017](https://arxiv.org/abs/1710.01878), equation 1.
    """

    sparsity: float
    num_prunes: int
    schedule: str = "cubic"
    across_tensors: bool = True

    def __post_init__(self) -> None:
        checked_fraction("sparsity", self.sparsity)
        checked_count("num_prunes", self.num_prunes, minimum=1)
        if self.schedule not in ("cubic", "exponential"):
            raise ValueError(
                "`schedule` must be 'cubic' or 'exponential'. "
                f"Received: schedule={self.schedule}"
            )

    def initial_state(self) -> State:
        """Returns the number of prunes done: none."""
        return {"prunes": 0}

    def next_state(self, state: Mapping[str, float], num_pruned: int) -> State:
        """Returns the number of prunes done."""
        return {"prunes": min(state["prunes"] + 1, self.num_prunes)}

    def sparsity_after(self, prunes: float) -> float:
        """Returns the sparsity of each tensor after `prunes` prunes."""
        done = min(prunes / self.num_prunes, 1.0)
        if done == 1.0:
            return self.sparsity
        if self.schedule == "cubic":
            return self.sparsity * (1 - (1 - done) ** 3)
        return 1 - (1 - self.sparsity) ** done

    def __call__(
        self, tensors: Tensors, state: Mapping[str, Any]
    ) -> list[tf.Tensor]:
        kept = self._kept(tensors, state["prunes"])
        if self.across_tensors:
            return beyond_largest(tensors, tf.reduce_sum(kept * tensors.sizes))
        active = tf.stack([num_active(mask) for mask in tensors.masks])
        counts = tf.unstack(tf.maximum(active - kept, 0))
        return in_turn(smallest, tensors.weights, tensors.masks, counts)

    def _kept(self, tensors: Tensors, prunes: Any) -> tf.Tensor:
        """Counts the units that each tensor is to keep, on the host."""
        lengths = [int(mask.shape[0]) for mask in tensors.masks]

        def kept(prunes: np.ndarray) -> np.ndarray:
            sparsity = self.sparsity_after(float(prunes) + 1)
            return np.array([num_kept(n, sparsity) for n in lengths], np.int64)

        counts = tf.numpy_function(kept, [prunes], tf.int64, stateful=False)
        return tf.ensure_shape(counts, [len(lengths)])


def beyond_largest(tensors: Tensors, budget: tf.Tensor) -> list[tf.Tensor]:
    """Finds all active units but the largest of all tensors together.

    The largest of each tensor comes first; ties go by tensor, then by index.

    Args:
        tensors: The network.
        budget: Weights to keep, int64, at least one unit a tensor.

    Returns:
        Their positions, ascending, int64. Of units of one weight exactly
        `budget` stay in all, or what is active if that is less.
    """
    active = [tf.where(mask)[:, 0] for mask in tensors.masks]
    scores = [
        _with_champion(
            tf.abs(tf.cast(tf.gather(weights, positions), tf.float64))
        )
        for weights, positions in zip(tensors.weights, active, strict=True)
    ]
    sizes = tf.concat(
        [
            tf.fill(tf.shape(score), tf.constant(size, tf.int64))
            for score, size in zip(scores, tensors.sizes, strict=True)
        ],
        axis=0,
    )
    order = tf.argsort(
        tf.concat(scores, axis=0), direction="DESCENDING", stable=True
    )
    fits = tf.cumsum(tf.gather(sizes, order)) <= budget
    goes = tf.scatter_nd(order[:, None], ~fits, tf.shape(order))
    by_tensor = tf.split(goes, [tf.shape(score)[0] for score in scores])
    return [
        tf.boolean_mask(positions, gone)
        for positions, gone in zip(active, by_tensor, strict=True)
    ]


def _with_champion(scores: tf.Tensor) -> tf.Tensor:
    """Puts the largest score above any other tensor's."""
    largest = tf.equal(scores, tf.reduce_max(scores))
    first = largest & tf.equal(tf.cumsum(tf.cast(largest, tf.int32)), 1)
    return tf.where(first, tf.constant(float("inf"), scores.dtype), scores)
