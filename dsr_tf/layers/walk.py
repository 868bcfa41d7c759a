"""Finding the sparse kernels of a model."""

import keras

from dsr_tf.layers.block_kernel import BlockKernel
from dsr_tf.layers.hashed_kernel import HashedKernel
from dsr_tf.layers.masked_kernel import MaskedKernel
from dsr_tf.layers.sparse_kernel import SparseKernel
from dsr_tf.layers.sparsified import Sparsified
from dsr_tf.layers.tree import all_layers


def sparse_layers(model: keras.Model) -> list[SparseKernel]:
    """Returns the sparse layers of a model, each once, in order.

    Nested models are entered; a layer that is called twice is one layer. A
    layer without a sparse class of its own, such as an `LSTM`, has a part for
    each of its sparse kernels, which can be asked for the same as a layer.

    Args:
        model: Any Keras model, or layer.
    """
    return [x for x in budgeted_layers(model) if isinstance(x, SparseKernel)]


def budgeted_layers(model: keras.Model) -> list[SparseKernel | HashedKernel]:
    """Returns the layers whose kernels have a budget: sparse or hashed.

    Args:
        model: Any Keras model, or layer.
    """
    return [x for layer in all_layers(model) for x in budgeted_parts(layer)]


def budgeted_parts(
    layer: keras.layers.Layer,
) -> list[SparseKernel | HashedKernel]:
    """Returns a layer itself, or its parts, if its kernels have a budget.

    Args:
        layer: Any Keras layer. Layers inside it are left out.
    """
    if isinstance(layer, MaskedKernel | BlockKernel | HashedKernel):
        return [layer]
    return list(layer.sparse_parts) if isinstance(layer, Sparsified) else []
