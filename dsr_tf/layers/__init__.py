from dsr_tf.layers.conv import SparseConv2D
from dsr_tf.layers.dense import SparseDense
from dsr_tf.layers.masked_kernel import MaskedKernel
from dsr_tf.layers.search import sparse_layers

__all__ = ["MaskedKernel", "SparseConv2D", "SparseDense", "sparse_layers"]
