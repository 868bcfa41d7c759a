from dsr_tf.convert.balanced import Balanced
from dsr_tf.convert.densify import densify
from dsr_tf.convert.densify import load_dense_weights
from dsr_tf.convert.hashing import hash_kernels
from dsr_tf.convert.sparsify import sparsify

__all__ = [
    "Balanced",
    "densify",
    "hash_kernels",
    "load_dense_weights",
    "sparsify",
]
