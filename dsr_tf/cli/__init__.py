from dsr_tf.cli.parsed import config
from dsr_tf.cli.entry import main

__all__ = ["config", "main"]
