"""The tables of results, held to the runs that they are made of."""

import csv
import json
import re
import statistics
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import methods_picture

ROOT = Path(__file__).parents[1]


def rows_of(page, heading):
    """Returns the rows of a table, as lists of cells, below its first line."""
    lines = (ROOT / page).read_text().splitlines()
    first = next(n for n, x in enumerate(lines) if x.startswith(heading))
    rows = []
    for line in lines[first + 2 :]:
        if not line.startswith("|"):
            return rows
        rows.append([x.strip() for x in line.strip("|").split("|")])
    return rows


def runs_of(name):
    with (ROOT / "results" / f"{name}.csv").open() as file:
        return list(csv.DictReader(file))


def spread(values):
    """Returns mean and standard deviation as the tables show them."""
    mean = f"{statistics.mean(values):.2f}"
    if len(values) == 1:
        return mean
    deviation = f"{statistics.stdev(values):.2f}".removeprefix("0")
    return f"{mean} ± {deviation}"


def in_brackets(values):
    return f"{spread(values).replace('± .', '± 0.')} ({len(values)})"


@pytest.mark.parametrize("column, kept", [(1, 0.01), (2, 0.02)])
def test_newer_methods_are_those_of_their_runs(column, kept):
    found = methods_picture.accuracies(kept)
    rows = rows_of("docs/results.md", "| method | 1 % kept | 2 % kept |")
    shown = {re.sub("`|, (begins|dense).*", "", x[0]): x[column] for x in rows}
    assert shown == {name: in_brackets(x) for name, x in found.items()}


@pytest.mark.parametrize("column, kept", [(1, 0.01), (2, 0.02)])
def test_the_readme_has_the_same_figures(column, kept):
    found = methods_picture.accuracies(kept)
    found["dense"] = methods_picture.accuracies(1.0)["dense"]
    rows = rows_of("README.md", "| method | 1 % kept | 2 % kept |")
    for name, *cells in rows:
        method = re.sub("`|[:,] .*", "", name)
        here = cells[column - 1].partition(" / ")[0]
        assert here in (spread(found[method]), "")


def test_wide_resnets_are_those_of_their_runs():
    found = defaultdict(list)
    for run in runs_of("cifar10_wrn_10_1_15_epochs"):
        is_drawn = "_drawn" in run["command"]
        found["dsr --growth=drawn" if is_drawn else run["method"]].append(run)
    rows = rows_of("docs/results.md", "| method | test accuracy | seeds |")
    assert {x[0].strip("`") for x in rows} == set(found)
    for name, mean, seeds, ever_active, cost in rows:
        runs = found[name.strip("`")]
        assert seeds == ", ".join(x["test_accuracy"] for x in runs)
        values = [float(x["test_accuracy"]) for x in runs]
        assert abs(float(mean) - statistics.mean(values)) < 0.0051
        assert abs(float(ever_active) - float(runs[0]["ever_active"])) < 0.0051
        assert abs(float(cost) - float(runs[0]["multiply_adds"])) < 0.051e12


def test_perceptrons_are_those_of_their_runs():
    found = {x["method"]: x["test_accuracy"] for x in runs_of("mnist_mlp")}
    rows = rows_of("docs/results.md", "| method | test accuracy, here / pub")
    shown = {x[0].strip("`").split()[0]: x[1].split(" / ")[0] for x in rows}
    assert shown == found


def test_defaults_are_chosen_by_what_was_run():
    runs = json.loads((ROOT / "results/defaults.json").read_text())
    columns = list(dict.fromkeys((x["network"], x["optimizer"]) for x in runs))
    rows = rows_of("docs/methods.md", "| method | moves at first | times |")
    shown = {
        (method.strip("`"), share, times, *column): cell
        for method, share, times, *cells, _ in rows
        for column, cell in zip(columns, cells, strict=True)
        if cell
    }
    names = ("method", "share", "times", "network", "optimizer")
    found = defaultdict(list)
    for x in runs:
        key = tuple("" if x[k] is None else str(x[k]) for k in names)
        found[key].append(x["accuracy"])
    assert shown == {k: f"{statistics.mean(v):.2f}" for k, v in found.items()}
    for *setting, mean in ([*row[:3], row[-1]] for row in rows):
        start = (setting[0].strip("`"), *setting[1:])
        own = [statistics.mean(v) for k, v in found.items() if k[:3] == start]
        assert len(own) == len(columns)
        assert abs(float(mean) - statistics.mean(own)) < 0.0051


@pytest.mark.parametrize("narrow", [False, True])
def test_the_picture_shows_every_run_and_mean(narrow):
    panels = methods_picture.draw(narrow).axes
    names = [x.get_text() for x in panels[0].get_yticklabels()]
    for axes, kept in zip(panels, methods_picture.KEPT, strict=True):
        found = methods_picture.accuracies(kept)
        assert set(names) == set(found)
        # A line between the runs, dots for them, and a mark, for each method.
        drawn = [list(x.get_xdata()) for x in axes.get_lines()[1:]]
        assert drawn[1::3] == [found[x] for x in names]
        means = [[statistics.mean(found[x])] for x in names]
        assert drawn[2::3] == means


def test_the_picture_of_the_pages_is_up_to_date(tmp_path, monkeypatch):
    path = tmp_path / "picture.png"
    monkeypatch.setattr("sys.argv", ["methods_picture", f"--out={path}"])
    methods_picture.main()
    kept = ROOT / methods_picture.PICTURE
    with Image.open(path) as new, Image.open(kept) as old:
        assert new.size == old.size
        difference = np.subtract(new.convert("L"), old.convert("L"), dtype=int)
    # Another version of Matplotlib may set letters a little elsewhere.
    assert np.mean(np.abs(difference) > 64) < 0.02
