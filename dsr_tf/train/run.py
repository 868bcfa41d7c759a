"""One training run, from a configuration to the files it writes."""

import math
import time
from typing import Any

import keras

from dsr_tf.data import load_images
from dsr_tf.layers import sparse_layers
from dsr_tf.train import build
from dsr_tf.train.config import Config
from dsr_tf.train.folder import INITIAL
from dsr_tf.train.folder import METRICS
from dsr_tf.train.folder import RunFolder
from dsr_tf.train.report import EpochLine
from dsr_tf.train.report import closing_lines
from dsr_tf.train.report import summarize
from dsr_tf.train.start import start_models


def run(config: Config) -> dict[str, Any]:
    """Trains a network and writes flags, metrics, model and summary.

    Args:
        config: Settings of the run.

    Returns:
        What `summary.json` holds.

    Raises:
        ValueError: If a setting is out of its range, or the folder holds a
            finished run.
        DatasetUnavailableError: If the data set cannot be had.
        FloatingPointError: If a weight becomes NaN or infinite.
    """
    folder = RunFolder(config.run_dir, config.overwrite)
    keras.utils.set_random_seed(config.seed)
    images = load_images(
        config.dataset,
        config.data_dir,
        image_size=config.image_size,
        train_examples=config.train_examples,
    )
    batches = images.train_batches(config.batch_size, config.seed)
    steps = images.num_train // config.batch_size

    model, initial = start_models(
        config, images.image_shape, images.num_classes
    )
    model.compile(
        build.build_optimizer(config, steps),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=build.jit_compile(config),
        steps_per_execution=build.steps_per_execution(config, steps),
    )
    budget = build.budget(config, model)
    reallocation = build.build_reallocation(config)
    if reallocation:
        reallocation.check(sparse_layers(model))

    folder.begin(config.flags)
    if initial:
        folder.write_model(initial, INITIAL)
    callbacks = [
        EpochLine(),
        keras.callbacks.CSVLogger(str(folder.path / METRICS)),
    ]
    begin = time.perf_counter()
    history = model.fit(
        batches,
        epochs=config.epochs,
        steps_per_epoch=steps,
        validation_data=images.eval_batches(),
        shuffle=False,
        verbose=0,
        callbacks=([reallocation] if reallocation else []) + callbacks,
    )
    train_seconds = time.perf_counter() - begin
    if not math.isfinite(history.history["loss"][-1]):
        raise FloatingPointError(
            "The loss must stay finite. Received: a loss of "
            f"{history.history['loss'][-1]} in the last epoch. Try a smaller "
            "--learning_rate."
        )

    folder.write_model(model)
    summary = summarize(
        config,
        model,
        reallocation,
        budget=budget,
        test_accuracy=history.history["val_accuracy"][-1],
        train_seconds=train_seconds,
    )
    folder.finish(summary)
    print(closing_lines(summary, str(folder.path)), flush=True)
    return summary
