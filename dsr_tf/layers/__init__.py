from dsr_tf.layers.block_kernel import BlockKernel
from dsr_tf.layers.block_layers import BlockConv1D
from dsr_tf.layers.block_layers import BlockConv2D
from dsr_tf.layers.block_layers import BlockConv3D
from dsr_tf.layers.block_layers import BlockDense
from dsr_tf.layers.block_layers import BlockEinsumDense
from dsr_tf.layers.conv import SparseConv1D
from dsr_tf.layers.conv import SparseConv2D
from dsr_tf.layers.conv import SparseConv3D
from dsr_tf.layers.dense import SparseDense
from dsr_tf.layers.dense_weights import copy_masks
from dsr_tf.layers.dense_weights import copy_weights
from dsr_tf.layers.einsum_dense import SparseEinsumDense
from dsr_tf.layers.group_lasso import GroupLasso
from dsr_tf.layers.hashed import HashedConv2D
from dsr_tf.layers.hashed import HashedDense
from dsr_tf.layers.hashed_kernel import HashedKernel
from dsr_tf.layers.masked_kernel import MaskedKernel
from dsr_tf.layers.sparse_kernel import SparseKernel
from dsr_tf.layers.walk import budgeted_layers
from dsr_tf.layers.walk import sparse_layers

__all__ = [
    "BlockConv1D",
    "BlockConv2D",
    "BlockConv3D",
    "BlockDense",
    "BlockEinsumDense",
    "BlockKernel",
    "GroupLasso",
    "HashedConv2D",
    "HashedDense",
    "HashedKernel",
    "MaskedKernel",
    "SparseConv1D",
    "SparseConv2D",
    "SparseConv3D",
    "SparseDense",
    "SparseEinsumDense",
    "SparseKernel",
    "budgeted_layers",
    "copy_masks",
    "copy_weights",
    "sparse_layers",
]
