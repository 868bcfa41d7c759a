from dsr_tf.callbacks.checkpoint import Checkpoint
from dsr_tf.callbacks.chts import CHTs
from dsr_tf.callbacks.deepr import DeepR
from dsr_tf.callbacks.dsr import DSR
from dsr_tf.callbacks.gradual_pruning import GradualPruning
from dsr_tf.callbacks.preempted import PreemptedError
from dsr_tf.callbacks.reallocate import Reallocate
from dsr_tf.callbacks.resumable_fit import resumable_fit
from dsr_tf.callbacks.set import SET
from dsr_tf.callbacks.sparsity_logger import SparsityLogger
from dsr_tf.callbacks.usable import UnreadableCheckpointError

__all__ = [
    "DSR",
    "SET",
    "CHTs",
    "Checkpoint",
    "DeepR",
    "GradualPruning",
    "PreemptedError",
    "Reallocate",
    "SparsityLogger",
    "UnreadableCheckpointError",
    "resumable_fit",
]
