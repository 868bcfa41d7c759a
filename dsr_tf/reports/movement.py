"""How many weights move, epoch by epoch."""

import statistics

from matplotlib.figure import Figure

from dsr_tf.reports import names
from dsr_tf.reports.epoch_lines import FEWEST
from dsr_tf.reports.epoch_lines import draw_lines
from dsr_tf.reports.experiment import Experiment
from dsr_tf.reports.groups import Group
from dsr_tf.reports.picture import Picture


def pictures(experiment: Experiment) -> list[Picture]:
    """Returns one picture, if weights moved in several epochs of a run."""
    levels = _levels(experiment)
    if not levels:
        return []
    return [
        Picture(
            f"{experiment.slug}_movement",
            "Movement over time",
            "Weights moved in each epoch, as a share of the budget: mean over "
            "seeds. A line ends where masks stop changing.",
            "Weights moved in a whole run. "
            + "; ".join(
                f"{names.method(group.method)} at {names.kept(density)}: "
                f"{group.average('weights_moved'):,.0f}"
                for density, groups in levels.items()
                for group in groups
            ),
            lambda narrow: draw(experiment, narrow),
        )
    ]


def _levels(experiment: Experiment) -> dict[float, list[Group]]:
    moving = {
        density: [x for x in groups if len(_shares(x)[0]) >= FEWEST]
        for density, groups in experiment.levels.items()
    }
    return {density: groups for density, groups in moving.items() if groups}


def _shares(group: Group) -> tuple[list[int], list[float]]:
    """Returns the epochs in which weights moved, and their shares."""
    budget = group.average("budget")
    epochs = zip(*(run.metrics for run in group.runs), strict=True)
    moved = [
        statistics.fmean(row.get("weights_moved", 0) for row in rows) / budget
        for rows in epochs
    ]
    return (
        [number + 1 for number, share in enumerate(moved) if share],
        [share for share in moved if share],
    )


def draw(experiment: Experiment, narrow: bool) -> Figure:
    """Draws what moved in each epoch, a line for each method."""
    label = "weights moved, share of the budget"
    return draw_lines(_levels(experiment), _shares, label, narrow)
