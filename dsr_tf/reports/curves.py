"""Training curves."""

import statistics
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dsr_tf.reports import names
from dsr_tf.reports.epoch_lines import FEWEST
from dsr_tf.reports.experiment import Experiment
from dsr_tf.reports.groups import Group
from dsr_tf.reports.groups import heading
from dsr_tf.reports.picture import Picture
from dsr_tf.reports.picture import legend_below
from dsr_tf.reports.picture import panels
from dsr_tf.reports.picture import stretch
from dsr_tf.reports.styles import color
from dsr_tf.reports.styles import style


def pictures(experiment: Experiment) -> list[Picture]:
    """Returns one picture, if any run took several epochs."""
    groups = [x for them in _levels(experiment).values() for x in them]
    if not groups:
        return []
    return [
        Picture(
            f"{experiment.slug}_curves",
            "Training curves",
            "Test accuracy after each epoch: mean over seeds, and a band from "
            "the lowest to the highest. The axis is stretched toward 100 %.",
            "Test accuracy in percent after the first and the last epoch. "
            + "; ".join(dict.fromkeys(map(_as_text, groups))),
            lambda narrow: draw(experiment, narrow),
        )
    ]


def _levels(experiment: Experiment) -> dict[str, list[Group]]:
    """Returns the groups of each axes; the full network is in all."""
    long = [x for x in experiment.main_groups if x.epochs >= FEWEST]
    full = [x for x in long if x.is_full]
    levels = {
        heading(groups, density): [x for x in groups if x in long]
        for density, groups in experiment.levels.items()
    }
    shown = {title: them + full for title, them in levels.items() if them}
    whole = [x for x in long if x.density is None]
    return shown or ({"": whole} if whole else {})


def _accuracies(group: Group) -> list[list[float]]:
    return [
        [100 * row["val_accuracy"] for row in run.metrics] for run in group.runs
    ]


def _as_text(group: Group) -> str:
    first, last = (
        statistics.fmean(run[place] for run in _accuracies(group))
        for place in (0, -1)
    )
    at = f" at {names.kept(group.density)}" if group.density else ""
    return f"{names.method(group.method)}{at}: {first:.2f}, {last:.2f}"


def draw(experiment: Experiment, narrow: bool) -> Figure:
    """Draws axes for each share of weights kept, a line for each method."""
    levels = _levels(experiment)
    drawn, every = panels(narrow, list(levels), "test accuracy, %")
    handles, values = {}, []
    for axes, groups in zip(every, levels.values(), strict=True):
        for group in groups:
            values += _draw_group(axes, group)
            handles[group.method] = Line2D(
                [],
                [],
                **style(group.method),
                label=names.method(group.method),
            )
    # A first epoch may be no better than chance: the axis leaves out the lowest
    # 2 % of all values.
    ordered = sorted(values)
    shown = ordered[len(ordered) // 50 :]
    for axes in every:
        stretch(axes, shown, 100)
    legend_below(drawn, list(handles.values()), narrow)
    return drawn


def _draw_group(axes: Any, group: Group) -> list[float]:
    every = list(zip(*_accuracies(group), strict=True))
    means = [statistics.fmean(epoch) for epoch in every]
    numbers = range(1, len(means) + 1)
    axes.plot(
        numbers,
        means,
        **style(group.method),
        markevery=(max(group.epochs // 8, 1) - 1, max(group.epochs // 4, 1)),
        markersize=5,
        linewidth=1.2,
        label=group.method,
    )
    if len(group.runs) > 1:
        axes.fill_between(
            numbers,
            [min(epoch) for epoch in every],
            [max(epoch) for epoch in every],
            color=color(group.method),
            alpha=0.2,
            linewidth=0,
        )
    return means
