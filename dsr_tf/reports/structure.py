"""Accuracy of the last masks of a run, trained again."""

from collections.abc import Sequence
from functools import partial

from matplotlib.figure import Figure

from dsr_tf.reports import names
from dsr_tf.reports.experiment import Experiment
from dsr_tf.reports.groups import Group
from dsr_tf.reports.groups import gathered
from dsr_tf.reports.picture import Picture
from dsr_tf.reports.picture import bar_ends
from dsr_tf.reports.picture import figure
from dsr_tf.reports.picture import stretch
from dsr_tf.reports.picture import tidy
from dsr_tf.reports.spots import lead
from dsr_tf.reports.styles import style


def pictures(experiment: Experiment) -> list[Picture]:
    """Returns one picture for each group whose masks were trained again.

    There is none where nothing is to be compared with them.
    """
    ablations = [group for group in experiment.groups if group.is_ablation]
    alike = gathered(ablations, lambda x: (x.density, x.source))
    return [
        _picture(experiment, number + 1, members)
        for number, members in enumerate(alike.values())
        if len(rows(experiment, members)) > 1
    ]


def rows(
    experiment: Experiment, ablations: Sequence[Group]
) -> dict[str, Group]:
    """Returns the groups to compare, by the label of each.

    Args:
        experiment: The experiment.
        ablations: Groups that began with the last masks of one group.
    """
    found = {}
    source = ablations[0].source
    if source:
        found[f"{names.method(source.method)}, masks that change"] = source
    for group in ablations:
        fresh = group.settings.get("weights_from") == "random"
        weights = "fresh weights" if fresh else "its first weights"
        length = names.epochs(group.epochs, group.epochs)
        name = f"its last masks, {weights}, {length}"
        if group.method != "static":
            name += f", {names.method(group.method)}"
        found[name] = group
    for group in experiment.main_groups:
        if group.method == "static" and group.density == ablations[0].density:
            found["random masks, never changed"] = group
    return found


def _picture(
    experiment: Experiment, number: int, ablations: Sequence[Group]
) -> Picture:
    compared = rows(experiment, ablations)
    return Picture(
        f"{experiment.slug}_structure_{number}",
        f"Last masks trained again, {names.kept(ablations[0].density)} kept",
        "Test accuracy of a run, of its last masks trained again without a "
        "change, and of random masks. Dots are single runs; bars are the "
        "standard deviation over seeds. The axis is stretched toward 100 %.",
        "Test accuracy in percent. "
        + "; ".join(
            f"{name}: {names.spread(group.mean, group.deviation)}"
            for name, group in compared.items()
        ),
        partial(draw, compared),
    )


def draw(compared: dict[str, Group], narrow: bool) -> Figure:
    """Draws a point for each way of training."""
    drawn = figure(narrow, 0.9 + (0.55 if narrow else 0.4) * len(compared))
    axes = drawn.subplots()
    tidy(axes)
    least = min(group.mean for group in compared.values())
    for place, group in enumerate(compared.values()):
        axes.errorbar(
            group.mean,
            place,
            xerr=group.deviation or 0,
            **style(group.method),
            markersize=8,
            capsize=3,
        )
        dots = [(x, place) for x in group.accuracies]
        if len(dots) > 1:
            axes.plot(*zip(*dots, strict=True), "k.", markersize=4)
        lead(axes, dots, group.runs)
        axes.annotate(
            names.spread(group.mean, group.deviation),
            (group.mean, place),
            (0, 8),
            textcoords="offset points",
            ha="left" if group.mean == least else "right",
            fontsize=9,
        )
    labels = [x.replace(", ", ",\n") if narrow else x for x in compared]
    axes.set_yticks(range(len(compared)), labels)
    axes.set_ylim(len(compared) - 0.5, -0.7)
    stretch(
        axes,
        [
            x
            for group in compared.values()
            for x in (
                *bar_ends(group.mean, group.deviation),
                *group.accuracies,
            )
        ],
        100,
        "x",
        most=6 if narrow else 8,
    )
    axes.set_xlabel("test accuracy, %")
    return drawn
