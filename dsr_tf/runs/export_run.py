"""Exports the network of a finished run, for use without this library."""

import os
from pathlib import Path
from typing import Any

import keras

from dsr_tf.checks import checked_choice
from dsr_tf.checks import checked_path
from dsr_tf.checks import checked_switch
from dsr_tf.data import load_images
from dsr_tf.exporting import export
from dsr_tf.exporting.tflite import ENCODINGS
from dsr_tf.exporting.tflite import TOLERANCES
from dsr_tf.runs.earlier import MODEL
from dsr_tf.runs.exported import EXPORTS
from dsr_tf.runs.exported import export_name
from dsr_tf.runs.finished import data_of
from dsr_tf.runs.finished import is_finished
from dsr_tf.runs.finished import load_network
from dsr_tf.runs.finished import read_summary
from dsr_tf.runs.folder import RunFolder
from dsr_tf.runs.own_network import import_own

# Batches of 100 training images, from which int8 takes its ranges.
_NUM_BATCHES = 5


def export_run(
    run_dir: str,
    format: str,
    quantize: str | None = None,
    data_dir: str | None = None,
    overwrite: bool = False,
    encoding: str = "auto",
    inputs: str | None = None,
    compute: str = "dense",
) -> Path:
    """Exports the network of a run into the run's folder.

    Args:
        run_dir: Folder of a finished run.
        format: As in `dsr_tf.export`.
        quantize: As in `dsr_tf.export`; for `"int8"` 500 training images of the
            run's data set give the ranges.
        data_dir: Folder of the prepared sets of TFDS; None for its default.
        overwrite: Whether an earlier export may be replaced.
        encoding: As in `dsr_tf.export`.
        inputs: As in `dsr_tf.export`.
        compute: As in `dsr_tf.export`.

    Returns:
        Path of the export.

    Raises:
        ValueError: If there is no finished run, or it cannot be exported, or
            another process writes into its folder.
    """
    folder = checked_path("run_dir", run_dir)
    checked_choice("format", format, tuple(EXPORTS))
    checked_choice("quantize", quantize, tuple(TOLERANCES))
    checked_choice("encoding", encoding, ENCODINGS)
    checked_choice("inputs", inputs, (None, "int8"))
    checked_choice("compute", compute, ("dense", "blocks"))
    checked_switch("overwrite", overwrite)
    path = folder / export_name(format, quantize, encoding, inputs, compute)
    if not is_finished(folder):
        raise ValueError(
            "`run_dir` must be the folder of a finished run. "
            f"Received: run_dir={run_dir}"
        )
    if os.path.lexists(path) and not overwrite:
        raise ValueError(
            "`run_dir` already holds this export. Add --overwrite to replace "
            f"it. Received: run_dir={run_dir}, with {path.name}"
        )
    # Not while the run is trained further, or exported by another process.
    with RunFolder(folder).owned():
        summary = read_summary("run_dir", folder)
        import_own(summary)
        model = load_network("run_dir", run_dir, folder / MODEL)
        batches = None
        if quantize == "int8":
            batches = _batches(summary, model, data_dir)
        export(
            model,
            path,
            format,
            quantize,
            batches,
            overwrite,
            encoding=encoding,
            inputs=inputs,
            compute=compute,
        )
        return path


def _batches(
    summary: dict[str, Any], model: keras.Model, data_dir: str | None
) -> list[Any]:
    source = data_of(summary) | {"data_dir": data_dir}
    images = load_images(**source)
    shape = tuple(getattr(model, "input_shape", (None, None))[1:])
    if images.image_shape != shape and None not in shape:
        # Older runs do not say the size.
        images = load_images(**source | {"image_size": shape[0]})
    size = min(100, images.num_train)
    batches = images.train_batches(size, summary["seed"]).take(_NUM_BATCHES)
    return [x for x, _ in batches.as_numpy_iterator()]
