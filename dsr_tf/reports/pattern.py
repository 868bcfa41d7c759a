"""Sparsity of each layer, at the start and at the end."""

import statistics
from collections.abc import Sequence
from functools import partial
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dsr_tf.reports import names
from dsr_tf.reports.experiment import Experiment
from dsr_tf.reports.groups import Group
from dsr_tf.reports.groups import heading
from dsr_tf.reports.picture import Picture
from dsr_tf.reports.picture import figure
from dsr_tf.reports.picture import legend_below
from dsr_tf.reports.picture import stretch
from dsr_tf.reports.picture import tidy
from dsr_tf.reports.styles import color
from dsr_tf.reports.styles import style
from dsr_tf.reports.texts import shortened


def pictures(experiment: Experiment) -> list[Picture]:
    """Returns one picture for each share of weights kept."""
    found = []
    for density, groups in experiment.levels.items():
        moving = [x for x in groups if _moves(experiment, x)]
        # Of a single layer the table says it all.
        if moving and len(moving[0].shapes) > 1:
            found.append(_picture(experiment, density, groups, moving))
    return found


def _picture(
    experiment: Experiment,
    density: float,
    groups: list[Group],
    moving: list[Group],
) -> Picture:
    still = [
        names.method(x.method)
        for x in groups
        if x.has_masks and x not in moving
    ]
    caption = (
        "Hollow marks: at the start; filled marks: at the end; dots: single "
        "runs. The axis is stretched toward 1."
    )
    if still:
        caption += (
            " The sparsity of each layer does not change with "
            f"{', '.join(still)}."
        )
    return Picture(
        f"{experiment.slug}_pattern_{100 * density:g}".replace(".", "_"),
        f"Sparsity of each layer, {heading(groups, density)}",
        caption,
        "Sparsity of each layer, at the start and at the end. "
        + "; ".join(_as_text(experiment, x) for x in moving),
        partial(draw, experiment, moving),
    )


def _moves(experiment: Experiment, group: Group) -> bool:
    """Tells whether counts of layers changed, or may have."""
    if not group.has_masks:
        return False
    return experiment.counts_at_start(group) != group.layer_counts()


def _sparsities(
    group: Group, counts: Sequence[Sequence[int]]
) -> list[list[float]]:
    sizes = [names.size(shape) for shape in group.shapes]
    return [
        [1 - count / size for count, size in zip(run, sizes, strict=True)]
        for run in counts
    ]


def _mean(runs: list[list[float]]) -> list[float]:
    return [statistics.fmean(layer) for layer in zip(*runs, strict=True)]


def _as_text(experiment: Experiment, group: Group) -> str:
    ends = _mean(_sparsities(group, group.layer_counts()))
    counts = experiment.counts_at_start(group)
    starts = _mean(_sparsities(group, counts)) if counts else [None] * len(ends)
    layers = group.runs[0].summary["layers"]
    parts = [
        f"{layer['name']} "
        + (f"from {start:.4f} " if start is not None else "")
        + f"to {end:.4f}"
        for layer, start, end in zip(layers, starts, ends, strict=True)
    ]
    return f"{names.method(group.method)}: {', '.join(parts)}"


def draw(experiment: Experiment, groups: list[Group], narrow: bool) -> Figure:
    """Draws a row for each layer, with a line for each method."""
    layers = groups[0].runs[0].summary["layers"]
    row = 0.2 + 0.16 * len(groups)
    drawn = figure(
        narrow, 1.4 + max(row, 0.42 if narrow else 0.3) * len(layers)
    )
    axes = drawn.subplots()
    tidy(axes)
    values = []
    for number, group in enumerate(groups):
        offset = 0.6 * ((number + 0.5) / len(groups) - 0.5)
        values += _draw_group(axes, experiment, group, offset)
    stretch(axes, values, 1, "x", most=6 if narrow else 8)
    axes.set_xlabel("sparsity of the layer")
    axes.set_yticks(range(len(layers)), [_name(x, narrow) for x in layers])
    axes.set_ylim(len(layers) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    legend_below(drawn, _handles(groups), narrow)
    return drawn


def _draw_group(
    axes: Any, experiment: Experiment, group: Group, offset: float
) -> list[float]:
    every = _sparsities(group, group.layer_counts())
    ends = _mean(every)
    rows = [place + offset for place in range(len(ends))]
    counts = experiment.counts_at_start(group)
    starts = _mean(_sparsities(group, counts)) if counts else []
    if starts:
        axes.hlines(
            rows, starts, ends, color=color(group.method), linewidth=1.4
        )
        axes.plot(
            starts,
            rows,
            **style(group.method),
            linestyle="",
            markerfacecolor="white",
            # Else half the mark is cut off where a layer begins dense.
            clip_on=False,
            label=f"start {group.method}",
        )
    axes.plot(
        ends,
        rows,
        **style(group.method),
        linestyle="",
        label=f"end {group.method}",
    )
    if len(every) > 1:
        for run in every:
            axes.plot(
                run, rows, color="black", marker=".", markersize=3, linestyle=""
            )
    return [*starts, *ends, *(x for run in every for x in run)]


def _name(layer: dict[str, Any], narrow: bool) -> str:
    shape = "×".join(map(str, layer["shape"]))
    between = "\n" if narrow else "  "
    return f"{shortened(layer['name'])}{between}{shortened(shape)}"


def _handles(groups: list[Group]) -> list[Line2D]:
    return [
        Line2D(
            [],
            [],
            **style(group.method),
            label=names.method(group.method),
        )
        for group in groups
    ]
