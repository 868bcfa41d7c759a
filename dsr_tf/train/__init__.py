from dsr_tf.train.config import Config
from dsr_tf.train.run import run

__all__ = ["Config", "run"]
