"""The cost of reallocation."""

from matplotlib.figure import Figure

from dsr_tf.reports import names
from dsr_tf.reports.experiment import Experiment
from dsr_tf.reports.groups import Group
from dsr_tf.reports.picture import Picture
from dsr_tf.reports.picture import figure
from dsr_tf.reports.picture import tidy
from dsr_tf.reports.spots import lead
from dsr_tf.reports.styles import color


def pictures(experiment: Experiment) -> list[Picture]:
    """Returns one picture, if several methods measured reallocations."""
    groups = _timed(experiment)
    if len(groups) < 2:
        return []
    untimed = {
        names.method(x.method)
        for x in experiment.main_groups
        if x.average("reallocations") and not x.average("reallocation_seconds")
    }
    caption = (
        "Time spent on moving or pruning weights, as a share of training "
        "time: mean over seeds. Dots are single runs."
    )
    if untimed:
        caption += (
            f" Methods that move weights in every step are not measured: "
            f"{', '.join(sorted(untimed))}."
        )
    return [
        Picture(
            f"{experiment.slug}_cost",
            "Cost of reallocation",
            caption,
            "Share of training time spent on moving weights. "
            + "; ".join(_as_text(group) for group in groups),
            lambda narrow: draw(experiment, narrow),
        )
    ]


def _timed(experiment: Experiment) -> list[Group]:
    return [
        group
        for groups in experiment.levels.values()
        for group in groups
        if group.average("reallocation_seconds")
        and group.average("reallocations")
    ]


def _shares(group: Group) -> list[float]:
    return [
        100 * run.summary["reallocation_seconds"] / run.summary["train_seconds"]
        for run in group.runs
    ]


def _share(group: Group) -> float:
    return sum(_shares(group)) / len(group.runs)


def _milliseconds(group: Group) -> float:
    spent = group.average("reallocation_seconds")
    return 1e3 * spent / group.average("reallocations")


def _as_text(group: Group) -> str:
    return (
        f"{names.method(group.method)} at {names.kept(group.density)}: "
        f"{_share(group):.1f} %, {_milliseconds(group):.0f} ms each"
    )


def draw(experiment: Experiment, narrow: bool) -> Figure:
    """Draws a bar for each method and each share of weights kept."""
    groups = _timed(experiment)
    drawn = figure(narrow, 0.8 + 0.28 * len(groups))
    axes = drawn.subplots()
    tidy(axes)
    shares = [_share(group) for group in groups]
    rows = list(range(len(groups)))
    axes.barh(
        rows, shares, 0.62, color=[color(group.method) for group in groups]
    )
    for row, group in zip(rows, groups, strict=True):
        if len(group.runs) > 1:
            places = [row] * len(group.runs)
            axes.plot(_shares(group), places, "k.", markersize=4)
        lead(axes, [(x, row) for x in _shares(group)], group.runs)
        axes.annotate(
            f"{_share(group):.1f} %, {_milliseconds(group):.0f} ms each",
            (max(_shares(group)), row),
            (8, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    labels = [
        f"{names.method(x.method)}, {names.kept(x.density)}" for x in groups
    ]
    axes.set_yticks(rows, labels)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    # Room for the text beside the longest bar.
    longest = max(share for group in groups for share in _shares(group))
    axes.set_xlim(0, longest * (2.2 if narrow else 1.3))
    axes.set_xlabel("share of training time, %")
    return drawn
