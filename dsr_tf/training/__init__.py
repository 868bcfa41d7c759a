from dsr_tf.training.reallocator import Reallocator

__all__ = ["Reallocator"]
