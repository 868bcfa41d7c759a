"""Accuracy where reallocation stopped early."""

from matplotlib.figure import Figure

from dsr_tf.reports import names
from dsr_tf.reports.experiment import Experiment
from dsr_tf.reports.groups import Group
from dsr_tf.reports.picture import Picture
from dsr_tf.reports.picture import figure
from dsr_tf.reports.picture import legend_below
from dsr_tf.reports.picture import tidy
from dsr_tf.reports.spots import lead
from dsr_tf.reports.styles import style

_Family = tuple[Group, ...]


def pictures(experiment: Experiment) -> list[Picture]:
    """Returns one picture, if runs differ in when reallocation stopped."""
    families = experiment.stop_families
    if not families:
        return []
    return [
        Picture(
            f"{experiment.slug}_early_stop",
            "Early stop",
            "Test accuracy after the last epoch, by the number of epochs after "
            "which masks stop changing. Dots are single runs; bars are the "
            "standard deviation over seeds.",
            "Test accuracy in percent by the epochs until masks stop changing. "
            + "; ".join(map(_as_text, families)),
            lambda narrow: draw(experiment, narrow),
        )
    ]


def _label(family: _Family) -> str:
    first = family[0]
    # The earlier pruning stops, the more is left.
    ended = not any(group.is_unfinished for group in family)
    share = f"{names.kept(first.asked)} {'kept' if ended else 'asked'}"
    return f"{names.method(first.method)}, {share}"


def _as_text(family: _Family) -> str:
    parts = [f"{x.stop_epoch}: {x.mean:.2f}" for x in family]
    return f"{_label(family)}: {', '.join(parts)}"


def draw(experiment: Experiment, narrow: bool) -> Figure:
    """Draws a line for each set of runs that differ in this only."""
    drawn = figure(narrow, 3.4)
    axes = drawn.subplots()
    tidy(axes)
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
    for group in (x for family in experiment.stop_families for x in family):
        dots = [(group.stop_epoch, y) for y in group.accuracies]
        if len(dots) > 1:
            axes.plot(*zip(*dots, strict=True), "k.", markersize=4)
        lead(axes, dots, group.runs)
    axes.set_xlim(left=0)
    axes.set_xlabel("epochs after which masks stop changing")
    axes.set_ylabel("test accuracy, %")
    legend_below(drawn, lines, narrow)
    return drawn
