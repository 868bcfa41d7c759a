"""The Keras layers that have sparse classes of their own."""

import keras

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
from dsr_tf.layers.einsum_dense import SparseEinsumDense
from dsr_tf.layers.masked_kernel import MaskedKernel

SPARSE_OF: dict[type[keras.layers.Layer], type[MaskedKernel]] = {
    keras.layers.Dense: SparseDense,
    keras.layers.EinsumDense: SparseEinsumDense,
    keras.layers.Conv1D: SparseConv1D,
    keras.layers.Conv2D: SparseConv2D,
    keras.layers.Conv3D: SparseConv3D,
}
BLOCK_OF: dict[type[keras.layers.Layer], type[BlockKernel]] = {
    keras.layers.Dense: BlockDense,
    keras.layers.EinsumDense: BlockEinsumDense,
    keras.layers.Conv1D: BlockConv1D,
    keras.layers.Conv2D: BlockConv2D,
    keras.layers.Conv3D: BlockConv3D,
}
PLAIN_OF = {
    sparse: plain
    for kinds in (SPARSE_OF, BLOCK_OF)
    for plain, sparse in kinds.items()
}
