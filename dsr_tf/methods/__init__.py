from dsr_tf.methods.cannistraci_hebb import chts
from dsr_tf.methods.context import Context
from dsr_tf.methods.context import SparseTensor
from dsr_tf.methods.deep_rewiring import deepr
from dsr_tf.methods.dynamic_reparameterization import dsr
from dsr_tf.methods.elastic_mutation import mest
from dsr_tf.methods.evolution import set_method
from dsr_tf.methods.gradual import gradual_pruning
from dsr_tf.methods.grow import Growth
from dsr_tf.methods.method import Method
from dsr_tf.methods.method import Moves
from dsr_tf.methods.method import NonFiniteWeightError
from dsr_tf.methods.over_parameterization import itop
from dsr_tf.methods.prune import Prune
from dsr_tf.methods.prune import Pruned
from dsr_tf.methods.record import Record
from dsr_tf.methods.regeneration import granet
from dsr_tf.methods.rigged_lottery import rigl
from dsr_tf.methods.sparse_momentum import sparse_momentum

__all__ = [
    "Context",
    "Growth",
    "Method",
    "Moves",
    "NonFiniteWeightError",
    "Prune",
    "Pruned",
    "Record",
    "SparseTensor",
    "chts",
    "deepr",
    "dsr",
    "gradual_pruning",
    "granet",
    "itop",
    "mest",
    "rigl",
    "set_method",
    "sparse_momentum",
]
