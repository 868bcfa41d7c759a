"""A table of a report, in each of its forms."""

import csv
import io
from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from itertools import compress

from dsr_tf.reports.texts import for_csv
from dsr_tf.reports.texts import for_markdown

Cell = str | int | float | None


class Linked(str):
    """A text whose words lead to runs, each to one, where there are links."""

    anchors: tuple[str, ...]

    def __new__(cls, text: str, anchors: Iterable[str]) -> "Linked":
        linked = super().__new__(cls, text)
        linked.anchors = tuple(anchors)
        return linked

    @property
    def links(self) -> list[tuple[str, str]]:
        """Each word, and the anchor of its run."""
        return list(zip(self.split(), self.anchors, strict=True))


class Code(str):
    """A text that a computer reads, such as a command."""


@dataclass(frozen=True)
class Table:
    """A table as text, and its values for a CSV file.

    Args:
        name: File name, without ending.
        title: Heading.
        columns: Heading of each column, and whether it holds numbers.
        shown: Rows as text.
        fields: Headings of the CSV file.
        values: The same rows for the CSV file, which may have more columns.
        anchors: What leads to each row; empty if nothing does.
    """

    name: str
    title: str
    columns: tuple[tuple[str, bool], ...]
    shown: Sequence[Sequence[str]]
    fields: tuple[str, ...]
    values: Sequence[Sequence[Cell]]
    anchors: tuple[str, ...] = ()

    def filled(self) -> "Table":
        """Returns the table without its empty columns."""
        return self._only([any(x) for x in zip(*self.shown, strict=True)])

    def without(self, heading: str) -> "Table":
        """Returns the table without one of its columns."""
        return self._only([name != heading for name, _ in self.columns])

    def _only(self, kept: list[bool]) -> "Table":
        return replace(
            self,
            columns=tuple(compress(self.columns, kept)),
            shown=[list(compress(row, kept)) for row in self.shown],
        )

    def to_csv(self) -> str:
        """Returns the values as a CSV file."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(self.fields)
        writer.writerows(map(_csv_row, self.values))
        return file.getvalue()

    def to_markdown(self) -> str:
        """Returns the text as a Markdown table under a heading."""
        rule = ["--:" if number else ":--" for _, number in self.columns]
        head = [heading for heading, _ in self.columns]
        body = [list(map(for_markdown, row)) for row in self.shown]
        lines = [f"| {' | '.join(row)} |" for row in [head, rule, *body]]
        title = for_markdown(self.title)
        return "\n".join([f"## {title}", "", *lines]) + "\n"


def _csv_row(row: Sequence[Cell]) -> list[Cell]:
    return [for_csv(x) if isinstance(x, str) else x for x in row]
