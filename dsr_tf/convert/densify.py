"""Plain Keras models, made of sparse ones."""

from pathlib import Path

import keras
import tensorflow as tf

from dsr_tf.checks import checked_kind
from dsr_tf.checks import checked_path
from dsr_tf.checks import checked_switch
from dsr_tf.checks import first_line
from dsr_tf.convert.clone import check_built
from dsr_tf.convert.clone import clone_with
from dsr_tf.convert.clone import finish
from dsr_tf.convert.new_optimizer import begin_anew
from dsr_tf.graph.kinds import dense_twin
from dsr_tf.layers import HashedKernel
from dsr_tf.layers import copy_masks
from dsr_tf.layers import copy_weights
from dsr_tf.layers import sparse_layers
from dsr_tf.layers.kernel_mask import KernelMask
from dsr_tf.layers.plain_again import looking_plain
from dsr_tf.layers.plain_again import unmask_weights
from dsr_tf.layers.tree import all_layers


def densify(model: keras.Model, in_place: bool = False) -> keras.Model:
    """Makes a plain Keras model from a sparse one.

    Sparse and hashed layers become the Keras layers that they extend, with
    dense kernels; so do layers inside wrappers, one's own layers and models in
    code. Outputs are equal, and saved files load without `dsr_tf`, unless one's
    own code makes sparse layers. A `GroupLasso` becomes its L1 and L2 parts.
    The model itself is not changed.

    Args:
        model: A built model.
        in_place: Whether to make the model itself plain instead of a copy, for
            models that cannot be copied.

    Returns:
        The model itself, or a new model with the same `compile` arguments; its
        optimizer starts anew.

    Raises:
        ValueError: If the model cannot be converted.

    Example:
    >>> dsr_tf.densify(sparse).save("plain.keras")
    """
    check_built(model)
    checked_switch("in_place", in_place)
    if not in_place:
        return clone_with(model, dense_twin, copy_out)
    _check_plain(model)
    unmask_weights(model)
    begin_anew(model)
    model.train_function = model.test_function = model.predict_function = None
    return model


def load_dense_weights(model: keras.Model, path: str | Path) -> None:
    """Loads the weights of a dense model into a sparse one, under its masks.

    Args:
        model: A built model with sparse layers.
        path: A `.weights.h5` or `.keras` file of a plain Keras model with the
            same architecture.

    Raises:
        ValueError: If the file has another suffix, does not exist, or holds
            other weights. The model is then unchanged.
    """
    checked_kind("model", model, keras.Model, "a Keras model")
    path = checked_path("path", path)
    if path.suffix != ".keras" and not path.name.endswith(".weights.h5"):
        raise ValueError(
            f"`path` must end in .weights.h5 or .keras. Received: path={path}"
        )
    if not path.is_file():
        raise ValueError(
            f"`path` must be a file that exists. Received: path={path}"
        )
    if path.suffix == ".keras":
        copy_weights(_loaded(path, model), model)
    else:
        _load_plain(path, model)
    finish(model)


def _load_plain(path: Path, model: keras.Model) -> None:
    """Loads weights as if the model were plain; it is as before if that fails.

    Not into a plain copy: models in code need not have one.
    """
    weights = [w for w in model.weights if not isinstance(w, KernelMask)]
    before = [tf.identity(weight.value) for weight in weights]
    try:
        with looking_plain(model):
            model.load_weights(path)
    # Broad, as a foreign file may fail in any way.
    except Exception as error:
        for weight, value in zip(weights, before, strict=True):
            weight.assign(value)
        raise _unfit(path, model, error) from error


def _loaded(path: Path, model: keras.Model) -> keras.Model:
    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:
        raise _unfit(path, model, error) from error


def _unfit(path: Path, model: keras.Model, error: Exception) -> ValueError:
    return ValueError(
        "`path` must be a file that Keras can load, of a model with the "
        f"layers of '{model.name}'. Received: path={path} "
        f"({first_line(error)})"
    )


def copy_out(old: keras.layers.Layer, new: keras.layers.Layer) -> None:
    """Copies the weights of a layer to its plain Keras twin."""
    if not isinstance(old, HashedKernel):
        if sparse_layers(new):
            copy_masks(old, new)
        copy_weights(old, new)
        unmask_weights(new)
        _check_plain(new)
        return
    new.kernel.assign(old.kernel)
    if old.bias is not None:
        new.bias.assign(old.bias)


def _check_plain(layer: keras.layers.Layer) -> None:
    hashed = [x.name for x in all_layers(layer) if isinstance(x, HashedKernel)]
    if hashed:
        raise ValueError(
            "`model` must have no hashed layers where others cannot take "
            "their place: in layers that make them in code, and in place. "
            f"Received: '{layer.name}' of class {type(layer).__name__}, with "
            f"hashed layers {hashed}"
        )
