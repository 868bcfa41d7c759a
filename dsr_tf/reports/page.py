"""A report as one HTML page."""

import base64
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import jinja2

from dsr_tf.reports import names
from dsr_tf.reports.experiment import Experiment
from dsr_tf.reports.finished_run import Run
from dsr_tf.reports.groups import Group
from dsr_tf.reports.picture import Picture
from dsr_tf.reports.runs import LeftOut
from dsr_tf.reports.runs_table import runs
from dsr_tf.reports.shown_table import Code
from dsr_tf.reports.shown_table import Linked
from dsr_tf.reports.tables import layers
from dsr_tf.reports.tables import left_out
from dsr_tf.reports.tables import results


def page(
    experiments: Sequence[Experiment],
    pictures: Mapping[str, Sequence[Picture]],
    others: Sequence[LeftOut],
) -> str:
    """Returns a page that needs no other file.

    Args:
        experiments: The experiments to report on.
        pictures: The pictures of each experiment, by its slug.
        others: Folders that hold no finished run.
    """
    # Names of data sets and layers may hold anything: all text is escaped.
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("dsr_tf.reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["png_uri"] = _png_uri
    environment.tests["linked"] = lambda cell: isinstance(cell, Linked)
    environment.tests["code"] = lambda cell: isinstance(cell, Code)
    return environment.get_template("page.html").render(
        sections=[_section(x, pictures[x.slug]) for x in experiments],
        left_out=left_out(others),
    )


def _section(
    experiment: Experiment, pictures: Sequence[Picture]
) -> dict[str, Any]:
    return {
        "slug": experiment.slug,
        "title": experiment.title,
        "num_runs": sum(len(group.runs) for group in experiment.groups),
        "pictures": pictures,
        "results": results(experiment).filled(),
        "layers": layers(experiment).filled(),
        "runs": runs(experiment).filled(),
        "run_names": {
            run.anchor: _name(group, run)
            for group in experiment.groups
            for run in group.runs
        },
        "has_seeds": any(len(group.runs) > 1 for group in experiment.groups),
    }


def _name(group: Group, run: Run) -> str:
    """Returns what a point of a picture says of its run."""
    at = f", {names.kept(group.density)} kept" if group.density else ""
    return f"{group.label}{at}, seed {run.seed}: {run.accuracy:.2f} %"


def _png_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
