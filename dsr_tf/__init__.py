"""Sparse training for Keras 3 under a fixed parameter budget."""

# Before all that loads TensorFlow.
from dsr_tf import launch  # noqa: F401

# isort: split

from dsr_tf import callbacks
from dsr_tf import data
from dsr_tf import distribute
from dsr_tf import layers
from dsr_tf import methods
from dsr_tf import models
from dsr_tf import schedules
from dsr_tf.analysis import summary
from dsr_tf.convert import Balanced
from dsr_tf.convert import densify
from dsr_tf.convert import hash_kernels
from dsr_tf.convert import load_dense_weights
from dsr_tf.convert import sparsify
from dsr_tf.exporting import export
from dsr_tf.training import Reallocator

__all__ = [
    "Balanced",
    "Reallocator",
    "callbacks",
    "data",
    "densify",
    "distribute",
    "export",
    "hash_kernels",
    "layers",
    "load_dense_weights",
    "methods",
    "models",
    "schedules",
    "sparsify",
    "summary",
]
__version__ = "0.2.0"
