"""All pictures of an experiment, in the order in which they are shown."""

from dsr_tf.reports import accuracy
from dsr_tf.reports import cost
from dsr_tf.reports import curves
from dsr_tf.reports import early_stop
from dsr_tf.reports import explored
from dsr_tf.reports import movement
from dsr_tf.reports import pattern
from dsr_tf.reports import structure
from dsr_tf.reports import work
from dsr_tf.reports.experiment import Experiment
from dsr_tf.reports.picture import Picture

_KINDS = (
    accuracy,
    work,
    pattern,
    movement,
    explored,
    curves,
    cost,
    structure,
    early_stop,
)


def pictures(experiment: Experiment) -> list[Picture]:
    """Returns the pictures for which there are runs."""
    return [picture for kind in _KINDS for picture in kind.pictures(experiment)]
