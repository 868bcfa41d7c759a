from dsr_tf.cli.parsed import config
from dsr_tf.cli.program import main

__all__ = ["config", "main"]
