"""Evaluates a network from a file of any kind on a data set."""

from contextlib import suppress
from typing import Any

import numpy as np

from dsr_tf.checks import checked_path
from dsr_tf.data import ImageSet
from dsr_tf.data import load_images
from dsr_tf.runs.earlier import MODEL
from dsr_tf.runs.finished import is_finished
from dsr_tf.runs.finished import read_summary
from dsr_tf.runs.runnable import Runnable
from dsr_tf.runs.runnable import foreign
from dsr_tf.runs.runnable import loader


def evaluate(
    path: str, dataset: str | None = None, data_dir: str | None = None
) -> dict[str, Any]:
    """Computes and prints the accuracy and loss on the test images of a set.

    The loss is the cross-entropy, without penalties. The outputs of the network
    are taken as logits.

    The graph of a SavedModel is run, and may read and write files: only what is
    trusted should be evaluated.

    Args:
        path: Folder of a finished run, `.keras` file, folder of a SavedModel
            with the endpoint `serve`, or `.tflite` file.
        dataset: Name, as in `load_images`. A run has its own data set; other
            networks need a name.
        data_dir: Folder of the prepared sets of TFDS; None for its default.

    Returns:
        `dataset`, `num_images`, `accuracy` and `loss`; for a run also
        `recorded_accuracy`, from its summary.

    Raises:
        ValueError: If `path` leads to no network that runs, or the data set
            does not fit.
        DatasetUnavailableError: If the data set is not available.
    """
    found, summary = checked_path("model_path", path), None
    if is_finished(found):
        summary = read_summary("model_path", found)
        found = found / MODEL
    load = loader(found, path)
    dataset = _dataset(path, dataset, summary)
    with foreign(path):
        network = load(found)
    images = _images(dataset, data_dir, network)
    result = {"dataset": dataset} | _measure(network, images, path)
    if summary:
        result["recorded_accuracy"] = summary["test_accuracy"]
    print(_lines(result), flush=True)
    return result


def _dataset(
    path: str, dataset: str | None, summary: dict[str, Any] | None
) -> str:
    if summary is None:
        if dataset is None:
            raise ValueError(
                "`dataset` must be given, unless `model_path` is the folder of "
                f"a finished run. Received: model_path={path}, and no dataset"
            )
        return dataset
    own = str(summary["dataset"])
    if dataset not in (None, own):
        raise ValueError(
            "`dataset` must be the data set of the run, or left out. To use "
            "another data set, give the run's model.keras as `model_path`. "
            f"Received: dataset={dataset} for {path}, a run on {own}"
        )
    return own


def _images(dataset: str, data_dir: str | None, network: Runnable) -> ImageSet:
    """Loads a data set, and checks that the network takes its images."""
    images = load_images(dataset, data_dir)
    if not _fits(images, network) and len(network.image_shape) == 3:
        size = network.image_shape[0]
        # Images of many sizes are cropped to the one that is wanted.
        with suppress(ValueError):
            images = load_images(dataset, data_dir, image_size=size)
    if not _fits(images, network):
        raise ValueError(
            "`dataset` must have images of the shape that the network takes, "
            f"{network.image_shape}. Received: dataset={dataset}, with images "
            f"of {images.image_shape}"
        )
    return images


def _fits(images: ImageSet, network: Runnable) -> bool:
    wanted, given = network.image_shape, images.image_shape
    return len(wanted) == len(given) and all(
        n in (None, m) for n, m in zip(wanted, given, strict=True)
    )


def _measure(network: Runnable, images: ImageSet, path: str) -> dict[str, Any]:
    num_images = num_right = 0
    loss = 0.0
    for x, labels in images.eval_batches(100).as_numpy_iterator():
        with foreign(path):
            logits = np.asarray(network.run(x), np.float64)
        if logits.shape != (len(labels), images.num_classes):
            raise ValueError(
                f"`dataset` must have as many classes as the network has "
                f"outputs. Received: dataset={images.name} with "
                f"{images.num_classes} classes, and outputs of shape "
                f"{logits.shape} for {len(labels)} images"
            )
        num_images += len(labels)
        num_right += int((logits.argmax(axis=1) == labels).sum())
        loss += float(_cross_entropy(logits, labels).sum())
    return {
        "num_images": num_images,
        "accuracy": num_right / num_images,
        "loss": loss / num_images,
    }


def _cross_entropy(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    above = logits - logits.max(axis=1, keepdims=True)
    right = above[np.arange(len(labels)), labels]
    return np.log(np.exp(above).sum(axis=1)) - right


def _lines(result: dict[str, Any]) -> str:
    rows = {
        "accuracy": f"{result['accuracy']:.4f} on the {result['num_images']:,} "
        f"test images of {result['dataset']}",
        "loss": f"{result['loss']:.4f}, the cross-entropy of its outputs, "
        "taken as logits",
    }
    recorded = result.get("recorded_accuracy")
    if recorded is not None:
        # The summary's is a mean in single precision.
        missed = result["accuracy"] - recorded
        rows["recorded"] = f"{recorded:.4f} when the run ended, " + (
            "the same" if abs(missed) < 1e-6 else f"{missed:+.4f} since"
        )
    return "\n".join(f"{name:16}{text}" for name, text in rows.items())
