"""Accuracy against parameters."""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter
from matplotlib.ticker import LogLocator
from matplotlib.ticker import NullFormatter

from dsr_tf.reports import names
from dsr_tf.reports.experiment import Experiment
from dsr_tf.reports.groups import Group
from dsr_tf.reports.groups import gathered
from dsr_tf.reports.picture import Picture
from dsr_tf.reports.picture import accuracy_text
from dsr_tf.reports.picture import bar_ends
from dsr_tf.reports.picture import figure
from dsr_tf.reports.picture import legend_below
from dsr_tf.reports.picture import stretch
from dsr_tf.reports.picture import tidy
from dsr_tf.reports.published import SOURCE
from dsr_tf.reports.published import Figure as Published
from dsr_tf.reports.published import published
from dsr_tf.reports.spots import lead
from dsr_tf.reports.styles import color
from dsr_tf.reports.styles import style


def pictures(experiment: Experiment) -> list[Picture]:
    """Returns one picture, if there is something to compare."""
    drawn = [*experiment.main_groups, *experiment.other_groups]
    if not experiment.main_groups or (
        len(drawn) == 1 and not published(experiment)
    ):
        return []
    caption = (
        "Test accuracy after the last epoch. Dots are single runs; bars are "
        "the standard deviation over seeds. The axis is stretched toward "
        "100 %."
    )
    if published(experiment):
        caption += (
            f" Hollow marks and dashed lines: the paper's results ({SOURCE})."
        )
    if any(group.is_unfinished for group in drawn):
        caption += " Unfinished: pruning ended above its budget."
    if experiment.other_groups:
        caption += (
            " Pale marks without a line: the same method and size with other "
            "settings, which are in the table."
        )
    return [
        Picture(
            f"{experiment.slug}_accuracy",
            "Accuracy against parameters",
            caption,
            "Test accuracy in percent against parameters. "
            + accuracy_text(experiment.main_groups),
            lambda narrow: draw(experiment, narrow),
        )
    ]


def draw(experiment: Experiment, narrow: bool) -> Figure:
    """Draws a line for each method, and the paper's results."""
    drawn = figure(narrow, 4.8 if narrow else 5.0)
    axes = drawn.subplots()
    tidy(axes)
    figures = published(experiment)
    groups = [*experiment.main_groups, *experiment.other_groups]
    places = [group.parameters for group in groups]
    log_places(axes, [*places, *(x.parameters for x in figures)])
    for method, alike in gathered(figures, lambda x: x.method).items():
        _draw_published(axes, method, alike)
    for group in experiment.other_groups:
        axes.plot(
            group.parameters,
            group.mean,
            **style(group.method),
            alpha=0.35,
            linestyle="",
        )
        lead_to_runs(axes, group, group.parameters)
    handles = [
        draw_groups(axes, method, groups, lambda x: x.parameters)
        for method, groups in gathered(
            experiment.main_groups, lambda x: x.method
        ).items()
    ]
    _fit(axes, experiment, figures)
    if figures:
        handles.append(_published_handle())
    legend_below(drawn, handles, narrow)
    return drawn


def log_places(axes: Any, places: Sequence[float]) -> None:
    """Makes the x axis logarithmic, with room for some places.

    To be called before anything is drawn: Matplotlib warns of places that are
    all the same.
    """
    axes.set_xscale("log")
    axes.set_xlim(min(places) / 1.3, max(places) * 1.3)


def draw_groups(
    axes: Any,
    method: str,
    groups: Sequence[Group],
    place: Callable[[Group], float],
) -> Line2D:
    """Draws the accuracy of all groups of a method.

    Args:
        axes: The axes.
        method: The method.
        groups: Its groups, which are joined by a line in order of their sizes.
        place: Returns where a group stands on the x axis.

    Returns:
        What stands for the method in a legend.
    """
    ordered = sorted(groups, key=lambda x: x.parameters)
    finished = [group for group in ordered if not group.is_unfinished]
    _draw_means(axes, finished, place, label=method)
    for group in ordered:
        x = place(group)
        if group.is_unfinished:
            _draw_unfinished(axes, group, x)
        if len(group.runs) > 1:
            axes.plot(
                [x] * len(group.runs),
                group.accuracies,
                color=color(method),
                marker=".",
                markersize=4,
                linestyle="",
            )
        lead_to_runs(axes, group, x)
    epochs = [group.epochs for group in ordered]
    length = names.epochs(min(epochs), max(epochs))
    label = f"{names.method(method)}, {length}"
    return Line2D([], [], **style(method), label=label)


def _draw_means(
    axes: Any,
    groups: Sequence[Group],
    place: Callable[[Group], float],
    label: str,
) -> None:
    if not groups:
        return
    first = groups[0]
    axes.errorbar(
        [place(group) for group in groups],
        [group.mean for group in groups],
        [group.deviation or 0 for group in groups],
        **style(first.method),
        markersize=10 if first.is_full else 7,
        linewidth=1.6,
        capsize=3,
        label=label,
        # The first in the legend is drawn on top.
        zorder=3 - 0.1 * names.rank(first.method),
    )


def _draw_unfinished(axes: Any, group: Group, x: float) -> None:
    """Draws a mark that no line joins, and says why."""
    _draw_means(axes, [group], lambda _: x, f"unfinished {group.method}")
    axes.annotate(
        "unfinished",
        (x, group.mean),
        (-8, 0),
        textcoords="offset points",
        ha="right",
        va="center",
        fontsize=8.5,
    )


def lead_to_runs(axes: Any, group: Group, x: float) -> None:
    """Makes the accuracies of a group lead to its runs."""
    lead(axes, [(x, y) for y in group.accuracies], group.runs)


def _draw_published(axes: Any, method: str, figures: list[Published]) -> None:
    ordered = sorted(figures, key=lambda x: x.parameters)
    axes.errorbar(
        [x.parameters for x in ordered],
        [x.mean for x in ordered],
        [x.deviation or 0 for x in ordered],
        **style(method),
        markerfacecolor="white",
        markersize=7,
        linestyle=(0, (4, 3)),
        linewidth=0.9,
        capsize=2,
        label=f"published {method}",
    )


def _published_handle() -> Line2D:
    return Line2D(
        [],
        [],
        color="#555555",
        marker="o",
        markerfacecolor="white",
        linestyle=(0, (4, 3)),
        linewidth=0.9,
        label="the paper's results",
    )


def _fit(axes: Any, experiment: Experiment, figures: list[Published]) -> None:
    groups = [*experiment.main_groups, *experiment.other_groups]
    values = [a for group in groups for a in group.accuracies]
    values += [
        a for group in groups for a in bar_ends(group.mean, group.deviation)
    ]
    values += [a for x in figures for a in bar_ends(x.mean, x.deviation)]
    stretch(axes, values, 100)
    axes.set_ylabel("test accuracy, %")
    axes.set_xlabel("parameters of the whole model, zeros left out")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(_short))
    axes.xaxis.set_minor_formatter(NullFormatter())
    low, high = axes.get_xlim()
    if high > 1.3**2 * 20 * low:
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))


def _short(count: float, _: Any) -> str:
    if count >= 1e6:
        return f"{count / 1e6:g} M"
    return f"{count / 1e3:g} k" if count >= 1e3 else f"{count:g}"
