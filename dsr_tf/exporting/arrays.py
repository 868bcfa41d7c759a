"""Sparse kernels as NumPy arrays, for other frameworks."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from dsr_tf.exporting.weight_names import named_weights
from dsr_tf.layers import sparse_layers

Arrays = dict[str, np.ndarray]


def write_npz(model: keras.Model, path: Path) -> None:
    """Writes all weights of a model, sparse kernels by position.

    Each array has the path of its variable, such as `dense/bias`; where several
    have the same, the names of their models come first. A bfloat16 is written
    as a float32, which has all its values. A sparse
    kernel has three arrays instead: `dense/kernel/values`, the active weights;
    `dense/kernel/indices`, int64, their positions in the flattened kernel,
    ascending; and `dense/kernel/shape`, int64.

    Args:
        model: A built model.
        path: File to write.
    """
    _write(model, path, _by_position)


def write_csr(model: keras.Model, path: Path) -> None:
    """Writes all weights of a model, sparse kernels as compressed rows.

    The file is like that of `write_npz`, but a sparse kernel is stored as
    `dense/kernel/data`, `.../indices` and `.../indptr`. These make a SciPy
    `csr_matrix` with a row for each position along the kernel's last axis, for
    most layers an output, and a column for each along the other axes,
    flattened. `dense/kernel/shape` is the shape of the kernel.

    Args:
        model: A built model.
        path: File to write.
    """
    _write(model, path, _by_row)


def _write(
    model: keras.Model,
    path: Path,
    encode: Callable[[np.ndarray, np.ndarray], Arrays],
) -> None:
    masks = {id(x.kernel): x.kernel_mask for x in sparse_layers(model)}
    left_out = {id(mask) for mask in masks.values()}
    arrays: Arrays = {}
    for name, weight in named_weights(model).items():
        value = _value(weight)
        if id(weight) in masks:
            mask = keras.ops.convert_to_numpy(masks[id(weight)])
            parts = encode(value, mask) | {"shape": np.array(value.shape)}
            arrays |= {f"{name}/{k}": v for k, v in parts.items()}
        elif id(weight) not in left_out:
            arrays[name] = value
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def _value(weight: keras.Variable) -> np.ndarray:
    """Returns a weight; NumPy cannot read a bfloat16 from a file."""
    if weight.dtype == "bfloat16":
        weight = keras.ops.cast(weight, "float32")
    return keras.ops.convert_to_numpy(weight)


def _by_position(kernel: np.ndarray, mask: np.ndarray) -> Arrays:
    positions = np.flatnonzero(mask)
    return {"values": kernel.reshape(-1)[positions], "indices": positions}


def _by_row(kernel: np.ndarray, mask: np.ndarray) -> Arrays:
    outputs = kernel.shape[-1]
    rows = mask.reshape(-1, outputs).T
    row, column = np.nonzero(rows)
    starts = np.zeros(outputs + 1, np.int64)
    np.cumsum(rows.sum(axis=1), out=starts[1:])
    data = kernel.reshape(-1, outputs)[column, row]
    return {"data": data, "indices": column, "indptr": starts}
