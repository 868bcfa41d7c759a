"""All methods, one line each, in the order of help and reports."""

from importlib import import_module

from dsr_tf.methods.record import Record

# The file in this folder, and the record in it.
_PLACES = (
    "dynamic_reparameterization.RECORD",
    "gradual.RECORD",
    "deep_rewiring.RECORD",
    "evolution.RECORD",
    "rigged_lottery.RECORD",
    "over_parameterization.RECORD",
    "sparse_momentum.RECORD",
    "regeneration.RECORD",
    "elastic_mutation.RECORD",
    "cannistraci_hebb.RECORD",
    "baselines.HASHED",
    "baselines.THIN_DENSE",
    "baselines.STATIC",
    "baselines.DENSE",
)


def _read(place: str) -> Record:
    file, _, name = place.partition(".")
    record: Record = getattr(import_module(f"dsr_tf.methods.{file}"), name)
    return record


RECORDS: tuple[Record, ...] = tuple(map(_read, _PLACES))


def records() -> tuple[Record, ...]:
    """Returns all records, in order."""
    return RECORDS


def find(name: str) -> Record | None:
    """Returns the record of a method by its name, or None."""
    return next((x for x in records() if x.name == name), None)
