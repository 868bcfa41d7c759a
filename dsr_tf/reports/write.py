"""The folder that a report is."""

import os
from pathlib import Path

from dsr_tf.files import replacing
from dsr_tf.reports.gather import experiments
from dsr_tf.reports.page import page
from dsr_tf.reports.runs import read_runs
from dsr_tf.reports.tables import layers
from dsr_tf.reports.tables import left_out
from dsr_tf.reports.tables import results

PAGE = "index.html"
TABLES = "tables.md"


def write_report(runs: str, out: str, overwrite: bool = False) -> Path:
    """Writes a page on finished runs, its pictures and its tables.

    The folder holds `index.html`, which needs nothing else, each picture as a
    PNG, each table as CSV, and all of them in `tables.md`. It is written
    beside its place and moved there whole.

    Args:
        runs: Folders, separated by commas, or patterns of such.
        out: Folder to write.
        overwrite: Whether an earlier report there may be replaced.

    Returns:
        The page.

    Raises:
        ValueError: If there is no finished run, or `out` is there and is not
            to be replaced.
    """
    # Matplotlib takes a second to import, and is needed here only.
    from dsr_tf.reports.pictures import pictures

    target = Path(os.path.normpath(out))
    _check(target, overwrite)
    found, others = read_runs(runs)
    told = experiments(found)
    with replacing(target) as partial:
        partial.mkdir(parents=True)
        drawn = {experiment.slug: pictures(experiment) for experiment in told}
        for picture in (p for them in drawn.values() for p in them):
            (partial / f"{picture.name}.png").write_bytes(picture.wide)
        tables = [make(x) for x in told for make in (results, layers)]
        tables = [x for x in [*tables, left_out(others)] if x.shown]
        for table in tables:
            _write(partial / f"{table.name}.csv", table.to_csv())
        _write(
            partial / TABLES,
            "\n".join(x.filled().to_markdown() for x in tables),
        )
        _write(partial / PAGE, page(told, drawn, others))
    return target / PAGE


def _check(target: Path, overwrite: bool) -> None:
    if not os.path.lexists(target):
        return
    is_report = (target / PAGE).is_file() and (target / TABLES).is_file()
    if not is_report:
        raise ValueError(
            "`out` must be a new folder, or one that a report was written "
            f"to. Received: out={target}"
        )
    if not overwrite:
        raise ValueError(
            "`out` must not hold a report. Add --overwrite to replace it, or "
            f"name another --out. Received: out={target}"
        )


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
