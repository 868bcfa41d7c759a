"""What a checkpoint holds of a training."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from dsr_tf.callbacks.carried import Carried
from dsr_tf.callbacks.checkpoint_files import as_tensorflow_reads
from dsr_tf.callbacks.description import Description
from dsr_tf.callbacks.position import Position
from dsr_tf.callbacks.reallocate import Reallocate
from dsr_tf.callbacks.sparsity_logger import SparsityLogger
from dsr_tf.layers import sparse_layers
from dsr_tf.training.reallocator import EVER_ACTIVE
from dsr_tf.training.replica_values import ReplicaValues


class Contents:
    """What a checkpoint holds of a training, and how it is written and read.

    Args:
        model: A built model, whose optimizer is built.
        position: How far training has come.
        moves: The callback that moves weights, or None.
        logger: The callback that remembers masks, or None.
        callbacks: Callbacks, of which some are carried.
    """

    def __init__(
        self,
        model: keras.Model,
        position: Position,
        moves: Reallocate | None,
        logger: SparsityLogger | None,
        callbacks: Sequence[keras.callbacks.Callback],
    ) -> None:
        self._model = model
        self._position = position
        self._moves = moves
        self._logger = logger
        self._callbacks = Carried(callbacks)
        self._replicas = ReplicaValues(model.distribute_strategy)

    @property
    def not_held(self) -> set[str]:
        """Names of callbacks whose state the checkpoint that was read lacks."""
        return set(self._callbacks.names) - set(self._position.carries)

    def write(self, path: Path) -> None:
        """Writes a checkpoint. All workers must call this.

        Raises:
            OSError: If it cannot be written.
        """
        self._position.carries = self._callbacks.names
        self._replicas.gather(self._differing())
        method = self._moves.method if self._moves else None
        self._callbacks.check()
        whole = tf.train.Checkpoint(
            **self._always(),
            **self._apart(),
            description=Description.of(self._model, method),
        )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with as_tensorflow_reads(path) as writable:
                whole.write(writable)
        except tf.errors.OpError as error:
            # Not of the disk: another worker has ended.
            if "ollective" in str(error):
                raise
            # Within an epoch Keras takes some of these for the end of the data.
            reason = (error.message or str(error)).splitlines()[0]
            raise OSError(
                f"A checkpoint could not be written to {path.parent} "
                f"({reason}). Earlier checkpoints are unchanged."
            ) from error

    def read(self, path: Path) -> None:
        """Restores all that a checkpoint holds.

        Raises:
            ValueError: If it does not fit.
        """
        with as_tensorflow_reads(path) as readable:
            status = tf.train.Checkpoint(**self._always()).read(readable)
            try:
                # Metrics that the first step will make are not there yet.
                status.assert_existing_objects_matched().expect_partial()
            except AssertionError as error:
                raise _misfit(path, error) from error
            if self._moves:
                # Of the first masks of this process.
                self._moves.reallocator.state[EVER_ACTIVE].clear()
            for name, part in self._apart().items():
                # By itself, as a checkpoint need not have it.
                single = tf.train.Checkpoint(**{name: part})
                single.read(readable).expect_partial()
        self._callbacks.keep_columns()
        self._replicas.assign(self._differing())
        for layer in sparse_layers(self._model):
            if layer.storage == "masks":
                layer.kernel_mask.renew_numbers()

    def _always(self) -> dict[str, Any]:
        state = self._moves.reallocator.state if self._moves else {}
        return {
            "position": self._position,
            **{k: [v.value for v in x] for k, x in self._variables().items()},
            **{k: x for k, x in state.items() if k != EVER_ACTIVE},
        }

    def _apart(self) -> dict[str, Any]:
        """Returns what not every checkpoint has.

        The run may have begun without a logger, or with one replica, or with
        a version that did not know of these.
        """
        found: dict[str, Any] = {"callbacks": self._callbacks}
        if self._model.distribute_strategy.num_replicas_in_sync > 1:
            found["replicas"] = self._replicas
        if self._moves:
            state = self._moves.reallocator.state
            found[EVER_ACTIVE] = state[EVER_ACTIVE]
        if self._logger:
            found["history"] = self._logger.history
        return found

    def _differing(self) -> dict[str, Any]:
        """Returns all that may differ between replicas."""
        own = self._moves.reallocator.kept_gradients if self._moves else ()
        return {**self._variables(), "gradients": own}

    def _variables(self) -> dict[str, Any]:
        model = self._model
        return {
            "model": model.variables,
            "optimizer": model.optimizer.variables,
            "metrics": model.metrics_variables,
        }


def _misfit(path: Path, error: Exception) -> ValueError:
    reason = (str(error).splitlines() or [""])[0]
    return ValueError(
        "The model, the optimizer and the method must be those of the "
        f"checkpoint. Received: {path}, which does not fit ({reason})"
    )
