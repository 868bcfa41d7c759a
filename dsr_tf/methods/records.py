"""What is known of each method, by its name."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Record:
    """What flags, runs and reports know of a method.

    Args:
        name: Name in flags and in the files of a run.
        help: One line on what the method does.
        label: Name in reports.
        kernels: `"masked"`, `"hashed"` or `"dense"`.
        keeps_counts: Whether each layer ends with as many active weights as
            it began with.
        starts_dense: Whether all weights are active at the start.
    """

    name: str
    help: str
    label: str
    kernels: Literal["masked", "hashed", "dense"] = "masked"
    keeps_counts: bool = False
    starts_dense: bool = False


_RECORDS = (
    Record("dsr", "dynamic sparse reparameterization", "DSR"),
    Record(
        "compressed",
        "a trained dense network, from --init_from, pruned in steps",
        "compressed",
        starts_dense=True,
    ),
    Record("deepr", "deep rewiring", "DeepR", keeps_counts=True),
    Record("set", "sparse evolutionary training", "SET", keeps_counts=True),
    Record(
        "hashed",
        "kernels that share values",
        "hashed",
        kernels="hashed",
        keeps_counts=True,
    ),
    Record(
        "thin_dense",
        "a narrower dense network, by --width",
        "thin dense",
        kernels="dense",
    ),
    Record(
        "static",
        "sparse, with masks that do not change",
        "static",
        keeps_counts=True,
    ),
    Record("dense", "the full network", "dense", kernels="dense"),
)


def records() -> tuple[Record, ...]:
    """Returns the records of all methods, in the order of reports."""
    return _RECORDS


def find(name: str) -> Record | None:
    """Returns the record of a method, or None if it has none."""
    return next((x for x in records() if x.name == name), None)
