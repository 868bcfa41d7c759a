"""Baselines for comparison: methods in which no weights move."""

from dsr_tf.methods.record import Record

STATIC = Record(
    name="static",
    help="sparse, with masks that do not change",
    label="static",
    keeps_counts=True,
)
HASHED = Record(
    name="hashed",
    help="kernels that share values",
    label="hashed",
    kernels="hashed",
    moves_units=False,
)
THIN_DENSE = Record(
    name="thin_dense",
    help="a narrower network, by --width",
    label="thin dense",
    kernels="dense",
    requires=("width",),
)
DENSE = Record(
    name="dense", help="the full network", label="dense", kernels="dense"
)
