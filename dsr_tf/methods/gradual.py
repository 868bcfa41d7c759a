"""Gradual magnitude pruning: to a sparsity, in steps."""

from collections.abc import Mapping
from dataclasses import dataclass

import tensorflow as tf

from dsr_tf.budget import num_kept
from dsr_tf.checks import checked_count
from dsr_tf.checks import checked_fraction
from dsr_tf.methods.prune import Prune
from dsr_tf.methods.prune import smallest
from dsr_tf.methods.tensors import State
from dsr_tf.methods.tensors import Tensors
from dsr_tf.methods.tensors import num_ones


@dataclass(frozen=True)
class ToSparsity(Prune):
    """Prunes each tensor's smallest weights, up to a sparsity, in steps.

    After prune `k` of `n` the sparsity of a tensor is, with `x = k / n`,
    `s * (1 - (1 - x)³)` by the cubic schedule, or `1 - (1 - s)^x` by the
    exponential one; after the last, exactly `num_kept(size, s)` are left.

    Args:
        sparsity: `s`, fraction of zeros at the end, in `[0, 1)`.
        num_prunes: `n`, number of prunes, at least 1; later ones do nothing.
        schedule: `"cubic"` or `"exponential"`.

    Raises:
        ValueError: If an argument is out of its range.

    Reference:
        [Zhu & Gupta, 2017](https://arxiv.org/abs/1710.01878), equation 1.
    """

    sparsity: float
    num_prunes: int
    schedule: str = "cubic"

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
        self, tensors: Tensors, state: Mapping[str, float]
    ) -> list[tf.Tensor]:
        sparsity = self.sparsity_after(state["prunes"] + 1)
        return [
            smallest(weights, mask, self._count(mask, sparsity))
            for weights, mask in zip(
                tensors.weights, tensors.masks, strict=True
            )
        ]

    def _count(self, mask: tf.Tensor, sparsity: float) -> tf.Tensor:
        kept = num_kept(int(mask.shape[0]), sparsity)
        return tf.maximum(num_ones(mask) - kept, 0)
