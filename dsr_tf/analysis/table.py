"""A summary as text."""

import io
import shutil
import sys

import rich.box
import rich.console
import rich.measure
import rich.table

from dsr_tf.analysis.model_summary import LayerSummary
from dsr_tf.analysis.model_summary import ModelSummary
from dsr_tf.analysis.model_summary import Totals

# Heading, and whether it is over numbers, which are never broken.
_COLUMNS = (
    ("Layer", False),
    ("Kind", False),
    ("Kernel", False),
    ("Weights", True),
    ("Active", True),
    ("Sparsity", True),
    ("Share", True),
    ("Multiply-adds", True),
    ("Zeros skipped", True),
    ("Sparse, or why not", False),
)


def table(summary: ModelSummary, fit: bool = False) -> str:
    """Returns a summary as a table of plain text, and a few lines below.

    Args:
        summary: The summary to show.
        fit: Whether to break names if standard output is a terminal that is too
            narrow for them. Otherwise the table is as wide as its text.
    """
    rows = rich.table.Table(box=rich.box.MARKDOWN)
    for heading, number in _COLUMNS:
        rows.add_column(
            heading,
            justify="right" if number else "left",
            no_wrap=number,
            overflow="fold",
        )
    for layer in summary.layers:
        rows.add_row(*_layer_cells(layer))
    rows.add_section()
    for cells in _sums(summary):
        rows.add_row(*cells)
    below = "\n".join(_lines(summary))
    return f"Model: {summary.name}\n\n{drawn(rows, fit)}\n{below}"


def _layer_cells(layer: LayerSummary) -> list[str]:
    share = layer.budget_share
    return [
        layer.name,
        layer.kind,
        ", ".join("x".join(map(str, shape)) for shape in layer.kernel_shapes),
        f"{layer.weights:,}",
        f"{layer.active:,}",
        f"{layer.sparsity:.4f}",
        "" if share is None else f"{share:.4f}",
        _number(layer.multiply_adds),
        _number(layer.sparse_multiply_adds),
        layer.reason or _state(layer),
    ]


def _state(layer: LayerSummary) -> str:
    """Returns the state of a layer, what moves as one in it, and dead units."""
    parts = [layer.state]
    if layer.granularity not in (None, "weight"):
        units = "slices" if layer.granularity == "kernel" else layer.granularity
        parts.append(str(units))
    if layer.storage == "blocks":
        parts.append("stored")
    if dead := _dead(layer.dead_inputs, layer.dead_outputs):
        parts.append(f"dead: {dead}")
    return ", ".join(parts)


def _dead(inputs: int | None, outputs: int | None) -> str:
    """Returns counts of dead units; nothing where there are none."""
    counts = {"input": inputs, "output": outputs}
    return " and ".join(
        f"{n:,} {name}{'s' * (n > 1)}" for name, n in counts.items() if n
    )


def _sums(summary: ModelSummary) -> list[list[str]]:
    others = f"{summary.other_parameters:,}"
    rows = [["other parameters", "", "", others, others] + 5 * [""]]
    if summary.sparse.parameters:
        rows.insert(0, _sum_cells("sparse part", summary.sparse, "1.0000"))
    return [*rows, _sum_cells("whole model", summary.model)]


def _sum_cells(name: str, totals: Totals, share: str = "") -> list[str]:
    known = totals.multiply_adds_complete
    return [
        name,
        "",
        "",
        f"{totals.dense_parameters:,}",
        f"{totals.active_parameters:,}",
        f"{totals.sparsity:.4f}",
        share,
        _number(totals.multiply_adds, known),
        _number(totals.sparse_multiply_adds, known),
        "",
    ]


def _lines(summary: ModelSummary) -> list[str]:
    lines = [_bytes_line("whole model", summary.model)]
    if summary.sparse.parameters:
        lines.insert(0, _bytes_line("sparse part", summary.sparse))
    if (cost := summary.step_cost) is not None:
        lines.append(
            f"sparse part: a training step costs about {cost:.2f} of dense "
            "layers, by what was measured at 128 rows of inputs on two cores"
        )
    if dead := _dead(summary.dead_inputs, summary.dead_outputs):
        lines.append(f"dead, as no active weight is left to them: {dead}")
    if not summary.model.multiply_adds_complete:
        lines.append("?: not known. >=: a sum that leaves out unknown numbers.")
    return lines


def _bytes_line(name: str, totals: Totals) -> str:
    masks = f", {totals.mask_bytes:,} of masks" if totals.mask_bytes else ""
    return f"{name}: {totals.bytes:,} bytes of parameters in memory{masks}"


def _number(value: int | None, complete: bool = True) -> str:
    if value is None:
        return "?"
    return f"{value:,}" if complete else f">= {value:,}"


def drawn(rows: rich.table.Table, fit: bool) -> str:
    """Returns a table as plain text, in lines without trailing spaces.

    Args:
        rows: The table.
        fit: As in `table`.
    """
    # Not on standard output, so that the text depends neither on the terminal
    # nor on environment variables for colours.
    console = rich.console.Console(
        file=io.StringIO(),
        width=sys.maxsize,
        force_terminal=False,
        force_jupyter=False,
        color_system=None,
        markup=False,
        emoji=False,
        highlight=False,
    )
    needed = rich.measure.Measurement.get(console, console.options, rows)
    width = needed.maximum
    if fit and sys.stdout.isatty():
        terminal = shutil.get_terminal_size().columns
        width = max(needed.minimum, min(terminal, needed.maximum))
    with console.capture() as capture:
        console.print(rows, width=width)
    lines = [line.rstrip() for line in capture.get().splitlines()]
    return "\n".join(line for line in lines if line) + "\n"
