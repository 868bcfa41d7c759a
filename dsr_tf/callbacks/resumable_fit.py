"""`fit` that can resume within an epoch."""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from dsr_tf.callbacks.checkpoint import Checkpoint
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

    If that is within an epoch, it makes two calls: one to the end of the epoch,
    and one for the other epochs.

    Args:
        model: A built and compiled model.
        batches: Takes an epoch and a step in it, both counted from 0, and
            returns the batches from there on, epoch after epoch without end: a
            `tf.data.Dataset`, or the result of `distribute.share_batches`.
        checkpoint: Writes checkpoints, and is restored from them.
        epochs: Epochs to train in all.
        steps_per_epoch: Batches in an epoch of the data; the next epoch of
            `batches` follows them.
        callbacks: All callbacks except `checkpoint`, as in `fit`.
        validation_data: As in `fit`.
        verbose: As in `fit`.

    Raises:
        ValueError: If an argument is out of its range.
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
    checked_count("epochs", epochs, minimum=1)
    checked_count("steps_per_epoch", steps_per_epoch, minimum=1)
    kind = keras.callbacks.Callback
    every = checked_list("callbacks", callbacks, kind, "a list of callbacks")
    every.append(checkpoint)
    while True:
        position = checkpoint.find()
        epoch, step = position.epoch, position.step
        data = batches(epoch, step)
        if step:
            # Makes the metrics, which `fit` makes in its first step only.
            sample = data if validation_data is None else validation_data
            model.test_on_batch(*_local(model, next(iter(sample))))
            checkpoint.skipped = step
        if step == steps_per_epoch:
            _finish_epoch(model, epoch, every, checkpoint, validation_data)
            continue
        model.fit(
            data,
            initial_epoch=epoch,
            epochs=epoch + 1 if step else epochs,
            steps_per_epoch=steps_per_epoch - step,
            validation_data=validation_data,
            shuffle=False,
            verbose=verbose,
            callbacks=every,
        )
        if not step:
            return


def _local(model: keras.Model, batch: Any) -> Any:
    """Returns the part of a batch for the first replica of this process."""
    strategy = model.distribute_strategy
    return tf.nest.map_structure(
        lambda x: strategy.experimental_local_results(x)[0], batch
    )


def _finish_epoch(
    model: keras.Model,
    epoch: int,
    callbacks: Sequence[keras.callbacks.Callback],
    checkpoint: Checkpoint,
    validation_data: tf.data.Dataset | None,
) -> None:
    """Does what `fit` does after the last batch of an epoch."""
    events = keras.callbacks.CallbackList(
        list(callbacks), model=model, epochs=epoch + 1, steps=0
    )
    events.on_train_begin()
    model.reset_metrics()
    events.on_epoch_begin(epoch)
    logs = dict(model.get_metrics_result())
    if validation_data is not None:
        results = model.evaluate(
            validation_data,
            verbose=0,
            return_dict=True,
            callbacks=[checkpoint],
        )
        logs |= {f"val_{name}": value for name, value in results.items()}
    events.on_epoch_end(epoch, logs)
    events.on_train_end()
