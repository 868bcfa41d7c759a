"""Evaluates a network from a file of any kind on a data set."""

from contextlib import suppress
from typing import Any

import numpy as np

from dsr_tf.checks import checked_path
from dsr_tf.data import ImageSet
from dsr_tf.data import load_images
from dsr_tf.runs.earlier import MODEL
from dsr_tf.runs.finished import data_of
from dsr_tf.runs.finished import is_finished
from dsr_tf.runs.finished import read_summary
from dsr_tf.runs.outputs import are_probabilities
from dsr_tf.runs.own_network import import_own
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
    standardize: bool | None = None,
) -> dict[str, Any]:
    """Computes and prints the accuracy and loss on the test images of a set.

    The loss is the cross-entropy, without penalties. The outputs of the network
    are taken as probabilities if they all add up to 1, else as logits.

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
        standardize: As in `load_images`; None for that of the run, else True.

    Returns:
        `dataset`, `test_split`, `num_images`, `accuracy`, `loss` and `outputs`,
        what they were taken as; for a run also `recorded_accuracy`, from its
        summary.

    Raises:
        ValueError: If `path` leads to no network that runs, or the data set
            does not fit.
        DatasetUnavailableError: If the data set is not available.
    """
    found, summary = checked_path("model_path", path), None
    if is_finished(found):
        summary = read_summary("model_path", found)
        import_own(summary)
        found = found / MODEL
    load = loader(found, path)
    given = {
        "dataset": dataset,
        "train_split": train_split,
        "test_split": test_split,
        "standardize": standardize,
    }
    source = _data(path, given, summary)
    with foreign(path):
        network = load(found)
    images = _images(network, source | {"data_dir": data_dir})
    result: dict[str, Any] = {
        "dataset": source["name"],
        "test_split": source["test_split"],
    }
    result |= _measure(network, images, path)
    if summary:
        result["recorded_accuracy"] = summary["test_accuracy"]
    print(_lines(result), flush=True)
    return result


def _data(
    path: str, given: dict[str, Any], summary: dict[str, Any] | None
) -> dict[str, Any]:
    """Returns how the data is loaded: that of the run, if it is one."""
    if summary is None:
        name, standardize = given.pop("dataset"), given.pop("standardize")
        if name is None:
            raise ValueError(
                "`dataset` must be given, unless `model_path` is the folder of "
                f"a finished run. Received: model_path={path}, and no dataset"
            )
        return {"name": name, "standardize": standardize is not False, **given}
    source = data_of(summary)
    known = source | {"dataset": source["name"]}
    for name, value in given.items():
        if value not in (None, known[name]):
            raise ValueError(
                f"`{name}` must be that of the run, or left out. To use other "
                "data, give the run's model.keras as `model_path`. Received: "
                f"{name}={value} for {path}, a run with {name}={known[name]}"
            )
    return source


def _images(network: Runnable, source: dict[str, Any]) -> ImageSet:
    """Loads a data set, and checks that the network takes its images."""
    images = load_images(**source)
    shape = network.image_shape
    if not _fits(images, network) and shape and len(shape) == 3:
        size = shape[0]
        # Images of many sizes are cropped to the one that is wanted.
        with suppress(ValueError):
            images = load_images(**source | {"image_size": size})
    if not _fits(images, network):
        raise ValueError(
            "`dataset` must have examples of the shape that the network takes, "
            f"{shape}. Received: dataset={images.name}, with "
            f"examples of {images.image_shape}"
        )
    return images


def _fits(images: ImageSet, network: Runnable) -> bool:
    wanted, given = network.image_shape, images.image_shape
    if wanted is None:
        return True
    return len(wanted) == len(given) and all(
        n in (None, m) for n, m in zip(wanted, given, strict=True)
    )


def _measure(network: Runnable, images: ImageSet, path: str) -> dict[str, Any]:
    outputs, labels = [], []
    for x, y in images.eval_batches(100).as_numpy_iterator():
        with foreign(path):
            found = np.asarray(network.run(x), np.float64)
        if found.shape != (len(y), images.num_classes):
            raise ValueError(
                f"`dataset` must have as many classes as the network has "
                f"outputs. Received: dataset={images.name} with "
                f"{images.num_classes} classes, and outputs of shape "
                f"{found.shape} for {len(y)} examples"
            )
        outputs.append(found)
        labels.append(y)
    return _measured(np.concatenate(outputs), np.concatenate(labels))


def _measured(outputs: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    kind = "logits"
    if are_probabilities(outputs):
        # As Keras does it: an output of 0 is no infinite loss.
        outputs = np.log(np.clip(outputs, 1e-7, None))
        kind = "probabilities"
    return {
        "num_images": len(labels),
        "accuracy": int((outputs.argmax(axis=1) == labels).sum()) / len(labels),
        "loss": float(_cross_entropy(outputs, labels).sum()) / len(labels),
        "outputs": kind,
    }


def _cross_entropy(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    above = logits - logits.max(axis=1, keepdims=True)
    right = above[np.arange(len(labels)), labels]
    return np.log(np.exp(above).sum(axis=1)) - right


def _lines(result: dict[str, Any]) -> str:
    rows = {
        "accuracy": f"{result['accuracy']:.4f} on the {result['num_images']:,} "
        f"test examples of {tested(result)}",
        "loss": f"{result['loss']:.4f}, the cross-entropy of its outputs, "
        f"taken as {result['outputs']}",
    }
    recorded = result.get("recorded_accuracy")
    if recorded is not None:
        # The summary's is a mean in single precision.
        missed = result["accuracy"] - recorded
        rows["recorded"] = f"{recorded:.4f} when the run ended, " + (
            "the same" if abs(missed) < 1e-6 else f"{missed:+.4f} since"
        )
    return "\n".join(f"{name:16}{text}" for name, text in rows.items())
