"""Evaluates a network from a file of any kind on a data set."""

from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np

from dsr_tf.checks import checked_path
from dsr_tf.data import ImageSet
from dsr_tf.data import load_images
from dsr_tf.runs.earlier import MODEL
from dsr_tf.runs.finished import is_finished
from dsr_tf.runs.finished import read_summary
from dsr_tf.runs.report import tested
from dsr_tf.runs.runnable import Runnable
from dsr_tf.runs.runnable import foreign
from dsr_tf.runs.runnable import loader


def evaluate(
    path: str,
    dataset: str | None = None,
    data_dir: str | None = None,
    train_split: str | None = None,
    test_split: str | None = None,
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
        train_split: As in `load_images`: its images are what others are
            normalised by. A run has its own.
        test_split: As in `load_images`. A run has its own.

    Returns:
        `dataset`, `test_split`, `num_images`, `accuracy` and `loss`; for a run
        also `recorded_accuracy`, from its summary.

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
    given = {
        "dataset": dataset,
        "train_split": train_split,
        "test_split": test_split,
    }
    name, *splits = _data(path, given, summary).values()
    with foreign(path):
        network = load(found)
    images = _images(network, name, data_dir, *splits)
    result: dict[str, Any] = {"dataset": name, "test_split": splits[1]}
    result |= _measure(network, images, path)
    if summary:
        result["recorded_accuracy"] = summary["test_accuracy"]
    print(_lines(result), flush=True)
    return result


def _data(
    path: str, given: dict[str, str | None], summary: dict[str, Any] | None
) -> dict[str, Any]:
    """Returns the data set and its splits: those of the run, if it is one."""
    if summary is None:
        if given["dataset"] is None:
            raise ValueError(
                "`dataset` must be given, unless `model_path` is the folder of "
                f"a finished run. Received: model_path={path}, and no dataset"
            )
        return given
    for name, value in given.items():
        own = summary.get(name)
        if value not in (None, own):
            raise ValueError(
                f"`{name}` must be that of the run, or left out. To use other "
                "data, give the run's model.keras as `model_path`. Received: "
                f"{name}={value} for {path}, a run with {name}={own}"
            )
    return {name: summary.get(name) for name in given}


def _images(
    network: Runnable,
    dataset: str,
    data_dir: str | None,
    train_split: str | None,
    test_split: str | None,
) -> ImageSet:
    """Loads a data set, and checks that the network takes its images."""
    load = partial(
        load_images,
        dataset,
        data_dir,
        train_split=train_split,
        test_split=test_split,
    )
    images = load()
    if not _fits(images, network) and len(network.image_shape) == 3:
        size = network.image_shape[0]
        # Images of many sizes are cropped to the one that is wanted.
        with suppress(ValueError):
            images = load(image_size=size)
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
        f"test images of {tested(result)}",
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
