from dsr_tf.artifacts.export import export

__all__ = ["export"]
