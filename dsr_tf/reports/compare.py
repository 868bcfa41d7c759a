"""Finished runs as tables in the terminal."""

import shutil
import sys
from typing import Literal

import rich.box
import rich.table

from dsr_tf.analysis.table import drawn
from dsr_tf.reports.gather import experiments
from dsr_tf.reports.runs import read_runs
from dsr_tf.reports.tables import Table
from dsr_tf.reports.tables import results

# Columns to leave out on a narrow terminal, in this order.
_OPTIONAL = (
    "time, s",
    "each seed, %",
    "multiply-adds",
    "dead units",
    "ever active",
    "weights moved",
    "epochs",
)


def compare(runs: str) -> str:
    """Returns a table of finished runs for each data set and network.

    Args:
        runs: Folders, or patterns that match folders, separated by commas.

    Returns:
        Plain text. On a narrow terminal some columns are left out; otherwise
        it is as wide as it needs to be.

    Raises:
        ValueError: If none of the folders holds a finished run.
    """
    found, left_out = read_runs(runs)
    parts = [
        f"{experiment.title}\n\n{_fitted(results(experiment).filled())}"
        for experiment in experiments(found)
    ]
    if left_out:
        lines = [f"  {folder.name}: {folder.reason}" for folder in left_out]
        parts.append("\n".join(["left out:", *lines]) + "\n")
    return "\n".join(parts)


def _fitted(table: Table) -> str:
    """Draws a table; on a terminal, leaves out columns that do not fit."""
    text = _drawn(table, fit=False)
    if not sys.stdout.isatty():
        return text
    width = shutil.get_terminal_size().columns
    for heading in _OPTIONAL:
        if len(text.splitlines()[0]) > width:
            table = table.without(heading)
            text = _drawn(table, fit=False)
    return _drawn(table, fit=True)


def _drawn(table: Table, fit: bool) -> str:
    rows = rich.table.Table(box=rich.box.MARKDOWN)
    for heading, number in table.columns:
        justify: Literal["left", "right"] = "right" if number else "left"
        rows.add_column(heading, justify=justify, overflow="fold")
    for row in table.shown:
        rows.add_row(*row)
    return drawn(rows, fit)
