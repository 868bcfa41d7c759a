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

from dsr_tf.callbacks import same_fit
from dsr_tf.callbacks.checkpoint_files import checkpoint_path
from dsr_tf.callbacks.checkpoint_files import keep_newest
from dsr_tf.callbacks.checkpoint_files import remove_unfinished
from dsr_tf.callbacks.contents import Contents
from dsr_tf.callbacks.description import Description
from dsr_tf.callbacks.drawn_masks import check_pictures
from dsr_tf.callbacks.going_on import check_callbacks
from dsr_tf.callbacks.going_on import check_model
from dsr_tf.callbacks.position import Position
from dsr_tf.callbacks.preempted import PreemptedError
from dsr_tf.callbacks.reallocate import Reallocate
from dsr_tf.callbacks.reallocate import checked_reallocation
from dsr_tf.callbacks.sparsity_logger import SparsityLogger
from dsr_tf.callbacks.usable import UnreadableCheckpointError
from dsr_tf.callbacks.usable import newest_usable
from dsr_tf.callbacks.usable import position_of
from dsr_tf.checks import checked_count
from dsr_tf.checks import checked_folder
from dsr_tf.checks import checked_kind
from dsr_tf.distribute import is_chief
from dsr_tf.distribute.agree import largest
from dsr_tf.distribute.agree import settle
from dsr_tf.distribute.strategy import checked_strategy
from dsr_tf.layers import sparse_layers
from dsr_tf.training.replica_values import read_local
from dsr_tf.training.replica_values import write_local
from dsr_tf.training.steps import read_step

# Larger than any number of a checkpoint.
_UNREADABLE = 2**62


class Checkpoint(keras.callbacks.Callback):
    """Writes checkpoints, and resumes from the newest.

    A checkpoint holds the model, masks, optimizer, metrics, state of the
    method and of other callbacks, and position. A resumed `fit` ends with the
    weights of a run that was never stopped, bit for bit on a CPU, if the
    batches of an epoch depend only on the epoch. A checkpoint that is damaged,
    or of another training, is passed over, with a warning.

    List it last among the callbacks. The model must be built.

    Args:
        directory: Folder for the checkpoints, and for nothing else.
        reallocation: The callback that moves weights. It can be left out: the
            one of the same `fit` is found.
        every_steps: Optimizer steps between checkpoints within an epoch, at
            least 1; None for a checkpoint only at the end of each epoch. To
            resume within an epoch, use `callbacks.resumable_fit`.
        keep: How many of the newest checkpoints to keep, at least 1.
        logger: The callback that writes for TensorBoard. It can be left out,
            too. A checkpoint that was written without a logger can be used.
        strategy: Strategy that the model was made under, if it has several
            workers. The chief writes; all workers must be able to read.

    The state of these callbacks of the same `fit` is held too: of Keras'
    EarlyStopping, ReduceLROnPlateau, ModelCheckpoint, SwapEMAWeights,
    TensorBoard, and CSVLogger, which must append; and of your own that have
    `get_state()`, which returns a dict of numbers, texts and arrays, and
    `set_state(state)`.

    Attributes:
        position: How far training has come.
        damaged: A line on each checkpoint that was passed over.

    Raises:
        ValueError: If an argument is out of its range, or `fit` does not
            begin where the checkpoint ends, or cannot go on.
        UnreadableCheckpointError: If there are checkpoints, but none can be
            used.
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
        # Wherever the process goes to later.
        self.directory = checked_folder("directory", directory).absolute()
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
        # All callbacks of the `fit`, this one among them.
        self._every: list[Any] = [self]
        # Batches of the first epoch that `fit` is not given.
        self.skipped = 0
        # Of this process, and of all workers when they were last asked: a
        # signal that comes while they are is heard after the next batch.
        self._wanted = False
        self._agreed = False
        self._signal: str | None = None

    def find(self, model: keras.Model | None = None) -> Position:
        """Returns where training resumes: the start, if nothing was saved.

        Args:
            model: The built and compiled model that will be trained, so that
                checkpoints of another training are known; None if there are
                none.

        Raises:
            ValueError: If `model` is no Keras model, or not built or compiled.
            UnreadableCheckpointError: If there are checkpoints, but none can
                be used.
        """
        what = "a Keras model"
        checked_kind("model", model, keras.Model, what, optional=True)
        if model is not None:
            check_model(model)
        self._every = same_fit.callbacks_of(self)
        path = self._newest(model)
        for line in self.damaged:
            logging.warning("%s; the one before it is used.", line)
        return Position() if path is None else position_of(path)

    def _newest(
        self, model: keras.Model | None, ends: bool = False
    ) -> Path | None:
        """Returns the path of the newest checkpoint, which the chief finds.

        Args:
            model: The model to be trained, if it is known.
            ends: Whether only ends of epochs count.
        """
        found, problem = 0, None
        now = Description() if model is None else self._describe(model)
        if is_chief(self.strategy):
            try:
                found, self.damaged = newest_usable(self.directory, now, ends)
            except UnreadableCheckpointError as error:
                found, problem = _UNREADABLE, error
        (number,) = largest(self.strategy, [found])
        if number == _UNREADABLE:
            raise problem or UnreadableCheckpointError(
                f"The chief can use no checkpoint in {self.directory}."
            )
        return checkpoint_path(self.directory, number) if number else None

    def _describe(self, model: keras.Model) -> Description:
        _build_optimizer(model)
        moves = self._moves()
        known = moves is not None or len(self._every) > 1
        return Description.of(model, moves.method if moves else None, known)

    def _moves(self) -> Reallocate | None:
        """Returns the callback of this `fit` that moves weights, if any."""
        here = [x for x in self._every if isinstance(x, Reallocate)]
        if self.reallocation and here and self.reallocation not in here:
            raise ValueError(
                "`callbacks` of `fit` must hold the `reallocation` that the "
                f"Checkpoint was given, a {type(self.reallocation).__name__}. "
                f"Received: another {type(here[0]).__name__}"
            )
        return next(iter(here), self.reallocation)

    def _logs(self) -> SparsityLogger | None:
        here = [x for x in self._every if isinstance(x, SparsityLogger)]
        return next(iter(here), self.logger)

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
        check_model(self.model)
        self._every = same_fit.callbacks_of(self)
        check_callbacks(self._every, self)
        check_pictures(self)
        for layer in sparse_layers(self.model):
            # Which may be given other masks before its optimizer takes a step.
            layer.trained_kernel.meet(self.model.optimizer)
        if is_chief(self.strategy):
            remove_unfinished(self.directory)
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._last: Path | None = None
        self._metrics: list[Any] = []
        # What a `fit` that was interrupted left here is not of this one.
        self.position.reset()
        self._restored = self._newest(self.model)
        self._contents = Contents(
            self.model,
            self.position,
            self._moves(),
            self._logs(),
            self._every,
        )
        if not self.skipped:
            self._go_back_to_an_end()
        self.restore()
        self._check_end()
        self._warn_of_others()
        self._resumes = True

    def _go_back_to_an_end(self) -> None:
        """Finds the end of an epoch, where alone a plain `fit` can begin."""
        path = self._restored
        within = Position() if path is None else position_of(path)
        if not within.step:
            return
        end = self._newest(self.model, ends=True)
        # The first epoch begins with a model that was not trained yet.
        if end is None and (within.epoch or self._num_steps()):
            return
        self._restored = end
        logging.warning(
            "%s is from within an epoch, where `fit` cannot resume: training "
            "goes on at the beginning of that epoch. Use "
            "`callbacks.resumable_fit` to go on within it.",
            path,
        )

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if self._resumes:
            self._check_start(epoch)
            if self.position.step:
                # Metrics have just been reset, and callbacks were told of the
                # begin of the epoch once more.
                self.restore()
        self._resumes = False
        self.position.epoch = epoch
        self.position.step = self.skipped
        self.skipped = 0
        self._saved_at = self._num_steps()
        self._begin = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.position.step = batch + 1
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
        # Where this `fit` ends, callbacks may do what cannot be undone.
        self.position.ended = epoch + 1 == (self.params or {}).get("epochs")
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
        self.position.num_saves += 1
        self.position.stopped = bool(self.model.stop_training)
        path = checkpoint_path(self._folder(), self.position.num_saves)
        self._contents.write(path)
        keep_newest(path.parent, self.keep, self.position.num_saves)
        self._last = self._restored = path
        self._saved_at = self._num_steps()

    def _folder(self) -> Path:
        if is_chief(self.strategy):
            return self.directory
        # All have to save, as metrics are added up for it.
        if self._scratch is None:
            self._scratch = tempfile.TemporaryDirectory()
        return Path(self._scratch.name)

    def restore(self) -> None:
        """Restores the newest checkpoint, if there is one, within a `fit`."""
        if self._restored is not None:
            self._contents.read(self._restored)
        self._metrics = self._read_metrics()

    def _read_metrics(self) -> list[Any]:
        strategy = self.model.distribute_strategy
        return read_local(strategy, self.model.metrics_variables)

    def _restore_metrics(self) -> None:
        """Undoes that an evaluation has reset them."""
        strategy = self.model.distribute_strategy
        write_local(strategy, self.model.metrics_variables, self._metrics)

    def _check_end(self) -> None:
        """Refuses to go on with what Keras has ended for good."""
        epochs = (self.params or {}).get("epochs", 0)
        kind = keras.callbacks.SwapEMAWeights
        swaps = any(x.swap_on_epoch for x in self._every if isinstance(x, kind))
        epoch = self.position.epoch
        if swaps and self.position.ended and 0 < epoch < epochs:
            raise ValueError(
                "`epochs` must be the epochs that training was begun with: at "
                "their end SwapEMAWeights replaces the weights by their "
                f"averages, with which training cannot go on. Received: "
                f"epochs={epochs}, after a training of {epoch} epochs"
            )

    def _warn_of_others(self) -> None:
        """Says which callbacks the checkpoint holds no state of."""
        if self._restored is None:
            return
        for name in sorted(self._contents.not_held):
            logging.warning(
                "%s begins anew: %s holds no state of it.", name, self._restored
            )

    def _check_start(self, epoch: int) -> None:
        position = self.position
        if position.stopped and not self.skipped:
            raise ValueError(
                "`fit` must not go on with a training that a callback has "
                "ended. Use `callbacks.resumable_fit`, which only restores it, "
                "or another `directory`. Received: a checkpoint of a training "
                f"that was stopped after epoch {position.epoch}"
            )
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
        raise FloatingPointError(
            f"The loss must stay finite. Received: a loss of {loss} at "
            f"optimizer step {self._num_steps()}, in epoch "
            f"{self.position.epoch + 1}. Try a smaller learning rate"
            + (f". The last checkpoint is {self._last}" if self._last else "")
        )

    def _num_steps(self) -> int:
        return read_step(self.model.optimizer)


def _build_optimizer(model: keras.Model) -> None:
    if not model.optimizer.built:
        with model.distribute_strategy.scope():
            model.optimizer.build(model.trainable_variables)
