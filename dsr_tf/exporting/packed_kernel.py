"""Kernels that are packed in a SavedModel, and unpacked when it is loaded."""

import hashlib
import math
import re
from pathlib import Path

import numpy as np
import tensorflow as tf

from dsr_tf.exporting.gaps import Packed
from dsr_tf.exporting.gaps import pack


class UnpackedVariable(tf.saved_model.experimental.TrackableResource):
    """A variable that is not saved: a loader fills it from an asset.

    The program that loads the SavedModel makes and fills the variable, with
    operations of stock TensorFlow.

    Args:
        path: File to write; the SavedModel takes a copy of it.
        packed: The value of the variable.
        name: Name of the variable, unique in the model.
    """

    def __init__(self, path: Path, packed: Packed, name: str) -> None:
        super().__init__()
        path.write_bytes(packed.values.tobytes() + packed.gaps)
        self._file = tf.saved_model.Asset(str(path))
        # Private, as a resource has no public way to track what it needs.
        self._track_trackable(self._file, "file")
        self._name = name
        self._shape = packed.shape
        self._dtype = tf.as_dtype(packed.values.dtype)
        self._num_bytes = packed.values.nbytes
        self._initialize()

    @classmethod
    def of(
        cls, array: np.ndarray, path: str, folder: Path
    ) -> "UnpackedVariable":
        """Packs an array into a file of a folder.

        Args:
            array: The value of the variable.
            path: What it is called in the model.
            folder: Where the file is until the SavedModel has its copy.
        """
        packed = pack(array)
        # Loaders keep variables by name, of all models together: equal names
        # only for equal arrays.
        shape = str(packed.shape).encode()
        content = packed.values.tobytes() + packed.gaps + shape
        digest = hashlib.sha256(content).hexdigest()
        name = re.sub(r"\W", "_", path) + f"_{digest[:16]}"
        return cls(folder / f"{name}.bin", packed, name)

    # The names of the next two are `TrackableResource`'s.
    def _create_resource(self) -> tf.Tensor:
        return tf.raw_ops.VarHandleOp(
            dtype=self._dtype, shape=self._shape, shared_name=self._name
        )

    def _initialize(self) -> None:
        content = tf.io.read_file(self._file.asset_path)
        values = tf.strings.substr(content, 0, self._num_bytes)
        gaps = tf.strings.substr(content, self._num_bytes, -1)
        kernel = tf.scatter_nd(
            _positions(gaps)[:, None],
            tf.io.decode_raw(values, self._dtype),
            [math.prod(self._shape)],
        )
        tf.raw_ops.AssignVariableOp(
            resource=self.resource_handle,
            value=tf.reshape(kernel, self._shape),
        )

    def read(self) -> tf.Tensor:
        """Returns the value of the variable."""
        value = tf.raw_ops.ReadVariableOp(
            resource=self.resource_handle, dtype=self._dtype
        )
        value.set_shape(self._shape)
        return value


def _positions(gaps: tf.Tensor) -> tf.Tensor:
    """Returns the positions that a stream of gaps encodes."""
    stream = tf.io.decode_raw(tf.io.decode_compressed(gaps, "ZLIB"), tf.uint8)
    holds = stream < 255
    ends = tf.cumsum(tf.cast(stream, tf.int64) + tf.cast(holds, tf.int64))
    return tf.boolean_mask(ends, holds) - 1
