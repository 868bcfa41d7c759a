from dsr_tf.callbacks.deep_rewiring import DeepR
from dsr_tf.callbacks.dsr import DSR
from dsr_tf.callbacks.gradual_pruning import GradualPruning
from dsr_tf.callbacks.reallocate import Reallocate
from dsr_tf.callbacks.sparse_evolution import SET

__all__ = ["DSR", "SET", "DeepR", "GradualPruning", "Reallocate"]
