"""TFLite files that Arm processors compute wrongly."""

from typing import Any

import numpy as np

from dsr_tf.exporting.file_graph import OPERATORS
from dsr_tf.exporting.file_graph import FileGraph
from dsr_tf.exporting.file_graph import graphs_of
from dsr_tf.exporting.file_graph import is_valid

# XNNPACK runs kernels of fewer zeros as dense ones.
_MOST_KEPT = 1 / 3
_BY_ONE = [[0, 0], [1, 1], [1, 1], [0, 0]]
_PADS = (OPERATORS.PAD, OPERATORS.PADV2)
_SUMS = (OPERATORS.MEAN, OPERATORS.SUM)
_KERNELS = (OPERATORS.CONV_2D, OPERATORS.FULLY_CONNECTED)
_POOLS = (
    OPERATORS.AVERAGE_POOL_2D,
    OPERATORS.L2_POOL_2D,
    OPERATORS.MAX_POOL_2D,
)


def pointwise_fault(content: bytes) -> str | None:
    """Says why runtimes may compute a TFLite file wrongly on Arm, if so.

    In files with sparse-encoded kernels, XNNPACK puts channels first in parts
    of the graph. Such a part begins with a 3×3 convolution of three channels
    with stride 2 and one row or column of zeros at each border; it holds sparse
    1×1 convolutions, and none larger. A mean or a sum in it keeps that order,
    and what follows takes its channels for rows: so in LiteRT 1.2.0 to 2.1.6.
    The runtime for browsers does not run such files.

    As later runtimes put more operations into these parts, they are taken here
    to reach as far as they might: up to larger convolutions and pools, with
    dense layers as 1×1 convolutions, and with means that drop dimensions.

    Args:
        content: Content of a TFLite file.
    """
    for graph in graphs_of(content):
        stems = [x for x in graph.operations if _is_stem(graph, x)]
        if graph.is_sparse and any(_is_at_fault(graph, x) for x in stems):
            return "LiteRT computes its sparse 1×1 convolutions wrongly on Arm"
    return None


def _is_stem(graph: FileGraph, operation: Any) -> bool:
    """Tells whether a part may begin with an operation."""
    if graph.kind(operation) != OPERATORS.CONV_2D or not is_valid(operation):
        return False
    given, kernel = operation.inputs[:2]
    options = operation.builtinOptions
    return (
        (options.strideH, options.strideW) == (2, 2)
        and graph.shape(kernel)[1:] == [3, 3, 3]
        and graph.is_float(given)
        and _is_padded(graph, given)
    )


def _is_padded(graph: FileGraph, tensor: int) -> bool:
    pad = graph.makers.get(tensor)
    if pad is None or graph.kind(pad) not in _PADS:
        return False
    widths = graph.values(pad.inputs[1])
    # Those that are computed may be any.
    return widths is None or widths.reshape(-1, 2).tolist() == _BY_ONE


def _is_at_fault(graph: FileGraph, stem: Any) -> bool:
    part = _part(graph, stem)
    if not any(graph.kind(x) in _SUMS for x in part):
        return False
    return any(_kept(graph, x) < _MOST_KEPT for x in part)


def _part(graph: FileGraph, stem: Any) -> list[Any]:
    """Returns all operations to which a way leads, past no larger kernel."""
    reached, part = set(stem.outputs), []
    for operation in graph.operations:
        if reached & set(operation.inputs) and not _is_end(graph, operation):
            part.append(operation)
            reached |= set(operation.outputs)
    return part


def _is_end(graph: FileGraph, operation: Any) -> bool:
    if graph.kind(operation) == OPERATORS.CONV_2D:
        return graph.shape(operation.inputs[1])[1:3] != [1, 1]
    return graph.kind(operation) in _POOLS


def _kept(graph: FileGraph, operation: Any) -> float:
    """Returns the share of an operation's kernel that is not 0; 1 of others."""
    if graph.kind(operation) not in _KERNELS:
        return 1.0
    kernel = graph.stored(operation.inputs[1])
    values = graph.values(kernel)
    if values is None:
        return 1.0
    size = np.prod(graph.shape(kernel), dtype=float)
    return float(np.count_nonzero(values) / size)
