"""One training run, from a configuration to the files it writes."""

import math
import time
from typing import Any

import keras

from dsr_tf.data import eval_batches
from dsr_tf.data import load_images
from dsr_tf.data import train_batches
from dsr_tf.layers import sparse_layers
from dsr_tf.train import build
from dsr_tf.train.config import Config
from dsr_tf.train.folder import METRICS
from dsr_tf.train.folder import RunFolder
from dsr_tf.train.report import EpochLine
from dsr_tf.train.report import closing_lines
from dsr_tf.train.report import summarize


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
    images = load_images(config.dataset, config.data_dir)
    batches = train_batches(images, config.batch_size, config.seed)
    steps = len(images.train_labels) // config.batch_size

    model = build.build_model(config, images)
    model.compile(
        build.build_optimizer(config, steps),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        steps_per_execution=build.steps_per_execution(config, steps),
    )
    budget = sum(layer.num_active for layer in sparse_layers(model))
    reallocation = build.build_reallocation(config)
    if reallocation:
        reallocation.method.prune.check(budget)

    folder.begin(config.flags)
    callbacks = [
        EpochLine(),
        keras.callbacks.CSVLogger(str(folder.path / METRICS)),
    ]
    begin = time.perf_counter()
    history = model.fit(
        batches,
        epochs=config.epochs,
        steps_per_epoch=steps,
        validation_data=eval_batches(images),
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
