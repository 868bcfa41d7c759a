from dsr_tf.analysis.dead_units import DeadUnits
from dsr_tf.analysis.dead_units import dead_units
from dsr_tf.analysis.model_summary import LayerSummary
from dsr_tf.analysis.model_summary import ModelSummary
from dsr_tf.analysis.model_summary import Totals
from dsr_tf.analysis.summary import summary

__all__ = [
    "DeadUnits",
    "LayerSummary",
    "ModelSummary",
    "Totals",
    "dead_units",
    "summary",
]
