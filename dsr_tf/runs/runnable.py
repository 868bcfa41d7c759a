"""Networks in files of any kind, as something that runs."""

from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from dsr_tf.checks import first_line
from dsr_tf.exporting.interpreter import decoded
from dsr_tf.exporting.interpreter import encoded
from dsr_tf.exporting.interpreter import interpreter
from dsr_tf.exporting.trial import check_survives

_GRAPH = "saved_model.pb"


@dataclass(frozen=True)
class Runnable:
    """A network of any kind: the shape of an image, and its outputs.

    The shape is None where it is not known, as of a model in code.
    """

    image_shape: tuple[int | None, ...] | None
    run: Callable[[np.ndarray], Any]


def loader(found: Path, path: str) -> Callable[[Path], Runnable]:
    """Returns the function that loads what is there, by its kind."""
    if found.suffix in (".npz", ".npy"):
        raise ValueError(
            "`model_path` must be something that runs: a finished run, a "
            ".keras file, a SavedModel or a .tflite file. NumPy arrays, such "
            f"as the exports npz and csr, cannot run. Received: "
            f"model_path={path}"
        )
    if (found / _GRAPH).is_file():
        return _load_saved_model
    kinds = {".keras": _load_keras, ".tflite": _load_tflite}
    if found.is_file() and found.suffix in kinds:
        return kinds[found.suffix]
    raise ValueError(
        "`model_path` must be the folder of a finished run, a .keras file, the "
        "folder of a SavedModel or a .tflite file. "
        f"Received: model_path={path}"
    )


@contextmanager
def foreign(path: str) -> Iterator[None]:
    """Turns any error into a one-line ValueError that names the path."""
    try:
        yield
    # Broad, as a foreign file may fail in any way.
    except Exception as error:
        raise ValueError(
            "`model_path` must lead to a network that loads and takes a batch "
            "of images; a SavedModel must have an endpoint `serve`. Received: "
            f"model_path={path} ({first_line(error)})"
        ) from error


def _load_keras(path: Path) -> Runnable:
    model = keras.models.load_model(path, compile=False)
    shape = getattr(model, "input_shape", None)
    known = None if shape is None else tuple(shape[1:])
    return Runnable(known, model.predict_on_batch)


def _load_saved_model(path: Path) -> Runnable:
    with _unlogged():
        loaded = tf.saved_model.load(str(path))
    inputs = loaded.signatures["serve"].structured_input_signature[1]
    ((name, spec),) = inputs.items()

    def run(images: np.ndarray) -> Any:
        # An endpoint by itself does not keep its variables.
        endpoint = loaded.signatures["serve"]
        (outputs,) = endpoint(**{name: tf.constant(images)}).values()
        return outputs

    return Runnable(tuple(spec.shape[1:]), run)


@contextmanager
def _unlogged() -> Iterator[None]:
    """Keeps quiet about a fingerprint that is damaged: no weight depends on it.

    TensorFlow writes all that leads there, and goes on.
    """
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.FATAL)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def _load_tflite(path: Path) -> Runnable:
    check_survives(path)
    endpoint = interpreter(path).get_signature_runner()
    ((name, details),) = endpoint.get_input_details().items()
    (given_back,) = endpoint.get_output_details().values()
    # A dimension that is open is -1 there.
    shape = (n if n > 0 else None for n in details["shape_signature"][1:])

    def run(images: np.ndarray) -> Any:
        inputs = {name: encoded(images, details)}
        (outputs,) = endpoint(**inputs).values()
        return decoded(outputs, given_back)

    return Runnable(tuple(shape), run)
