from dsr_tf.callbacks.checkpoint import Checkpoint
from dsr_tf.callbacks.chts import CHTs
from dsr_tf.callbacks.deepr import DeepR
from dsr_tf.callbacks.dsr import DSR
from dsr_tf.callbacks.gradual_pruning import GradualPruning
from dsr_tf.callbacks.granet import GraNet
from dsr_tf.callbacks.itop import ITOP
from dsr_tf.callbacks.mest import MEST
from dsr_tf.callbacks.preempted import PreemptedError
from dsr_tf.callbacks.reallocate import Reallocate
from dsr_tf.callbacks.resumable_fit import resumable_fit
from dsr_tf.callbacks.rigl import RigL
from dsr_tf.callbacks.set import SET
from dsr_tf.callbacks.snfs import SNFS
from dsr_tf.callbacks.sparsity_logger import SparsityLogger
from dsr_tf.callbacks.usable import UnreadableCheckpointError

__all__ = [
    "DSR",
    "ITOP",
    "MEST",
    "SET",
    "CHTs",
    "SNFS",
    "Checkpoint",
    "DeepR",
    "GraNet",
    "GradualPruning",
    "PreemptedError",
    "Reallocate",
    "RigL",
    "SparsityLogger",
    "UnreadableCheckpointError",
    "resumable_fit",
]
