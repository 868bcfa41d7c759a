"""What the structure is worth that a run found."""

from functools import partial

from matplotlib.figure import Figure

from dsr_tf.reports import names
from dsr_tf.reports.experiment import Experiment
from dsr_tf.reports.groups import Group
from dsr_tf.reports.groups import gathered
from dsr_tf.reports.picture import Picture
from dsr_tf.reports.picture import ends
from dsr_tf.reports.picture import figure
from dsr_tf.reports.picture import look
from dsr_tf.reports.picture import plain
from dsr_tf.reports.picture import stretch


def pictures(experiment: Experiment) -> list[Picture]:
    """Returns one picture for each run whose masks were trained again."""
    ablations = [group for group in experiment.groups if group.is_ablation]
    return [
        _picture(experiment, density, _rows(experiment, alike))
        for density, alike in gathered(ablations, lambda x: x.density).items()
    ]


def _rows(experiment: Experiment, ablations: list[Group]) -> dict[str, Group]:
    rows = {}
    for group in ablations:
        if group.source:
            name = names.method(group.source.method)
            rows[f"{name}, masks that move"] = group.source
    for group in ablations:
        fresh = group.settings.get("weights_from") == "random"
        weights = "fresh weights" if fresh else "its first weights"
        rows[f"its last masks, {weights}, {group.epochs} epochs"] = group
    for group in experiment.main_groups:
        if group.method == "static" and group.density == ablations[0].density:
            rows["random masks that stay"] = group
    return rows


def _picture(
    experiment: Experiment, density: float | None, rows: dict[str, Group]
) -> Picture:
    kept = names.kept(density)
    return Picture(
        f"{experiment.slug}_structure_{kept[:-2]}".replace(".", "_"),
        f"What the structure is worth, {kept} kept",
        "Test accuracy of a run, of its last masks trained again as they are, "
        "and of random masks. Bars are the standard deviation over seeds; the "
        "axis is stretched toward 100 %.",
        "Test accuracy in percent. "
        + "; ".join(
            f"{name}: {names.spread(group.mean, group.deviation)}"
            for name, group in rows.items()
        ),
        partial(draw, rows),
    )


def draw(rows: dict[str, Group], narrow: bool) -> Figure:
    """Draws a point for each way of training."""
    drawn = figure(narrow, 0.9 + (0.55 if narrow else 0.4) * len(rows))
    axes = drawn.subplots()
    plain(axes)
    least = min(group.mean for group in rows.values())
    for place, group in enumerate(rows.values()):
        axes.errorbar(
            group.mean,
            place,
            xerr=group.deviation or 0,
            **look(group.method),
            markersize=8,
            capsize=3,
        )
        axes.annotate(
            names.spread(group.mean, group.deviation),
            (group.mean, place),
            (0, 8),
            textcoords="offset points",
            ha="left" if group.mean == least else "right",
            fontsize=9,
        )
    labels = [x.replace(", ", ",\n") if narrow else x for x in rows]
    axes.set_yticks(range(len(rows)), labels)
    axes.set_ylim(len(rows) - 0.5, -0.7)
    stretch(
        axes,
        [
            x
            for group in rows.values()
            for x in ends(group.mean, group.deviation)
        ],
        100,
        "x",
        most=6 if narrow else 8,
    )
    axes.set_xlabel("test accuracy, %")
    return drawn
