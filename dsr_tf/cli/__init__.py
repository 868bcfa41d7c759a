from dsr_tf.cli.entry import main
from dsr_tf.cli.parsed import config

__all__ = ["config", "main"]
