"""The Keras layers that have a sparse class of their own."""

import keras

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
PLAIN_OF = {sparse: plain for plain, sparse in SPARSE_OF.items()}
