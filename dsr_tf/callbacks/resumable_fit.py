"""`fit` that can resume within an epoch."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from dsr_tf.callbacks.checkpoint import Checkpoint
from dsr_tf.callbacks.position import Position
from dsr_tf.checks import checked_count
from dsr_tf.checks import checked_function
from dsr_tf.checks import checked_kind
from dsr_tf.checks import checked_list


def resumable_fit(
    model: keras.Model,
    batches: Callable[[int, int], Any],
    checkpoint: Checkpoint,
    *,
    epochs: int,
    steps_per_epoch: int,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    validation_data: tf.data.Dataset | None = None,
    verbose: Any = 0,
) -> None:
    """Calls `model.fit`, from where the newest checkpoint ends.

    A training that is finished, or that a callback has ended, is restored, and
    not trained further. With more `epochs`, a finished training goes on.

    Args:
        model: A built and compiled model.
        batches: Takes an epoch and a step in it, both counted from 0, and
            returns the batches from there on, epoch after epoch without end: a
            `tf.data.Dataset`, or the result of `distribute.share_batches`.
        checkpoint: Writes checkpoints, and is restored from them. It carries
            the state of all `callbacks` that have one (see `Checkpoint`).
        epochs: Epochs to train in all.
        steps_per_epoch: Batches in an epoch of the data; the next epoch of
            `batches` follows them. With another number, which nothing here can
            tell, a resumed training gets other batches than one that was never
            stopped: it calls `batches` with the epoch and step that it has
            come to.
        callbacks: All callbacks except `checkpoint`, as in `fit`.
        validation_data: As in `fit`.
        verbose: As in `fit`.

    Raises:
        ValueError: If an argument is out of its range, or the state of a
            callback cannot be carried.
        PreemptedError: After `checkpoint.stop()`. It also raises the errors of
            `Checkpoint`.

    Example:
    >>> digits = dsr_tf.data.load_images("digits")
    >>> checkpoint = Checkpoint("checkpoints", moves, every_steps=500)
    >>> resumable_fit(
    ...     model,
    ...     lambda epoch, step: digits.train_batches(100, 0, epoch, step),
    ...     checkpoint,
    ...     epochs=20,
    ...     steps_per_epoch=15,
    ...     callbacks=[moves],
    ... )
    """
    checked_kind("model", model, keras.Model, "a Keras model")
    checked_function("batches", batches)
    checked_kind("checkpoint", checkpoint, Checkpoint, "a Checkpoint")
    epochs = checked_count("epochs", epochs, minimum=1)
    steps_per_epoch = checked_count("steps_per_epoch", steps_per_epoch, 1)
    _check_executions(model, steps_per_epoch)
    kind = keras.callbacks.Callback
    given = checked_list("callbacks", callbacks, kind, "a list of callbacks")
    events = _Events(
        [*given, checkpoint],
        add_history=True,
        add_progbar=verbose != 0,
        verbose=verbose,
        epochs=epochs,
        steps=steps_per_epoch,
        model=model,
    )
    training = _Training(
        model, batches, checkpoint, events, steps_per_epoch, validation_data
    )
    training.run(epochs)


def _check_executions(model: keras.Model, steps_per_epoch: int) -> None:
    execution = getattr(model, "steps_per_execution", 1)
    if steps_per_epoch % execution:
        raise ValueError(
            "`steps_per_epoch` must be a multiple of the model's "
            "`steps_per_execution`: Keras would train more batches in an "
            f"epoch. Received: steps_per_epoch={steps_per_epoch}, "
            f"steps_per_execution={execution}"
        )


class _Training:
    """A training, from where the newest checkpoint ends."""

    def __init__(
        self,
        model: keras.Model,
        batches: Callable[[int, int], Any],
        checkpoint: Checkpoint,
        events: "_Events",
        steps_per_epoch: int,
        validation_data: tf.data.Dataset | None,
    ) -> None:
        self._model = model
        self._batches = batches
        self._checkpoint = checkpoint
        self._events = events
        self._steps = steps_per_epoch
        self._validation_data = validation_data

    def run(self, epochs: int) -> None:
        """Trains until so many epochs are done, or a callback ends it."""
        position = self._checkpoint.find(self._model)
        epoch, is_over = position.epoch, position.stopped
        if position.step and epoch < epochs:
            self._end_epoch(position)
            # At its end `fit` may have put averages into the weights.
            self._events.instead_of_begin = self._checkpoint.restore
            epoch, is_over = epoch + 1, self._model.stop_training
        epoch = epochs if is_over else epoch
        self._fit(self._batches(epoch, 0), epoch, epochs, self._steps)
        self._model.stop_training = is_over or self._model.stop_training

    def _fit(self, data: Any, epoch: int, epochs: int, steps: int) -> None:
        self._model.fit(
            data,
            initial_epoch=epoch,
            epochs=epochs,
            steps_per_epoch=steps,
            validation_data=self._validation_data,
            shuffle=False,
            callbacks=self._events,
        )

    def _end_epoch(self, position: Position) -> None:
        """Trains what is left of an epoch."""
        epoch, step = position.epoch, position.step
        data, validation = self._batches(epoch, step), self._validation_data
        _make_metrics(self._model, data if validation is None else validation)
        self._checkpoint.skipped = step
        if step == self._steps or position.stopped:
            self._model.stop_training = position.stopped
            self._finish_epoch(epoch)
            return
        with self._events.as_first_part(step):
            self._fit(data, epoch, epoch + 1, self._steps - step)

    def _finish_epoch(self, epoch: int) -> None:
        """Does what `fit` does after the last batch of an epoch."""
        model, events = self._model, self._events
        events.on_train_begin()
        model.reset_metrics()
        events.on_epoch_begin(epoch)
        logs = dict(model.get_metrics_result())
        if self._validation_data is not None:
            results = model.evaluate(
                self._validation_data,
                verbose=0,
                return_dict=True,
                callbacks=events,
            )
            logs |= {f"val_{name}": value for name, value in results.items()}
        events.on_epoch_end(epoch, logs)


class _Events(keras.callbacks.CallbackList):
    """Callbacks of a training that takes two calls of `fit`.

    Attributes:
        instead_of_begin: What to call instead of `on_train_begin`, where the
            training has begun.
    """

    def __init__(self, *arguments: Any, **params: Any) -> None:
        super().__init__(*arguments, **params)
        self.instead_of_begin: Callable[[], None] | None = None
        self._goes_on = False
        self._skipped = 0

    @contextmanager
    def as_first_part(self, skipped: int) -> Iterator[None]:
        """Says that the epoch has begun, and that the training goes on."""
        self._goes_on, self._skipped = True, skipped
        yield
        self._goes_on, self._skipped = False, 0

    def on_train_begin(self, logs: Any = None) -> None:
        if self.instead_of_begin:
            self.instead_of_begin()
        else:
            super().on_train_begin(logs)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        super().on_train_batch_begin(batch + self._skipped, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        super().on_train_batch_end(batch + self._skipped, logs)

    def on_train_end(self, logs: Any = None) -> None:
        if not self._goes_on:
            super().on_train_end(logs)


def _make_metrics(model: keras.Model, data: Any) -> None:
    """Makes the metrics, which `fit` makes in its first step only."""
    strategy = model.distribute_strategy
    # The part of a batch for the first replica of this process.
    batch = tf.nest.map_structure(
        lambda x: strategy.experimental_local_results(x)[0], next(iter(data))
    )
    model.test_on_batch(*batch)
