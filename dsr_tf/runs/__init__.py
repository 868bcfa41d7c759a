from dsr_tf.callbacks import PreemptedError
from dsr_tf.runs.config import Config
from dsr_tf.runs.evaluate import evaluate
from dsr_tf.runs.export_run import export_run
from dsr_tf.runs.run import run

__all__ = ["Config", "PreemptedError", "evaluate", "export_run", "run"]
