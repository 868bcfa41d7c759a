from dsr_tf.training.reallocator import Reallocator
from dsr_tf.training.warm_up import WarmUp

__all__ = ["Reallocator", "WarmUp"]
