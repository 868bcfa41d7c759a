"""Writes a report into a folder."""

import os
from collections.abc import Sequence
from pathlib import Path

from dsr_tf.checks import checked_path
from dsr_tf.files import replacing
from dsr_tf.reports.experiment import Experiment
from dsr_tf.reports.gather import experiments
from dsr_tf.reports.page import page
from dsr_tf.reports.pictures import pictures
from dsr_tf.reports.runs import LeftOut
from dsr_tf.reports.runs import read_runs
from dsr_tf.reports.runs_table import runs as of_runs
from dsr_tf.reports.tables import layers
from dsr_tf.reports.tables import left_out
from dsr_tf.reports.tables import results

PAGE = "index.html"
TABLES = "tables.md"


def write_report(runs: str, out: str, overwrite: bool = False) -> Path:
    """Writes a page on finished runs, and its pictures and tables as files.

    The folder holds `index.html`, which needs no other file, each picture as
    PNG, each table as CSV, and all tables in `tables.md`. It is written beside
    `out` and moved there when it is complete.

    Args:
        runs: Folders, or patterns that match folders, separated by commas.
        out: Folder to write.
        overwrite: Whether an earlier report at `out` may be replaced.

    Returns:
        Path of the page.

    Raises:
        ValueError: If there is no finished run, or `out` exists and may not
            be replaced.
    """
    target = Path(os.path.normpath(checked_path("out", out)))
    _check(target, overwrite)
    found, others = read_runs(runs)
    with replacing(target) as partial:
        partial.mkdir(parents=True)
        _fill(partial, experiments(found), others)
    return target / PAGE


def _fill(
    folder: Path, reported: Sequence[Experiment], others: Sequence[LeftOut]
) -> None:
    drawn = {x.slug: pictures(x) for x in reported}
    for picture in (picture for each in drawn.values() for picture in each):
        (folder / f"{picture.name}.png").write_bytes(picture.wide.png)
    tables = [make(x) for x in reported for make in (results, layers, of_runs)]
    tables = [x for x in [*tables, left_out(others)] if x.shown]
    for table in tables:
        _write(folder / f"{table.name}.csv", table.to_csv())
    as_text = "\n".join(x.filled().to_markdown() for x in tables)
    _write(folder / TABLES, as_text)
    _write(folder / PAGE, page(reported, drawn, others))


def _check(target: Path, overwrite: bool) -> None:
    if not os.path.lexists(target):
        return
    is_report = (target / PAGE).is_file() and (target / TABLES).is_file()
    if not is_report:
        raise ValueError(
            "`out` must be a new folder, or a folder that holds a report. "
            f"Received: out={target}"
        )
    if not overwrite:
        raise ValueError(
            "`out` already holds a report. Add --overwrite to replace it, or "
            f"name another --out. Received: out={target}"
        )


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
