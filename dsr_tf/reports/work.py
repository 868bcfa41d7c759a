"""Accuracy against the multiply-adds of the training."""

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from matplotlib.ticker import LogLocator
from matplotlib.ticker import NullFormatter

from dsr_tf.reports import names
from dsr_tf.reports.accuracy import draw_groups
from dsr_tf.reports.accuracy import lead_to_runs
from dsr_tf.reports.accuracy import log_places
from dsr_tf.reports.experiment import Experiment
from dsr_tf.reports.groups import Group
from dsr_tf.reports.groups import gathered
from dsr_tf.reports.picture import Picture
from dsr_tf.reports.picture import bar_ends
from dsr_tf.reports.picture import figure
from dsr_tf.reports.picture import legend_below
from dsr_tf.reports.picture import stretch
from dsr_tf.reports.picture import tidy
from dsr_tf.reports.styles import style


def pictures(experiment: Experiment) -> list[Picture]:
    """Returns one picture, if runs of several methods say what they took."""
    groups = _known(experiment.main_groups)
    if len({group.method for group in groups}) < 2:
        return []
    caption = (
        "Multiply-adds with the weights of kernels, zeros skipped, of the "
        "whole training: the forward pass of all examples three times, and "
        "where a method keeps gradients of all positions, these too. Weights "
        "that were trained before count with their training. Marks of a "
        "method are joined by size; bars are the standard deviation over "
        "seeds. The axis of accuracy is stretched toward 100 %."
    )
    if missing := _missing(experiment):
        caption += f" Not known of {', '.join(missing)}."
    return [
        Picture(
            f"{experiment.slug}_multiply_adds",
            "Accuracy against training multiply-adds",
            caption,
            "Test accuracy in percent against multiply-adds of the training. "
            + "; ".join(map(_as_text, groups)),
            lambda narrow: draw(experiment, narrow),
        )
    ]


def _known(groups: tuple[Group, ...]) -> list[Group]:
    return [group for group in groups if group.multiply_adds is not None]


def _missing(experiment: Experiment) -> list[str]:
    """Names the groups that would be drawn, were their numbers known."""
    found = [x for x in experiment.main_groups if x.multiply_adds is None]
    return [_name(group) for group in found]


def _name(group: Group) -> str:
    at = names.kept(group.density)
    return group.label + (f" at {at}" if at else "")


def _as_text(group: Group) -> str:
    return (
        f"{_name(group)}: {names.spread(group.mean, group.deviation)} with "
        f"{names.large(group.multiply_adds)}"
    )


def draw(experiment: Experiment, narrow: bool) -> Figure:
    """Draws a line for each method, over its sizes."""
    drawn = figure(narrow, 4.8 if narrow else 5.0)
    axes = drawn.subplots()
    tidy(axes)
    groups = _known(experiment.main_groups)
    others = _known(experiment.other_groups)
    every = [*groups, *others]
    places = [group.multiply_adds or 0 for group in every]
    log_places(axes, places)
    for group in others:
        axes.plot(
            group.multiply_adds or 0,
            group.mean,
            **style(group.method),
            alpha=0.35,
            linestyle="",
        )
        lead_to_runs(axes, group, group.multiply_adds or 0)
    handles = [
        draw_groups(axes, method, alike, lambda x: x.multiply_adds or 0)
        for method, alike in gathered(groups, lambda x: x.method).items()
    ]
    values = [a for group in every for a in group.accuracies]
    values += [a for x in every for a in bar_ends(x.mean, x.deviation)]
    stretch(axes, values, 100)
    axes.set_ylabel("test accuracy, %")
    axes.set_xlabel("multiply-adds of the training, zeros skipped")
    few = max(places) > 20 * min(places)
    subs = (1,) if few and narrow else (1, 3) if few else (1, 2, 5)
    axes.xaxis.set_major_locator(LogLocator(subs=subs))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: names.large(x)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    legend_below(drawn, handles, narrow)
    return drawn
