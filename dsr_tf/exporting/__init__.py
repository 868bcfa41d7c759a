from dsr_tf.exporting.export import export

__all__ = ["export"]
