from dsr_tf.reports.compare import compare
from dsr_tf.reports.write import write_report

__all__ = ["compare", "write_report"]
