"""Operations, kernels and constants of TFLite files."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

# No public call tells the operations of a file. Both modules are TensorFlow's
# own, for its tools that read and change files.
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

OPERATORS = schema.BuiltinOperator
_NUMPY_TYPES = {
    schema.TensorType.FLOAT32: "float32",
    schema.TensorType.FLOAT16: "float16",
    schema.TensorType.INT32: "int32",
    schema.TensorType.INT64: "int64",
}
# What stands between a stored kernel and the operation that takes it.
_UNPACKING = (OPERATORS.DENSIFY, OPERATORS.DEQUANTIZE)


@dataclass(frozen=True)
class FileGraph:
    """A graph of a TFLite file. Tensors are numbers, as in the file.

    Args:
        model: The file, in the classes of TFLite's schema.
        subgraph: One of its graphs.
    """

    model: Any
    subgraph: Any

    @property
    def operations(self) -> list[Any]:
        """Operations, in an order in which they may run."""
        return list(self.subgraph.operators)

    @property
    def is_sparse(self) -> bool:
        """Whether any kernel is sparse-encoded."""
        return any(x.sparsity is not None for x in self.subgraph.tensors)

    @cached_property
    def makers(self) -> dict[int, Any]:
        """The operation that makes each tensor."""
        return {x: op for op in self.subgraph.operators for x in op.outputs}

    def kind(self, operation: Any) -> int:
        """Returns the number of an operation's kind, one of `OPERATORS`."""
        code = self.model.operatorCodes[operation.opcodeIndex]
        # Kinds of low numbers are in either field, others in the first.
        return max(code.builtinCode, code.deprecatedBuiltinCode)

    def shape(self, tensor: int) -> list[int]:
        """Returns the shape of a tensor; open dimensions are 1."""
        return list(self.subgraph.tensors[tensor].shape)

    def is_float(self, tensor: int) -> bool:
        """Tells whether a tensor is of single precision."""
        return bool(
            self.subgraph.tensors[tensor].type == schema.TensorType.FLOAT32
        )

    def stored(self, tensor: int) -> int:
        """Returns the tensor from which another is unpacked, or that itself."""
        maker = self.makers.get(tensor)
        if maker is None or self.kind(maker) not in _UNPACKING:
            return tensor
        return self.stored(maker.inputs[0])

    def values(self, tensor: int) -> np.ndarray | None:
        """Returns what a file has of a tensor, flat; None if it is computed.

        Of a sparse-encoded tensor it has the non-zeros, and some zeros at most.
        """
        found = self.subgraph.tensors[tensor]
        data = self.model.buffers[found.buffer].data
        if data is None or found.type not in _NUMPY_TYPES:
            return None
        return np.asarray(data, "uint8").view(_NUMPY_TYPES[found.type])


def graphs_of(content: bytes) -> list[FileGraph]:
    """Returns the graphs of a TFLite file.

    Args:
        content: Content of the file.
    """
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    return [FileGraph(model, x) for x in model.subgraphs]


def is_valid(operation: Any) -> bool:
    """Tells whether a convolution has no padding of its own."""
    padding = operation.builtinOptions.padding
    return bool(padding == schema.Padding.VALID)
