"""A picture of a report, and functions that all pictures use."""

import io
import warnings
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.scale import FuncScale
from matplotlib.ticker import FixedLocator
from matplotlib.ticker import FuncFormatter
from matplotlib.ticker import LogLocator
from matplotlib.ticker import MaxNLocator
from matplotlib.ticker import NullFormatter
from matplotlib.ticker import NullLocator
from PIL import Image

from dsr_tf.reports import names
from dsr_tf.reports.groups import Group
from dsr_tf.reports.spots import Spot
from dsr_tf.reports.spots import spots

# Pixels for each CSS pixel: text is sharp on screens of high resolution.
_SHARPNESS = 2
_DPI = 100
_GREY = "#555555"
# Distances of ticks from the whole; about equally spaced on a stretched axis.
_MISSING = (1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 5e-3, 2e-3, 1e-3, 5e-4, 2e-4)


@dataclass(frozen=True)
class Drawing:
    """A picture in one width.

    Args:
        png: The picture as a PNG file.
        spots: Its points that lead to runs.
    """

    png: bytes
    spots: tuple[Spot, ...]


@dataclass(frozen=True)
class Picture:
    """A picture in two widths: for a wide page and for a phone.

    Args:
        name: File name, without ending.
        title: Heading.
        caption: What the picture shows, and how to read it.
        alt: The main numbers as text, for those who cannot see the picture.
        draw: Draws the picture. Takes whether to draw it for a phone.
    """

    name: str
    title: str
    caption: str
    alt: str
    draw: Callable[[bool], Figure]

    @cached_property
    def wide(self) -> Drawing:
        """The picture for a wide page."""
        return _drawing(self.draw, narrow=False)

    @cached_property
    def narrow(self) -> Drawing:
        """The picture for a phone."""
        return _drawing(self.draw, narrow=True)


def _drawing(draw: Callable[[bool], Figure], narrow: bool) -> Drawing:
    file = io.BytesIO()
    with _plain_texts():
        drawn = draw(narrow)
        drawn.savefig(
            file,
            format="png",
            dpi=_SHARPNESS * _DPI,
            # No version in it: equal runs give equal files.
            metadata={"Software": None},
        )
    return Drawing(_smaller(file), spots(drawn))


def _smaller(png: io.BytesIO) -> bytes:
    """Returns a picture in 256 colours, which take a third of the bytes."""
    with Image.open(png) as image:
        plain = image.convert("RGB")
    file = io.BytesIO()
    few = plain.quantize(256, dither=Image.Dither.NONE)
    few.save(file, "PNG", optimize=True)
    return file.getvalue()


@contextmanager
def _plain_texts() -> Iterator[None]:
    """Draws names as they are, those that the font lacks as boxes."""
    # Names of layers may hold `$`: they are no formulas.
    with matplotlib.rc_context({"text.parse_math": False}):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing from font")
            # Where names leave no room.
            warnings.filterwarnings("ignore", "constrained_layout not applied")
            yield


def figure(narrow: bool, height: float) -> Figure:
    """Makes a figure of a given height, in inches of 100 CSS pixels.

    It is at most 100 inches high: more takes gigabytes to draw.
    """
    width = 3.8 if narrow else 8.8
    size = width, min(height, 100)
    return Figure(size, dpi=_DPI, layout="constrained")


def panels(
    narrow: bool, titles: Sequence[str], label: str
) -> tuple[Figure, list[Axes]]:
    """Makes a figure of axes over epochs, two in a row if it is wide."""
    columns = 1 if narrow or len(titles) == 1 else 2
    rows = -(-len(titles) // columns)
    # The legend takes more lines in a narrow figure.
    drawn = figure(narrow, rows * 2.6 + (1.0 if narrow else 0.6))
    grid = drawn.subplots(
        rows, columns, sharex=True, sharey=True, squeeze=False
    )
    axes = list(grid.flat)
    for unused in axes[len(titles) :]:
        unused.remove()
    for axis, title in zip(axes, titles, strict=False):
        axis.set_title(title, fontsize=10, loc="left")
        tidy(axis)
        axis.tick_params(labelbottom=True, labelleft=True)
    for axis in axes[max(len(titles) - columns, 0) : len(titles)]:
        axis.set_xlabel("epoch")
        axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    for axis in axes[: len(titles) : columns]:
        axis.set_ylabel(label)
    return drawn, axes[: len(titles)]


def tidy(axes: Axes) -> None:
    """Removes the upper and right border, and draws a light grid."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_GREY)
    axes.tick_params(colors=_GREY, labelsize=9)
    axes.xaxis.label.set_fontsize(9)
    axes.yaxis.label.set_fontsize(9)
    axes.grid(color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)


def log_percent(axes: Axes) -> None:
    """Makes the y axis, of shares, logarithmic, and shows them in percent."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    steps = (1, 2, 5) if high < 100 * low else (1,)
    axes.yaxis.set_major_locator(LogLocator(subs=steps))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda share, _: f"{100 * share:g} %")
    )


def legend_below(figure: Figure, handles: Sequence[Any], narrow: bool) -> None:
    """Puts a legend below all axes."""
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=2 if narrow else 4,
        fontsize=8.5 if narrow else 9,
        columnspacing=1,
        handlelength=1.8,
        frameon=False,
    )


def stretch(
    axes: Axes,
    values: Iterable[float],
    whole: float,
    name: str = "y",
    most: int = 8,
) -> None:
    """Stretches an axis toward the whole, and fits it to some values.

    The distance from the whole is shown on a logarithmic axis, so that 98 and
    99 % are as far apart as 96 and 98 %.

    Args:
        axes: The axes.
        values: All values that are drawn.
        whole: Greatest possible value: 100 or 1.
        name: Which axis to stretch, `"x"` or `"y"`.
        most: Largest number of ticks that fit.
    """
    least = 1e-4 * whole

    def forward(x: Any) -> Any:
        return -np.log10(np.clip(whole - np.asarray(x, float), least, None))

    def inverse(x: Any) -> Any:
        return whole - 10.0 ** -np.asarray(x, float)

    shown = forward(list(values))
    margin = max(0.06 * (shown.max() - shown.min()), 0.02)
    low, high = shown.min() - margin, shown.max() + margin
    low = max(low, float(forward(0.0)))
    axis = axes.xaxis if name == "x" else axes.yaxis
    axes.set(
        **{
            f"{name}scale": FuncScale(axis, (forward, inverse)),
            f"{name}lim": tuple(inverse([low, high])),
        }
    )
    ticks = [whole * (1 - x) for x in _MISSING]
    within = [x for x in ticks if low <= forward(x) <= high]
    if len(within) > most:
        # 0, 90, 99, ... only, if these are enough.
        few = [x for x in within if round(x / whole * 1e4) not in _BETWEEN]
        within = few if len(few) > 2 else within[:: -(-len(within) // most)]
    if len(within) < 3:
        axis.set_major_locator(MaxNLocator(most - 3))
    else:
        axis.set_major_locator(FixedLocator(within))
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.6g}"))
    axis.set_minor_locator(NullLocator())


_BETWEEN = {round(1e4 * (1 - x)) for x in _MISSING if f"{x:e}"[0] in "25"}


def bar_ends(mean: float, deviation: float | None) -> tuple[float, float]:
    """Returns the two ends of an error bar."""
    return mean - (deviation or 0), mean + (deviation or 0)


def accuracy_text(groups: Iterable[Group]) -> str:
    """Returns the accuracies of groups as text, for `Picture.alt`."""
    return "; ".join(
        f"{group.label}"
        + (f" at {names.kept(group.density)}" if group.density else "")
        + f": {names.spread(group.mean, group.deviation)}"
        for group in groups
    )
