"""All methods, in the order of help and reports: a line each."""

from dsr_tf.methods import baselines
from dsr_tf.methods import deep_rewiring
from dsr_tf.methods import dynamic_reparameterization
from dsr_tf.methods import evolution
from dsr_tf.methods import gradual
from dsr_tf.methods.record import Record

RECORDS: tuple[Record, ...] = (
    dynamic_reparameterization.RECORD,
    gradual.RECORD,
    deep_rewiring.RECORD,
    evolution.RECORD,
    baselines.HASHED,
    baselines.THIN_DENSE,
    baselines.STATIC,
    baselines.DENSE,
)


def records() -> tuple[Record, ...]:
    """Returns all records, in order."""
    return RECORDS


def find(name: str) -> Record | None:
    """Returns the record of a method by its name, or None."""
    return next((x for x in records() if x.name == name), None)
