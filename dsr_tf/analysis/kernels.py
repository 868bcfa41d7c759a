"""The kernels of layers, and how many of their weights are active."""

import math
from collections.abc import Iterable

import keras

from dsr_tf.graph.kinds import is_kernel
from dsr_tf.layers import BlockKernel
from dsr_tf.layers import HashedKernel
from dsr_tf.layers import SparseKernel
from dsr_tf.layers import budgeted_layers
from dsr_tf.layers.tree import own_weights
from dsr_tf.layers.walk import budgeted_parts


def budgeted(model: keras.Model) -> list[SparseKernel | HashedKernel]:
    """Returns what is sparse or hashed in a model, and built."""
    # One that is never called may not be built, and then has no weights.
    return [layer for layer in budgeted_layers(model) if layer.built]


def kernels_of(layer: keras.layers.Layer) -> list[keras.Variable]:
    """Returns the kernels that a layer holds itself, as they are trained."""
    parts = [x.trained_kernel for x in budgeted_parts(layer) if x.built]
    if isinstance(layer, HashedKernel | BlockKernel) and parts:
        return parts
    known = {id(x) for x in parts}
    return [w for w in own_weights(layer) if id(w) in known or is_kernel(w)]


def shapes_of(layer: keras.layers.Layer) -> tuple[tuple[int, ...], ...]:
    """Returns the shapes of a layer's kernels, zeros included."""
    if isinstance(layer, HashedKernel | BlockKernel):
        return (layer.kernel_shape,)
    return tuple(tuple(kernel.shape) for kernel in kernels_of(layer))


def num_active(layer: keras.layers.Layer) -> int:
    """Counts what is active in a layer's kernels, dense ones included."""
    known = {id(x.trained_kernel) for x in budgeted_parts(layer)}
    rest = [w for w in kernels_of(layer) if id(w) not in known]
    return num_budgeted(layer) + count(rest)


def num_budgeted(layer: keras.layers.Layer) -> int:
    """Counts what is active in a layer's sparse and hashed kernels."""
    return sum(x.num_active for x in budgeted_parts(layer))


def count(weights: Iterable[keras.Variable]) -> int:
    """Counts the entries of some variables."""
    return sum(math.prod(weight.shape) for weight in weights)
