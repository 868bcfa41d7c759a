"""Draws all methods side by side, from the accuracies in `results/`.

    python -m benchmarks.methods_picture [--out=docs/pictures/mnist_methods.png]

Methods of LeNet-300-100 on MNIST, with 1 % and 2 % of the weights kept: a dot
is a run, the mark is the mean. Hollow marks begin with more weights than they
end with.
"""

import argparse
import csv
import re
import statistics
from collections import defaultdict
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dsr_tf.reports.picture import Picture
from dsr_tf.reports.picture import figure
from dsr_tf.reports.picture import legend_below
from dsr_tf.reports.picture import stretch
from dsr_tf.reports.picture import tidy
from dsr_tf.reports.styles import style

RESULTS = Path(__file__).parents[1] / "results"
FILES = ("mnist_lenet.csv", "mnist_lenet_newer.csv")
PICTURE = "docs/pictures/mnist_methods.png"
KEPT = (0.01, 0.02)
# What is no method of a fixed budget, and no sparse network.
_LEFT_OUT = ("hashed", "thin_dense")
_DENSER = ("compressed", "granet", "mest --soft")
# What tells runs of a method apart, in the file or the flags of a command.
_VARIANTS = {
    "_drawn.cfg": "dsr --growth=drawn",
    "_itop_random_": "itop, at random",
    "_mest_soft_": "mest --soft",
    "mnist_lenet_itop_9[89].cfg$": "itop, by gradients",
}

Accuracies = Mapping[str, Sequence[float]]


def accuracies(kept: float) -> dict[str, list[float]]:
    """Returns the accuracies of each method, in %, of all seeds.

    Args:
        kept: Share of the weights that is kept; 1 for the dense network.
    """
    found = defaultdict(list)
    for name in FILES:
        with (RESULTS / name).open() as file:
            for row in csv.DictReader(file):
                method = _method(row["method"], row["command"])
                if float(row["kept"]) == kept and method not in _LEFT_OUT:
                    found[method].append(float(row["test_accuracy"]))
    return dict(found)


def _method(method: str, command: str) -> str:
    command = re.sub(r" --seed=\d+", "", command)
    for pattern, name in _VARIANTS.items():
        if re.search(pattern, command):
            return name
    return method


def draw(narrow: bool) -> Figure:
    """Draws a row for each method, and a panel for each share."""
    panels = [accuracies(kept) for kept in KEPT]
    dense = statistics.mean(accuracies(1.0)["dense"])
    first = {name: statistics.mean(x) for name, x in panels[0].items()}
    names = sorted(first, key=first.__getitem__)
    drawn = figure(narrow, 7.6 if narrow else 4.6)
    shape = {"nrows": 2} if narrow else {"ncols": 2}
    everywhere = [x for panel in panels for v in panel.values() for x in v]
    for axes, panel, kept in zip(
        drawn.subplots(**shape, sharey=True), panels, KEPT, strict=True
    ):
        tidy(axes)
        stretch(axes, [*everywhere, dense], 100, "x")
        axes.axvline(dense, color="#000000", linewidth=1, linestyle=(0, (4, 3)))
        for place, name in enumerate(names):
            _draw_method(axes, place, name, panel[name])
        axes.set_yticks(range(len(names)), names)
        axes.set_title(f"{100 * kept:g} % of the weights kept", fontsize=10)
        axes.set_xlabel("test accuracy, %")
    legend_below(drawn, _handles(), narrow)
    return drawn


def _draw_method(
    axes: Any, place: int, name: str, values: Sequence[float]
) -> None:
    look = style(re.split("[ ,]", name)[0])
    axes.plot(values, [place] * len(values), color=look["color"], linewidth=1)
    dots = {"color": look["color"], "marker": ".", "linestyle": ""}
    axes.plot(values, [place] * len(values), markersize=5, **dots)
    if name in _DENSER:
        look["markerfacecolor"] = "white"
    axes.plot(statistics.mean(values), place, **look, markersize=8)


def _handles() -> list[Line2D]:
    look: dict[str, Any] = {"color": "#555555", "linestyle": ""}
    marks = [
        Line2D([], [], **look, marker="o", label="its budget from the start"),
        Line2D(
            *([], []),
            **look,
            marker="o",
            markerfacecolor="white",
            label="begins with more weights",
        ),
        Line2D([], [], **look, marker=".", label="one run"),
    ]
    line = Line2D([], [], color="#000000", linestyle="--", label="dense")
    return [*marks, line]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(PICTURE))
    given = parser.parse_args()
    picture = Picture("mnist_methods", "", "", "", draw)
    given.out.write_bytes(picture.wide.png)
    print(f"written to {given.out}")


if __name__ == "__main__":
    main()
