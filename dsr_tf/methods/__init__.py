from dsr_tf.methods.catalog import deepr
from dsr_tf.methods.catalog import dsr
from dsr_tf.methods.catalog import gradual_pruning
from dsr_tf.methods.catalog import set_method
from dsr_tf.methods.method import Method
from dsr_tf.methods.method import NonFiniteWeightError
from dsr_tf.methods.method import Reallocation
from dsr_tf.methods.tensors import Tensors

__all__ = [
    "Method",
    "NonFiniteWeightError",
    "Reallocation",
    "Tensors",
    "deepr",
    "dsr",
    "gradual_pruning",
    "set_method",
]
