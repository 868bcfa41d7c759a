"""The tables of a report."""

from collections.abc import Sequence

from dsr_tf.reports import names
from dsr_tf.reports.experiment import Experiment
from dsr_tf.reports.groups import Group
from dsr_tf.reports.published import published_for
from dsr_tf.reports.runs import LeftOut
from dsr_tf.reports.shown_table import Cell
from dsr_tf.reports.shown_table import Linked
from dsr_tf.reports.shown_table import Table


def results(experiment: Experiment) -> Table:
    """Returns a row for each group, beside the paper's results."""
    groups = experiment.groups
    return Table(
        f"{experiment.slug}_results",
        experiment.title,
        (
            ("method", False),
            ("settings", False),
            ("kept", True),
            ("remark", False),
            ("parameters", True),
            ("epochs", True),
            ("runs", True),
            ("test accuracy, %", True),
            ("each seed, %", True),
            ("paper, %", True),
            ("weights moved", True),
            ("ever active", True),
            ("dead units", True),
            ("multiply-adds", True),
            ("time, s", True),
        ),
        [_shown(experiment, group) for group in groups],
        (
            "method",
            "settings",
            "density",
            "parameters",
            "epochs",
            "num_runs",
            "accuracy_mean",
            "accuracy_deviation",
            "seeds",
            "accuracies",
            "published_mean",
            "published_deviation",
            "weights_moved",
            "train_seconds",
            "reallocations",
            "reallocation_seconds",
            "ever_active",
            "dead_inputs",
            "dead_outputs",
            "training_multiply_adds",
            "earlier_multiply_adds",
            "asked_density",
        ),
        [_values(experiment, group) for group in groups],
    )


def _shown(experiment: Experiment, group: Group) -> list[str]:
    figure = published_for(experiment, group)
    anchors = [run.anchor for run in group.runs]
    accuracy = names.spread(group.mean, group.deviation)
    each = " ".join(f"{x:.2f}" for x in group.accuracies)
    several = len(group.runs) > 1
    ever = group.known_average("ever_active")
    dead = group.num_dead("inputs"), group.num_dead("outputs")
    return [
        names.method(group.method),
        group.differing,
        names.kept(group.density),
        group.unfinished or "",
        f"{group.parameters:,}",
        f"{group.epochs:,}",
        f"{len(group.runs)}",
        accuracy if several else Linked(accuracy, anchors),
        Linked(each, anchors) if several else "",
        names.spread(figure.mean, figure.deviation) if figure else "",
        f"{group.average('weights_moved'):,.0f}",
        "" if ever is None else f"{ever:.4f}",
        " + ".join(f"{x:,.0f}" for x in dead if x is not None),
        names.large(group.multiply_adds),
        f"{group.average('train_seconds'):,.0f}",
    ]


def _values(experiment: Experiment, group: Group) -> list[Cell]:
    figure = published_for(experiment, group)
    deviation = group.deviation
    return [
        group.method,
        group.differing,
        group.density,
        group.parameters,
        group.epochs,
        len(group.runs),
        round(group.mean, 4),
        None if deviation is None else round(deviation, 4),
        " ".join(map(str, group.seeds)),
        " ".join(f"{x:.4f}" for x in group.accuracies),
        figure.mean if figure else None,
        figure.deviation if figure else None,
        group.average("weights_moved"),
        round(group.average("train_seconds"), 3),
        group.average("reallocations"),
        round(group.average("reallocation_seconds"), 3),
        group.known_average("ever_active"),
        group.num_dead("inputs"),
        group.num_dead("outputs"),
        group.known_average("training_multiply_adds"),
        group.known_average("earlier_multiply_adds"),
        group.asked,
    ]


def layers(experiment: Experiment) -> Table:
    """Returns a row for each sparse layer of each run."""
    values: list[list[Cell]] = []
    for group in experiment.groups:
        starts = experiment.counts_at_start(group)
        for number, run in enumerate(group.runs):
            start = starts[number] if starts else None
            for place, layer in enumerate(run.summary["layers"]):
                size = names.size(layer["shape"])
                values.append(
                    [
                        names.method(group.method),
                        group.differing,
                        group.density,
                        run.seed,
                        layer["name"],
                        "x".join(map(str, layer["shape"])),
                        size,
                        start[place] if start else None,
                        layer["num_active"],
                        layer.get("dead_inputs"),
                        layer.get("dead_outputs"),
                    ]
                )
    return Table(
        f"{experiment.slug}_layers",
        f"Layers: {experiment.title}",
        (
            ("method", False),
            ("settings", False),
            ("kept", True),
            ("seed", True),
            ("layer", False),
            ("shape", False),
            ("weights", True),
            ("active at the start", True),
            ("active at the end", True),
            ("sparsity at the start", True),
            ("sparsity at the end", True),
            ("dead inputs", True),
            ("dead outputs", True),
        ),
        [_shown_layer(row) for row in values],
        (
            "method",
            "settings",
            "density",
            "seed",
            "layer",
            "shape",
            "num_weights",
            "num_active_at_start",
            "num_active",
            "dead_inputs",
            "dead_outputs",
        ),
        values,
    )


def _shown_layer(row: Sequence[Cell]) -> list[str]:
    *first, into, out = row
    method, settings, density, seed, layer, shape, size, start, end = first
    assert isinstance(size, int) and isinstance(end, int)
    return [
        str(method),
        str(settings),
        names.kept(density if isinstance(density, float) else None),
        str(seed),
        str(layer),
        str(shape),
        f"{size:,}",
        f"{start:,}" if isinstance(start, int) else "",
        f"{end:,}",
        f"{1 - start / size:.4f}" if isinstance(start, int) else "",
        f"{1 - end / size:.4f}",
        f"{into:,}" if isinstance(into, int) else "",
        f"{out:,}" if isinstance(out, int) else "",
    ]


def left_out(folders: Sequence[LeftOut]) -> Table:
    """Returns a row for each folder that is not in the report."""
    rows = [[folder.name, folder.reason] for folder in folders]
    return Table(
        "left_out",
        "Left out",
        (("folder", False), ("reason", False)),
        rows,
        ("folder", "reason"),
        rows,
    )
