from dsr_tf.callbacks import PreemptedError
from dsr_tf.train.config import Config
from dsr_tf.train.evaluate import evaluate
from dsr_tf.train.export_run import export_run
from dsr_tf.train.run import run

__all__ = ["Config", "PreemptedError", "evaluate", "export_run", "run"]
