"""The points of a picture that lead to runs."""

from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dsr_tf.reports.finished_run import Run

# Half the size of a spot in CSS pixels, and the least where others are near.
_HALF, _LEAST = 9.0, 2.0

_Point = tuple[float, float]


@dataclass(frozen=True)
class Spot:
    """A box in a picture that leads to a run, in percent of the picture.

    Args:
        anchor: Where it leads.
        left: Distance of the left edge from that of the picture.
        top: Distance of the upper edge from that of the picture.
        width: Its width.
        height: Its height.
    """

    anchor: str
    left: float
    top: float
    width: float
    height: float


def lead(axes: Axes, points: Iterable[_Point], runs: Iterable[Run]) -> None:
    """Makes points of the axes lead to runs, one to each; draws nothing."""
    for (x, y), run in zip(points, runs, strict=True):
        axes.plot([x], [y], linestyle="", marker="", url=run.anchor)


def spots(figure: Figure) -> tuple[Spot, ...]:
    """Returns the spots of a figure that has been drawn."""
    width, height = figure.bbox.size
    pixels = figure.dpi / 100
    centres, anchors = [], []
    for axes in figure.axes:
        for line in axes.get_lines():
            if anchor := line.get_url():
                ((x, y),) = axes.transData.transform(line.get_xydata())
                centres.append((x / pixels, (height - y) / pixels))
                anchors.append(anchor)
    return tuple(
        _spot(anchor, centres, place, (width / pixels, height / pixels))
        for place, anchor in enumerate(anchors)
    )


def _spot(
    anchor: str, centres: Sequence[_Point], place: int, size: _Point
) -> Spot:
    x, y = centres[place]
    across, down = _halves(centres, place)
    width, height = size
    return Spot(
        anchor,
        left=100 * (x - across) / width,
        top=100 * (y - down) / height,
        width=200 * across / width,
        height=200 * down / height,
    )


def _halves(centres: Sequence[_Point], place: int) -> _Point:
    """Returns half the width and height that others leave to a spot."""
    across = down = _HALF
    x, y = centres[place]
    for other, (x_other, y_other) in enumerate(centres):
        dx, dy = abs(x_other - x), abs(y_other - y)
        if other == place or max(dx, dy) >= 2 * _HALF:
            continue
        if dx > dy:
            across = min(across, max(dx / 2, _LEAST))
        else:
            down = min(down, max(dy / 2, _LEAST))
    return across, down
