"""Models as files that load without this library."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from dsr_tf.checks import checked_choice
from dsr_tf.checks import checked_path
from dsr_tf.checks import checked_switch
from dsr_tf.convert.clone import check_built
from dsr_tf.exporting.arrays import write_csr
from dsr_tf.exporting.arrays import write_npz
from dsr_tf.exporting.block_serving import can_serve_blocks
from dsr_tf.exporting.functional import as_functional
from dsr_tf.exporting.saved_model import write_dense
from dsr_tf.exporting.saved_model import write_packed
from dsr_tf.exporting.tflite import ENCODINGS
from dsr_tf.exporting.tflite import TOLERANCES
from dsr_tf.exporting.tflite import write_tflite
from dsr_tf.files import replacing
from dsr_tf.layers import BlockKernel
from dsr_tf.layers import HashedKernel
from dsr_tf.layers import budgeted_layers
from dsr_tf.layers import sparse_layers
from dsr_tf.layers.block_in_place import under_masks
from dsr_tf.layers.name_scopes import closed_name_scopes

WRITERS: dict[str, Callable[..., str | None]] = {
    "saved_model": write_packed,
    "saved_model_dense": write_dense,
    "tflite": write_tflite,
    "npz": write_npz,
    "csr": write_csr,
}


def export(
    model: keras.Model,
    path: str | Path,
    format: str = "saved_model",
    quantize: str | None = None,
    representative: Any = None,
    overwrite: bool = False,
    verbose: bool = True,
    encoding: str = "auto",
    inputs: str | None = None,
    compute: str = "dense",
) -> None:
    """Writes a sparse model as a file that loads without this library.

    The file is written beside its target and moved there when it is complete. A
    symbolic link at `path` is replaced itself; its target stays.

    Args:
        model: A built model with sparse or hashed layers. One that calls its
            layers in code is exported with inputs of the shapes that it was
            built with, of floats.
        path: File or folder to write.
        format: `"saved_model"`: a SavedModel for TensorFlow and TensorFlow
            Serving, whose sparse kernels are packed, and unpacked at loading.
            `"saved_model_dense"`: a SavedModel with dense kernels. `"tflite"`:
            a TFLite file. `"npz"` and `"csr"`: NumPy arrays, by position or by
            row. SavedModels and TFLite files are run, and their outputs are
            compared with the model's.
        quantize: For `"tflite"`: None, `"float16"` or `"int8"`.
        representative: Inputs, in any form that `model.predict` takes, batches
            with labels included, or a function that returns them. For
            `"int8"` they give the ranges of activations. On the first ones, 32
            at most, the file is compared with the model; without any, on
            drawn inputs.
        overwrite: Whether to replace a file or folder at `path`.
        verbose: Whether to print the size of the result.
        encoding: For `"tflite"`: `"sparse"` and `"dense"` say how kernels are
            encoded. `"auto"` takes the sparse encoding where it is smaller and
            computes the model's outputs.
        inputs: For `"tflite"` with `quantize="int8"`: `"int8"` makes in- and
            outputs of 8 bits, as microcontrollers take them, with dense
            kernels.
        compute: For `"saved_model"`: `"dense"` unpacks all kernels to dense
            ones at loading. With `"blocks"`, the layers that are faster so
            compute with their blocks, stored under masks or alone, and have no
            dense kernel: `Dense`, `EinsumDense` and 1×1 convolutions of at
            least 512×1024 weights, of which at most a quarter is not 0, in
            blocks of at least 8×8.

    Raises:
        ValueError: If an argument is out of its range, the model cannot be
            converted, or `path` already exists.
        RuntimeError: If the outputs of the file differ from the model's.
        OSError: If the file cannot be written. An older file at `path` stays.

    Example:
    >>> dsr_tf.export(model, "served")
    >>> tf.saved_model.load("served").serve(images)
    """
    path = checked_path("path", path)
    checked_choice("format", format, tuple(WRITERS))
    _check_suffix(path, format)
    checked_switch("overwrite", overwrite)
    checked_switch("verbose", verbose)
    _check(model, path, overwrite)
    if format not in ("npz", "csr"):
        model = as_functional(model)
    options = _options(format, quantize, encoding, inputs, compute)
    if compute == "blocks":
        _check_blocks(model)
    if representative is not None:
        options |= _representative(format, representative)
    with replacing(path) as partial, closed_name_scopes(), under_masks(model):
        note = WRITERS[format](model, partial, **options)
    if verbose:
        line = _size_line(model, path)
        print(f"{line}; {note}" if note else line, flush=True)


def _check_suffix(path: Path, format: str) -> None:
    """Refuses a SavedModel, a folder, with the name of a file."""
    meant = path.suffix.removeprefix(".")
    if format.startswith("saved_model") and meant in ("tflite", "npz"):
        raise ValueError(
            f"`format` must be {meant!r} for a path that ends with .{meant}. "
            f"Received: format={format!r}, path={path}"
        )


def _check(model: keras.Model, path: Path, overwrite: bool) -> None:
    check_built(model)
    if not budgeted_layers(model):
        raise ValueError(
            "`model` must have a sparse or hashed layer. Export a plain Keras "
            "model by its own `model.export`. "
            f"Received: model '{model.name}' with layers "
            f"{[layer.name for layer in model.layers]}"
        )
    # Also a symbolic link that leads nowhere.
    if os.path.lexists(path) and not overwrite:
        raise ValueError(
            "`path` must not exist yet, unless `overwrite=True`. "
            f"Received: path={path}, which already exists"
        )
    if not path.parent.is_dir():
        raise ValueError(
            "`path` must be in a folder that exists. Make the folder first. "
            f"Received: path={path}"
        )


def _options(
    format: str,
    quantize: str | None,
    encoding: str,
    inputs: str | None,
    compute: str,
) -> dict[str, Any]:
    checked_choice("quantize", quantize, tuple(TOLERANCES))
    checked_choice("encoding", encoding, ENCODINGS)
    checked_choice("inputs", inputs, (None, "int8"))
    checked_choice("compute", compute, ("dense", "blocks"))
    options = {"quantize": quantize, "encoding": encoding, "inputs": inputs}
    if format != "saved_model":
        _check_default(format, "saved_model", {"compute": compute})
    if format != "tflite":
        _check_default(format, "tflite", options)
        return {"compute": compute} if format == "saved_model" else {}
    if inputs is not None and (quantize != "int8" or encoding == "sparse"):
        raise ValueError(
            "`inputs` must be None, unless `quantize='int8'` and the encoding "
            f"is not 'sparse'. Received: inputs={inputs!r}, "
            f"quantize={quantize!r}, encoding={encoding!r}"
        )
    return options


def _check_default(format: str, only: str, options: dict[str, Any]) -> None:
    """Refuses what only one format has, for another format."""
    usual = {"quantize": None, "encoding": "auto", "inputs": None}
    usual |= {"compute": "dense"}
    for name, value in options.items():
        if value != usual[name]:
            raise ValueError(
                f"`{name}` must be {usual[name]!r}, unless the format is "
                f"{only!r}. Received: {name}={value!r}, format={format!r}"
            )


def _check_blocks(model: keras.Model) -> None:
    if not can_serve_blocks(model):
        raise ValueError(
            "`compute` must be 'dense' for a model without layers that are "
            "faster with blocks: `Dense`, `EinsumDense` and 1×1 convolutions "
            "of at least 524,288 weights, of which at most a quarter is not "
            "0, with blocks of at least 8×8. Convert it with a granularity "
            "such as (32, 32). Received: compute='blocks', model "
            f"'{model.name}'"
        )


def _representative(format: str, given: Any) -> dict[str, Any]:
    if format in ("npz", "csr"):
        raise ValueError(
            "`representative` must be None, unless the format is 'tflite' or "
            f"a SavedModel. Received: representative={given!r}, "
            f"format={format!r}"
        )
    return {"representative": given}


def _size_line(model: keras.Model, path: Path) -> str:
    files = [path] if path.is_file() else path.rglob("*")
    size = sum(file.stat().st_size for file in files if file.is_file())
    dense = _dense_bytes(model)
    return (
        f"{path}: {size:,} bytes, {100 * size / dense:.3g} % of the {dense:,} "
        "bytes of the dense weights"
    )


def _dense_bytes(model: keras.Model) -> int:
    """Returns the bytes of a model's weights, zeros included."""
    total = 0
    own = {id(layer.placement) for layer in sparse_layers(model)}
    for layer in budgeted_layers(model):
        if isinstance(layer, HashedKernel | BlockKernel):
            total += keras.ops.convert_to_numpy(layer.kernel).nbytes
            own |= {id(w) for w in layer.weights if w is not layer.bias}
    arrays = [w for w in model.weights if id(w) not in own]
    return total + sum(keras.ops.convert_to_numpy(w).nbytes for w in arrays)
