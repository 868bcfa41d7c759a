"""What a training that is to go on cannot have."""

from collections.abc import Sequence
from typing import Any

import keras

from dsr_tf.callbacks.carried import is_carried
from dsr_tf.callbacks.reallocate import Reallocate
from dsr_tf.callbacks.sparsity_logger import SparsityLogger


def check_callbacks(
    callbacks: Sequence[Any], checkpoint: keras.callbacks.Callback
) -> None:
    """Refuses callbacks beside which a training cannot go on.

    Args:
        callbacks: All callbacks of a `fit`, in order.
        checkpoint: The one of them that saves the state of the others.

    Raises:
        ValueError: With the first of them.
    """
    _check_each(callbacks)
    own = next(i for i, x in enumerate(callbacks) if x is checkpoint)
    late = [
        type(x).__name__
        for x in callbacks[own + 1 :]
        if isinstance(x, Reallocate | SparsityLogger) or is_carried(x)
    ]
    if late:
        raise ValueError(
            "`callbacks` must hold the Checkpoint last, so that it saves what "
            f"the others have done. Received: {', '.join(late)} after it"
        )


def check_model(model: keras.Model) -> None:
    """Refuses a model whose state a checkpoint could not hold.

    Raises:
        ValueError: If it is not built or not compiled, or has other optimizers
            than the one it was compiled with.
    """
    if not model.built:
        raise ValueError(
            "`model` must be built before `fit`, so that its checkpoint can be "
            "restored. Call `model.build`, or give it an Input. Received: "
            f"model '{model.name}', not built"
        )
    if getattr(model, "optimizer", None) is None:
        raise ValueError(
            "`model` must be compiled before it is trained further. Received: "
            f"model '{model.name}', not compiled"
        )
    others = [
        name
        for name, value in vars(model).items()
        if isinstance(value, keras.optimizers.Optimizer)
        and value is not model.optimizer
    ]
    if others:
        raise ValueError(
            "`model` must be trained by the one optimizer that it was compiled "
            "with, whose state a Checkpoint holds. In a loop of your own, use "
            "`tf.train.Checkpoint`. Received: a model with the optimizers "
            f"{', '.join(others)} besides"
        )


def _check_each(callbacks: Sequence[Any]) -> None:
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.BackupAndRestore):
            raise ValueError(
                "`callbacks` must not hold BackupAndRestore beside a "
                "Checkpoint: both would restore the model. Leave "
                "BackupAndRestore out. Received: "
                f"BackupAndRestore({callback.backup_dir!r})"
            )
        if hasattr(callback, "get_state") != hasattr(callback, "set_state"):
            raise ValueError(
                "`callbacks` must have both `get_state` and `set_state`, or "
                f"neither. Received: {type(callback).__name__}, with one"
            )
        if isinstance(callback, keras.callbacks.CSVLogger):
            if not callback.append:
                raise ValueError(
                    "`callbacks` must hold CSVLogger with append=True: "
                    "otherwise a resumed training would delete its rows. "
                    f"Received: CSVLogger({callback.filename!r}, append=False)"
                )
