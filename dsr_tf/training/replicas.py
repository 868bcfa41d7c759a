"""Whether all replicas and workers hold the same sparse layers."""

from collections.abc import Mapping
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from dsr_tf.distribute.fingerprint import ReplicasDifferError
from dsr_tf.distribute.fingerprint import gatherer
from dsr_tf.layers import SparseKernel
from dsr_tf.layers.slots import Slot


class Replicas:
    """Compares what the replicas of a model hold, on all workers.

    Args:
        strategy: Strategy that the model was made under. With one replica
            nothing is compared.
        layers: Sparse layers.
        slots: Optimizer slots of each layer's kernel.
    """

    def __init__(
        self,
        strategy: tf.distribute.Strategy,
        layers: Sequence[SparseKernel],
        slots: Sequence[Sequence[Slot]],
    ) -> None:
        self._several = strategy.num_replicas_in_sync > 1
        variables = [
            (layer.name, variable)
            for layer, own in zip(layers, slots, strict=True)
            for variable in (
                layer.placement,
                layer.trained_kernel,
                *(slot.variable for slot in own),
            )
        ]
        self._names = [
            f"`{variable.path}` of layer '{name}'"
            for name, variable in variables
        ]
        self._gather = gatherer(strategy, [v for _, v in variables])

    def check(self, numbers: Mapping[str, float]) -> None:
        """Raises an error, on all workers, if masks, kernels or slots differ.

        Args:
            numbers: What has to be the same on all workers besides.

        Raises:
            ReplicasDifferError: With the first layer that differs.
        """
        if not self._several:
            return
        values = np.asarray(list(numbers.values()), np.float64)
        rows = self._gather(tf.constant(values.view(np.int64))).numpy()
        differs = (rows != rows[0]).any(axis=0)
        if differs.any():
            first = int(differs.argmax())
            names = self._names + [f"`{name}`" for name in numbers]
            others = np.flatnonzero(rows[:, first] != rows[0, first])
            raise ReplicasDifferError(
                "All replicas must hold the same masks, kernels, slots and "
                f"settings. Received: {names[first]} that differs from that "
                f"of replica 0 on replicas {others.tolist()}, at optimizer "
                f"step {numbers['step']:.0f}. Give all workers the same "
                "arguments, assign to variables outside of `strategy.run` "
                "only, and go on from the last good checkpoint."
            )


def check_trainable(model: keras.Model) -> None:
    """Raises a ValueError for what Keras' `fit` cannot do on many replicas."""
    num_replicas = model.distribute_strategy.num_replicas_in_sync
    if num_replicas == 1 or model.run_eagerly:
        return
    if model.steps_per_execution > 1:
        raise ValueError(
            "`steps_per_execution` must be 1 on several replicas: Keras' `fit` "
            'fails there otherwise ("must feed a value for placeholder"). '
            f"Received: steps_per_execution={model.steps_per_execution} on "
            f"{num_replicas} replicas"
        )
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    steps = optimizer.gradient_accumulation_steps
    if steps:
        raise ValueError(
            "`gradient_accumulation_steps` must be None on several replicas: "
            "Keras' `fit` fails there otherwise (\"`merge_call` called while "
            'defining a new graph"). Received: '
            f"gradient_accumulation_steps={steps} on {num_replicas} replicas"
        )
