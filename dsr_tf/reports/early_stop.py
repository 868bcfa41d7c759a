"""What it costs to stop reallocation early."""

from matplotlib.figure import Figure

from dsr_tf.reports import names
from dsr_tf.reports.experiment import Experiment
from dsr_tf.reports.groups import Group
from dsr_tf.reports.picture import Picture
from dsr_tf.reports.picture import figure
from dsr_tf.reports.picture import legend_below
from dsr_tf.reports.picture import plain
from dsr_tf.reports.styles import style

_Family = tuple[Group, ...]


def pictures(experiment: Experiment) -> list[Picture]:
    """Returns one picture, if runs differ in when masks began to stay."""
    families = experiment.stop_families
    if not families:
        return []
    return [
        Picture(
            f"{experiment.slug}_early_stop",
            "Early stop",
            "Test accuracy after the last epoch, by the epoch from which on "
            "masks stay. Bars are the standard deviation over seeds.",
            "Test accuracy in percent by the epoch from which on masks stay. "
            + "; ".join(map(_told, families)),
            lambda narrow: draw(experiment, narrow),
        )
    ]


def _label(family: _Family) -> str:
    first = family[0]
    return f"{names.method(first.method)}, {names.kept(first.density)} kept"


def _told(family: _Family) -> str:
    parts = [f"{x.stop_epoch}: {x.mean:.2f}" for x in family]
    return f"{_label(family)}: {', '.join(parts)}"


def draw(experiment: Experiment, narrow: bool) -> Figure:
    """Draws a line for each set of runs that differ in nothing else."""
    drawn = figure(narrow, 3.4)
    axes = drawn.subplots()
    plain(axes)
    lines = [
        axes.errorbar(
            [group.stop_epoch for group in family],
            [group.mean for group in family],
            [group.deviation or 0 for group in family],
            **style(family[0].method),
            capsize=3,
            label=_label(family),
        )
        for family in experiment.stop_families
    ]
    axes.set_xlim(left=0)
    axes.set_xlabel("masks stay from this epoch on")
    axes.set_ylabel("test accuracy, %")
    legend_below(drawn, lines, narrow)
    return drawn
