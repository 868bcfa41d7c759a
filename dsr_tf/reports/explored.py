"""How much of a network was ever active, epoch by epoch."""

import statistics

from matplotlib.figure import Figure

from dsr_tf.reports import names
from dsr_tf.reports.epoch_lines import FEWEST
from dsr_tf.reports.epoch_lines import Points
from dsr_tf.reports.epoch_lines import draw_lines
from dsr_tf.reports.experiment import Experiment
from dsr_tf.reports.groups import Group
from dsr_tf.reports.picture import Picture


def pictures(experiment: Experiment) -> list[Picture]:
    """Returns one picture, if runs of several epochs say it."""
    levels = _levels(experiment)
    groups = [group for them in levels.values() for group in them]
    if not groups:
        return []
    return [
        Picture(
            f"{experiment.slug}_explored",
            "Weights ever active",
            "Share of the weights of sparse layers that were active at some "
            "time since training began (R_s of ITOP): mean over seeds.",
            "Share of weights ever active, after the last epoch. "
            + "; ".join(
                f"{names.method(group.method)} at {names.kept(density)}: "
                f"{names.kept(shares(group)[-1])}"
                for density, groups in levels.items()
                for group in groups
            ),
            lambda narrow: draw(experiment, narrow),
        )
    ]


def _levels(experiment: Experiment) -> dict[float, list[Group]]:
    """Returns the groups that are drawn, for each share of weights kept."""
    known = {
        density: [x for x in groups if len(shares(x)) >= FEWEST]
        for density, groups in experiment.levels.items()
    }
    # Of masks that never change alone there is nothing to see.
    return {
        density: groups
        for density, groups in known.items()
        if any(not x.keeps_masks for x in groups)
    }


def shares(group: Group) -> list[float]:
    """Returns the share after each epoch; none if the runs do not say it.

    Of masks that never change it is what they keep.
    """
    if group.keeps_masks and group.density is not None:
        return [group.density] * group.epochs
    epochs = list(zip(*(run.metrics for run in group.runs), strict=True))
    if any("ever_active" not in row for rows in epochs for row in rows):
        return []
    return [statistics.fmean(x["ever_active"] for x in rows) for rows in epochs]


def draw(experiment: Experiment, narrow: bool) -> Figure:
    """Draws the share after each epoch, a line for each method."""

    def points(group: Group) -> Points:
        return range(1, group.epochs + 1), shares(group)

    levels = _levels(experiment)
    return draw_lines(levels, points, "weights ever active", narrow)
