from dsr_tf.analysis.model_summary import LayerSummary
from dsr_tf.analysis.model_summary import ModelSummary
from dsr_tf.analysis.model_summary import Totals
from dsr_tf.analysis.summary import summary

__all__ = ["LayerSummary", "ModelSummary", "Totals", "summary"]
