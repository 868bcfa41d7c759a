"""A report as one HTML page."""

import base64
from collections.abc import Mapping
from collections.abc import Sequence
from html import escape

from dsr_tf.reports.experiment import Experiment
from dsr_tf.reports.picture import Picture
from dsr_tf.reports.runs import LeftOut
from dsr_tf.reports.style_sheet import STYLE_SHEET
from dsr_tf.reports.tables import Table
from dsr_tf.reports.tables import layers
from dsr_tf.reports.tables import left_out
from dsr_tf.reports.tables import results

# Screens narrower than this get the narrow pictures; as in the style sheet.
_NARROW = "(max-width: 640px)"


def page(
    experiments: Sequence[Experiment],
    pictures: Mapping[str, Sequence[Picture]],
    others: Sequence[LeftOut],
) -> str:
    """Returns a page that needs no other file.

    Args:
        experiments: What to report on.
        pictures: The pictures of each, by its slug.
        others: Folders that hold no finished run.
    """
    body = [
        _head(experiments),
        *(_section(x, pictures[x.slug]) for x in experiments),
    ]
    if others:
        body.append(
            f'<section id="left_out"><h2>Left out</h2>'
            f"<p>These folders hold no finished run.</p>"
            f"{_table(left_out(others))}</section>"
        )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        "<title>Report on sparse training</title>\n"
        f"<style>\n{STYLE_SHEET}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


def _head(experiments: Sequence[Experiment]) -> str:
    links = [
        f'<li><a href="#{x.slug}">{escape(x.title)}</a>: '
        f"{sum(len(group.runs) for group in x.groups)} runs</li>"
        for x in experiments
    ]
    return (
        "<h1>Report on sparse training</h1>"
        f"<nav><ul>{''.join(links)}</ul></nav>"
    )


def _section(experiment: Experiment, pictures: Sequence[Picture]) -> str:
    shown = "\n".join(_figure(picture) for picture in pictures)
    return (
        f'<section id="{experiment.slug}"><h2>{escape(experiment.title)}</h2>\n'
        f"{shown}\n<h3>Results</h3>"
        "<p>Runs that differ in their seed only are one row: mean ± standard "
        "deviation.</p>"
        f"{_table(results(experiment).filled())}\n"
        f"{_layers(experiment)}</section>"
    )


def _layers(experiment: Experiment) -> str:
    table = layers(experiment).filled()
    if not table.shown:
        return ""
    return (
        f"<details><summary>Layers of each run, {len(table.shown)} rows"
        f"</summary>{_table(table)}</details>"
    )


def _figure(picture: Picture) -> str:
    return (
        f"<figure><h3>{escape(picture.title)}</h3><picture>"
        f'<source media="{_NARROW}" srcset="{_uri(picture.narrow)}">'
        f'<img src="{_uri(picture.wide)}" alt="{escape(picture.alt)}">'
        f"</picture><figcaption>{escape(picture.caption)}</figcaption></figure>"
    )


def _uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _table(table: Table) -> str:
    """Returns a table in a box that scrolls where it is too wide."""
    kinds = ["n" if number else "t" for _, number in table.columns]
    heads = "".join(
        f'<th scope="col" class="{kind}">{escape(heading)}</th>'
        for (heading, _), kind in zip(table.columns, kinds, strict=True)
    )
    rows = "\n".join(f"<tr>{_cells(row, kinds)}</tr>" for row in table.shown)
    label = escape(table.title)
    return (
        f'<div class="box" role="region" tabindex="0" aria-label="{label}">'
        f"<table><thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}\n</tbody>"
        "</table></div>"
    )


def _cells(row: Sequence[str], kinds: Sequence[str]) -> str:
    first, *others = zip(row, kinds, strict=True)
    cells = [f'<td class="{kind}">{escape(text)}</td>' for text, kind in others]
    return f'<th scope="row">{escape(first[0])}</th>' + "".join(cells)
