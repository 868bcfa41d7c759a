from dsr_tf.cli.program import main
from dsr_tf.cli.settings import config

__all__ = ["config", "main"]
