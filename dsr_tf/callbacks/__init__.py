from dsr_tf.callbacks.dsr import DSR
from dsr_tf.callbacks.reallocate import Reallocate

__all__ = ["DSR", "Reallocate"]
