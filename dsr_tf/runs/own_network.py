"""Networks that are the user's own, or of `keras.applications`."""

import difflib
import importlib
import inspect
import sys
import sysconfig
import traceback
from collections.abc import Callable
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import keras
import numpy as np

from dsr_tf.checks import first_line
from dsr_tf.convert import densify
from dsr_tf.layers import sparse_layers
from dsr_tf.runs.finished import load_network

FILE = ".keras"
_PACKAGE = Path(__file__).parents[1]


def is_file(model: str) -> bool:
    """Tells whether `--model` names a `.keras` file."""
    return model.endswith(FILE)


def is_function(model: str) -> bool:
    """Tells whether `--model` names a function, as `module:function`."""
    return ":" in model and not is_file(model)


def applications() -> dict[str, Callable[..., keras.Model]]:
    """Returns the networks of `keras.applications` by name."""
    found = vars(keras.applications).items()
    return {
        name: x
        for name, x in found
        if inspect.isfunction(x) and name[0].isupper()
    }


def own_network(
    model: str, image_shape: tuple[int, ...], num_classes: int, seed: int
) -> keras.Model:
    """Makes a network of plain Keras layers.

    Args:
        model: Path of a `.keras` file, which may be sparse; `module:function`,
            where the function takes nothing, or `input_shape` and
            `num_classes`; or a name of `keras.applications`.
        image_shape: Shape of an example.
        num_classes: Number of classes.
        seed: Seed of the weights, where these are not in a file.

    Raises:
        ValueError: If there is no such network, or it does not fit the data.
    """
    if is_file(model):
        found = _load(model)
    else:
        # Layers draw their weights, and their own seeds, from these.
        keras.utils.set_random_seed(seed)
        make = _called if is_function(model) else _application
        found = make(model, tuple(image_shape), num_classes)
    _check_fits(model, found, image_shape, num_classes)
    return densify(found) if sparse_layers(found) else found


def _load(model: str) -> keras.Model:
    if not Path(model).is_file():
        raise ValueError(
            "`model` must be a file that exists, if its name ends with "
            f"{FILE}. Received: model={model}"
        )
    return load_network("model", model, Path(model))


def import_module(model: str) -> Any:
    """Imports the module of `module:function`, also from this folder."""
    name = model.partition(":")[0]
    if name.endswith(".py"):
        without = model.replace(".py:", ":", 1).replace("/", ".")
        raise ValueError(f"a module is named without .py, as in {without}")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    return importlib.import_module(name)


def import_own(summary: Mapping[str, Any]) -> None:
    """Imports the module of the network of a run, if it has one.

    Its own layers are registered by it. A module that is not here is passed
    over: it may have none.
    """
    model = summary.get("model")
    if isinstance(model, str) and is_function(model):
        # Broad, as the user's own code may fail in any way.
        with suppress(Exception):
            import_module(model)


def _called(
    model: str, input_shape: tuple[int, ...], num_classes: int
) -> keras.Model:
    given = {"input_shape": input_shape, "num_classes": num_classes}
    try:
        function = getattr(import_module(model), model.partition(":")[2])
        names = inspect.signature(function).parameters
        found = function(**{k: v for k, v in given.items() if k in names})
        if isinstance(found, keras.Model) and not found.built:
            _build(found, input_shape)
    # Broad, as the user's own code may fail in any way.
    except Exception as error:
        raise ValueError(
            "`model` must be module:function, of a module that can be "
            "imported here, and a function that needs no argument but "
            "`input_shape` and `num_classes`. "
            f"Received: model={model} ({first_line(error)}{_where(error)})"
        ) from error
    if not isinstance(found, keras.Model):
        raise ValueError(
            "`model` must be a function that returns a Keras model. Received: "
            f"model={model}, which returns {type(found).__name__}"
        )
    return found


def _where(error: Exception) -> str:
    """Says on which line of the user's own file an error was raised."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename).resolve()
        is_here = path.is_file() and Path.cwd() in path.parents
        if is_here and not _is_installed(path):
            return f", in {path.name}, line {frame.lineno}"
    return ""


def _is_installed(path: Path) -> bool:
    known = {_PACKAGE, Path(sysconfig.get_path("stdlib")).resolve()}
    return "site-packages" in path.parts or not known.isdisjoint(path.parents)


def _build(model: keras.Model, input_shape: tuple[int, ...]) -> None:
    if isinstance(model, keras.Sequential):
        # Of examples it would take the number, too.
        model.build((None, *input_shape))
    else:
        model(_zeros(input_shape))


def _application(
    model: str, input_shape: tuple[int, ...], num_classes: int
) -> keras.Model:
    check_images(model, input_shape)
    function = applications().get(model)
    if function is None:
        raise ValueError(
            "`model` must be a network of this library or of "
            "keras.applications, a .keras file, or module:function. "
            f"Received: model={model}"
        )
    # What takes pixels as they are would scale them down once more.
    has_scaling = (
        "include_preprocessing" in inspect.signature(function).parameters
    )
    more = {"include_preprocessing": False} if has_scaling else {}
    try:
        return function(
            weights=None,
            input_shape=input_shape,
            classes=num_classes,
            classifier_activation=None,
            **more,
        )
    # Broad, as images may be too small in any way.
    except Exception as error:
        raise ValueError(
            "`model` must be a network that takes the images of `dataset`. "
            "Other images may need another --image_size. Received: "
            f"model={model} and images of {input_shape} ({first_line(error)})"
        ) from error


def check_images(model: str, input_shape: tuple[int, ...]) -> None:
    """Refuses examples that are no images, for a network that needs these.

    Raises:
        ValueError: If they are none.
    """
    if len(input_shape) != 3:
        raise ValueError(
            "`model` must be a network that takes what `dataset` holds, as "
            "module:function or lenet_300_100 does. Received: "
            f"model={model}, which takes images, and vectors of "
            f"{input_shape[0]} features"
        )


def near_applications(model: str) -> list[str]:
    """Returns the networks of `keras.applications` with names near to one.

    That is the one of this name alone, if there is one.
    """
    known = applications()
    if model in known:
        return [model]
    lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(model.lower(), lower, n=3)
    return [lower[x] for x in near]


def _check_fits(
    model: str,
    network: keras.Model,
    image_shape: tuple[int, ...],
    num_classes: int,
) -> None:
    shape = getattr(network, "input_shape", None)
    if isinstance(shape, tuple) and not _takes(shape[1:], image_shape):
        raise ValueError(
            "`model` must take what `dataset` holds. Received: "
            f"model={model}, which takes examples of shape {shape[1:]}, and a "
            f"data set of examples of shape {tuple(image_shape)}. Images of a "
            "folder get the --image_size that is given"
        )
    if not isinstance(shape, tuple | None) or isinstance(shape, list):
        raise ValueError(
            "`model` must have one input. Received: "
            f"model={model} with inputs {shape}"
        )
    outputs = _output_shape(network, image_shape)
    if not isinstance(outputs, tuple) or outputs[1:] != (num_classes,):
        raise ValueError(
            "`model` must have one output for each class of `dataset`. "
            f"Received: model={model} with outputs of shape {outputs}, and a "
            f"data set of {num_classes} classes"
        )


def _output_shape(network: keras.Model, image_shape: tuple[int, ...]) -> Any:
    """Returns the shape of the outputs, the number of examples open."""
    known = getattr(network, "output_shape", None)
    if known is not None:
        return known
    # A model that calls its layers in code.
    outputs = network(_zeros(image_shape))
    return (None, *getattr(outputs, "shape", (None,))[1:])


def _zeros(shape: tuple[int, ...]) -> np.ndarray:
    return np.zeros((1, *shape), np.float32)


def _takes(wanted: Any, given: tuple[int, ...]) -> bool:
    return len(wanted) == len(given) and all(
        n in (None, m) for n, m in zip(wanted, given, strict=True)
    )
