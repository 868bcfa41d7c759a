"""Checkpoints, from which a killed run resumes with the same result."""

import math
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from absl import logging

from dsr_tf.callbacks.checkpoint_files import PREFIX
from dsr_tf.callbacks.checkpoint_files import UnreadableCheckpointError
from dsr_tf.callbacks.checkpoint_files import checkpoint_path
from dsr_tf.callbacks.checkpoint_files import newest_readable
from dsr_tf.callbacks.checkpoint_files import remove_unfinished
from dsr_tf.callbacks.position import Position
from dsr_tf.callbacks.reallocate import Reallocate
from dsr_tf.callbacks.reallocate import checked_reallocation
from dsr_tf.callbacks.sparsity_logger import SparsityLogger
from dsr_tf.checks import checked_count
from dsr_tf.checks import checked_folder
from dsr_tf.checks import checked_kind
from dsr_tf.distribute import is_chief
from dsr_tf.distribute.agree import largest
from dsr_tf.distribute.agree import settle
from dsr_tf.distribute.strategy import checked_strategy
from dsr_tf.training.replica_values import ReplicaValues
from dsr_tf.training.replica_values import read_local
from dsr_tf.training.replica_values import write_local
from dsr_tf.training.steps import read_step

# Larger than any number of a checkpoint.
_UNREADABLE = 2**62


class PreemptedError(Exception):
    """Training was asked to stop, and stopped at a checkpoint.

    Args:
        epoch: Epoch to resume with, counted from 0.
        step: Batches of this epoch that are done.
        signal_name: Signal that this process got, such as `"SIGTERM"`; None
            where it was asked in another way.
    """

    def __init__(
        self, epoch: int, step: int, signal_name: str | None = None
    ) -> None:
        reason = f", on {signal_name}" if signal_name else ""
        super().__init__(
            f"stopped in epoch {epoch + 1}, after {step} batches{reason}"
        )
        self.epoch = epoch
        self.step = step


class Checkpoint(keras.callbacks.Callback):
    """Writes checkpoints, and resumes from the newest.

    A checkpoint holds the model, masks, optimizer, metrics, state of the
    method, and position. A resumed `fit` ends with the weights of a run that
    was never stopped, bit for bit on a CPU, if the batches of an epoch depend
    only on the epoch. A damaged checkpoint is skipped, with a warning.

    List it last among the callbacks. The model must be built.

    Args:
        directory: Folder for the checkpoints, and for nothing else.
        reallocation: The callback that moves weights, if there is one.
        every_steps: Optimizer steps between checkpoints within an epoch, at
            least 1; None for a checkpoint only at the end of each epoch. To
            resume within an epoch, use `callbacks.resumable_fit`.
        keep: How many of the newest checkpoints to keep, at least 1.
        logger: The callback that writes for TensorBoard, if there is one. A
            checkpoint that was written without a logger can be used, too.
        strategy: Strategy that the model was made under, if it has several
            workers. The chief writes; all workers must be able to read.

    Attributes:
        position: How far training has come.
        damaged: A line on each checkpoint that was skipped.

    Raises:
        ValueError: If an argument is out of its range, or `fit` does not
            begin where the checkpoint ends.
        UnreadableCheckpointError: If there are checkpoints, but none can be
            read.
        FloatingPointError: If the loss becomes NaN or infinite; the last
            checkpoint is from before that.
        OSError: If a checkpoint cannot be written; earlier ones stay.
        PreemptedError: After `stop` was called and a checkpoint was written.

    Example:
    >>> moves = dsr_tf.callbacks.DSR(num_pruned=600, period=100)
    >>> checkpoint = dsr_tf.callbacks.Checkpoint("checkpoints", moves)
    >>> model.fit(
    ...     x, y, shuffle=False, epochs=20, callbacks=[moves, checkpoint],
    ...     initial_epoch=checkpoint.find().epoch,
    ... )
    """

    def __init__(
        self,
        directory: str | Path,
        reallocation: Reallocate | None = None,
        every_steps: int | None = None,
        keep: int = 3,
        logger: SparsityLogger | None = None,
        strategy: tf.distribute.Strategy | None = None,
    ) -> None:
        super().__init__()
        self.directory = checked_folder("directory", directory)
        self.reallocation = checked_reallocation(reallocation)
        self.every_steps = checked_count(
            "every_steps", every_steps, minimum=1, optional=True
        )
        self.keep = checked_count("keep", keep, minimum=1)
        self.logger = checked_kind(
            "logger", logger, SparsityLogger, "a SparsityLogger", optional=True
        )
        self.strategy = (
            tf.distribute.get_strategy()
            if strategy is None
            else checked_strategy(strategy)
        )
        self.position = Position()
        self.damaged: list[str] = []
        # Batches of the first epoch that `fit` is not given.
        self.skipped = 0
        # Of this process, and of all workers when they were last asked: a
        # signal that comes while they are is heard after the next batch.
        self._wanted = False
        self._agreed = False
        self._signal: str | None = None

    def find(self) -> Position:
        """Returns where training resumes: the start, if nothing was saved.

        Raises:
            UnreadableCheckpointError: If there are checkpoints, but none can
                be read.
        """
        found = Position()
        path = self._newest()
        for line in self.damaged:
            logging.warning("%s; the one before it is used.", line)
        if path:
            saved = tf.train.Checkpoint(position=found)
            saved.restore(path).expect_partial()
        return found

    def _newest(self) -> str | None:
        """Returns the path of the newest checkpoint, which the chief finds."""
        found, problem = 0, None
        if is_chief(self.strategy):
            try:
                found, self.damaged = newest_readable(self.directory)
            except UnreadableCheckpointError as error:
                found, problem = _UNREADABLE, error
        (number,) = largest(self.strategy, [found])
        if number == _UNREADABLE:
            raise problem or UnreadableCheckpointError(
                f"The chief can read no checkpoint in {self.directory}."
            )
        return checkpoint_path(self.directory, number) if number else None

    def stop(self, signum: int | None = None, frame: Any = None) -> None:
        """Asks for a checkpoint and the end of training after this batch.

        It can be a handler for `signal.signal`.

        Args:
            signum: Number of the signal, which the error then names.
            frame: Not used.
        """
        self._wanted = True
        self._signal = None if signum is None else signal.Signals(signum).name

    def on_train_begin(self, logs: Any = None) -> None:
        if not self.model.built:
            raise ValueError(
                "`model` must be built before `fit`, so that its checkpoint "
                "can be restored. Call `model.build`, or give it an Input. "
                f"Received: model '{self.model.name}', not built"
            )
        if not self.model.optimizer.built:
            self.model.optimizer.build(self.model.trainable_variables)
        if is_chief(self.strategy):
            remove_unfinished(self.directory)
        self._manager: tf.train.CheckpointManager | None = None
        self._metrics: list[Any] = []
        # What a `fit` that was interrupted left here is not of this one.
        self.position.reset()
        self._replicas = ReplicaValues(self.model.distribute_strategy)
        self._restore()
        self._resumes = True

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if self._resumes:
            self._check_start(epoch)
            self._restore_metrics()
        self._resumes = False
        self.position.epoch = epoch
        self.position.step = self.skipped
        self.skipped = 0
        self._offset = self.position.step
        self._saved_at = self._num_steps()
        self._begin = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.position.step = self._offset + batch + 1
        self._check_loss((logs or {}).get("loss", 0.0))
        self._hear_others()
        if self._agreed or self._is_due():
            self._save()
        self._leave_if_wanted()

    def on_test_begin(self, logs: Any = None) -> None:
        # Those of training, which the evaluation resets.
        self._metrics = self._read_metrics()

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self._hear_others()
        # All batches are done; `resumable_fit` then only evaluates.
        if self._agreed:
            self._restore_metrics()
            self._save()
        self._leave_if_wanted()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.position.epoch = epoch + 1
        self.position.step = 0
        self._hear_others()
        self._save()
        self._leave_if_wanted()

    def _is_due(self) -> bool:
        if self.every_steps is None:
            return False
        done, saved = self._num_steps(), self._saved_at
        return done // self.every_steps > saved // self.every_steps

    def _hear_others(self) -> None:
        """Makes all workers stop at the same batch."""
        (wanted,) = largest(self.strategy, [self._wanted])
        self._agreed = bool(wanted)

    def _leave_if_wanted(self) -> None:
        if self._agreed:
            self._wanted = self._agreed = False
            settle(self.strategy)
            position = self.position
            raise PreemptedError(position.epoch, position.step, self._signal)

    def _save(self) -> None:
        now = time.perf_counter()
        self.position.seconds += now - self._begin
        self._begin = now
        if self._manager is None:
            self._manager = self._make_manager()
        self.position.num_saves += 1
        self._replicas.gather(self._variables())
        try:
            self._manager.save(checkpoint_number=self.position.num_saves)
        except tf.errors.OpError as error:
            # Within an epoch Keras takes some of these for the end of the data.
            reason = (error.message or str(error)).splitlines()[0]
            raise OSError(
                f"A checkpoint could not be written to {self.directory} "
                f"({reason}). Earlier checkpoints are unchanged."
            ) from error
        self._saved_at = self._num_steps()

    def _make_manager(self) -> tf.train.CheckpointManager:
        directory = str(self.directory)
        if not is_chief(self.strategy):
            # All have to save, as metrics are added up for it.
            self._scratch = tempfile.TemporaryDirectory()
            directory = self._scratch.name
        return tf.train.CheckpointManager(
            self._contents(**self._apart()),
            directory,
            self.keep,
            checkpoint_name=PREFIX,
        )

    def _restore(self) -> None:
        path = self._newest()
        if path is None:
            return
        status = self._contents().restore(path)
        # Metrics that the first step will make are not there yet.
        status.assert_existing_objects_matched().expect_partial()
        # By itself, as a checkpoint need not have them.
        tf.train.Checkpoint(**self._apart()).restore(path).expect_partial()
        self._replicas.assign(self._variables())
        self._metrics = self._read_metrics()

    def _read_metrics(self) -> list[Any]:
        strategy = self.model.distribute_strategy
        return read_local(strategy, self.model.metrics_variables)

    def _restore_metrics(self) -> None:
        """Undoes, within an epoch, that they have just been reset."""
        if self.position.step:
            strategy = self.model.distribute_strategy
            variables = self.model.metrics_variables
            write_local(strategy, variables, self._metrics)

    def _apart(self) -> dict[str, Any]:
        """Returns what not every checkpoint has.

        The run may have begun without a logger, or with one replica, or with
        a version that did not know of the values of replicas.
        """
        several = self.model.distribute_strategy.num_replicas_in_sync > 1
        found: dict[str, Any] = {"replicas": self._replicas} if several else {}
        if self.logger:
            found["history"] = self.logger.history
        return found

    def _variables(self) -> dict[str, Any]:
        model = self.model
        return {
            "model": model.variables,
            "optimizer": model.optimizer.variables,
            "metrics": model.metrics_variables,
        }

    def _contents(self, **more: Any) -> tf.train.Checkpoint:
        """Returns all contents, as variables of TensorFlow."""
        moves = self.reallocation
        return tf.train.Checkpoint(
            position=self.position,
            **{k: [v.value for v in x] for k, x in self._variables().items()},
            **(moves.reallocator.state if moves else {}),
            **more,
        )

    def _check_start(self, epoch: int) -> None:
        position = self.position
        if epoch != position.epoch:
            raise ValueError(
                "`initial_epoch` of `fit` must be the epoch in which training "
                f"resumes, {position.epoch}: give `checkpoint.find().epoch`. "
                f"Received: initial_epoch={epoch}"
            )
        if self.skipped != position.step:
            raise ValueError(
                "The newest checkpoint must be from the end of an epoch. To "
                "resume within an epoch, use `callbacks.resumable_fit`. "
                f"Received: a checkpoint of epoch {epoch}, after "
                f"{position.step} batches"
            )

    def _check_loss(self, loss: float) -> None:
        if math.isfinite(loss):
            return
        kept = self._manager and self._manager.latest_checkpoint
        raise FloatingPointError(
            f"The loss must stay finite. Received: a loss of {loss} at "
            f"optimizer step {self._num_steps()}, in epoch "
            f"{self.position.epoch + 1}. Try a smaller learning rate"
            + (f". The last checkpoint is {kept}" if kept else "")
        )

    def _num_steps(self) -> int:
        return read_step(self.model.optimizer)
