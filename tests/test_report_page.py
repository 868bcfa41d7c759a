"""The page of a report: its order, its links, and what one run shows."""

import csv
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from dsr_tf.reports import compare
from dsr_tf.reports import write_report
from dsr_tf.reports.accuracy import draw as draw_accuracy
from dsr_tf.reports.cost import draw as draw_cost
from dsr_tf.reports.early_stop import draw as draw_early_stop
from dsr_tf.reports.pictures import pictures
from dsr_tf.reports.published import published
from dsr_tf.reports.runs_table import runs as runs_table
from dsr_tf.reports.spots import spots
from dsr_tf.reports.styles import style
from dsr_tf.reports.tables import results
from tests.test_reports import MOVED
from tests.test_reports import SIZES
from tests.test_reports import UNIFORM
from tests.test_reports import group_of
from tests.test_reports import only_experiment
from tests.test_reports import write_run
from tests.test_reports import write_runs

START = {
    "date": "2026-11-26T21:17:48+00:00",
    "resumes": False,
    "command": "python main.py --seed=1",
    "versions": {"dsr_tf": "0.2.0", "keras": "3.15.0", "python": "3.11.9"},
}
HALF = [104_000, 13_200, 440]


class Page(HTMLParser):
    """Keeps ids, links and headings of a page, in order."""

    def __init__(self, path):
        super().__init__()
        self.ids, self.links, self.order = [], [], []
        self.spots = {"wide": [], "narrow": []}
        self._within = None
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.order.append(tag)
        if "id" in found:
            self.ids.append(found["id"])
        if tag == "div":
            _, _, self._within = found.get("class", "").partition("spots ")
        if tag == "a":
            self.links.append(found["href"])
            if self._within:
                self.spots[self._within].append(found)


def say_history(path, *starts):
    (path / "history.json").write_text(json.dumps(starts))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = write_runs(tmp_path_factory.mktemp("page") / "runs")
    for seed in range(3):
        say_history(root / f"dsr_seed{seed}", START)
    return root


@pytest.fixture(scope="module")
def page(root):
    return Page(write_report(f"{root}/*", str(root.parent / "out")))


def test_results_come_first_then_pictures_then_details(page):
    first = page.order.index("table")
    pictures = [n for n, tag in enumerate(page.order) if tag == "figure"]
    assert first < pictures[0]
    assert max(pictures) < page.order.index("details")
    # The layers, the runs, and what was left out.
    tables = [n for n, tag in enumerate(page.order) if tag == "table"]
    assert len(tables) == 4 and tables[1] > max(pictures)


def test_every_link_leads_to_one_place(page):
    assert len(set(page.ids)) == len(page.ids)
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    runs = {x for x in page.ids if x.startswith("run-")}
    assert "run-dsr_seed0" in runs and len(runs) == 6
    # Pictures and tables lead to each of them.
    assert {f"#{x}" for x in runs} <= set(page.links)
    assert all(re.fullmatch("[a-z0-9_-]+", x) for x in page.ids)


@pytest.mark.parametrize("narrow", [False, True])
def test_a_point_of_a_picture_leads_to_its_run(root, page, narrow):
    experiment = only_experiment(f"{root}/*")
    drawn = draw_accuracy(experiment, narrow)
    # Where axes are depends on the sharpness of the picture.
    drawn.savefig(io.BytesIO(), dpi=200)
    (axes,) = drawn.axes
    shown = page.spots["narrow" if narrow else "wide"]
    for group in experiment.groups:
        for run in group.runs:
            point = (group.parameters, run.accuracy)
            x, y = drawn.transFigure.inverted().transform(
                axes.transData.transform(point)
            )
            # The first picture's come first.
            spot = next(s for s in shown if s["href"] == f"#{run.anchor}")
            left, top, width, height = (
                float(x) for x in re.findall(r"([\d.-]+)%", spot["style"])
            )
            assert left + width / 2 == pytest.approx(100 * x, abs=0.01)
            assert top + height / 2 == pytest.approx(100 * (1 - y), abs=0.01)
            assert f"{run.accuracy:.2f} %" in spot["aria-label"]
            assert f"seed {run.seed}" in spot["aria-label"]


@pytest.mark.parametrize("width", ["wide", "narrow"])
def test_a_spot_is_where_its_mark_is(tmp_path, width):
    methods = ("dsr", "set", "static")
    for number, method in enumerate(methods):
        accuracy, counts = 0.8 + number / 20, [(number + 1) * 4000, 300, 10]
        write_run(tmp_path / method, method, accuracy=accuracy, counts=counts)
    drawing = getattr(pictures(only_experiment(tmp_path / "*"))[0], width)
    with Image.open(io.BytesIO(drawing.png)) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    height, across, _ = pixels.shape
    found = {spot.anchor.removeprefix("run-"): spot for spot in drawing.spots}
    assert set(found) == set(methods)
    for method, spot in found.items():
        x = across * (spot.left + spot.width / 2) / 100
        y = height * (spot.top + spot.height / 2) / 100
        color = np.multiply(255, to_rgb(style(method)["color"]))
        rows, columns = np.nonzero(np.abs(pixels - color).sum(-1) < 30)
        near = (np.abs(rows - y) < 30) & (np.abs(columns - x) < 30)
        # The middle of the mark, which a triangle has elsewhere than a disc.
        assert np.ptp(rows[near]) > 10
        assert columns[near].mean() == pytest.approx(x, abs=1.5)
        assert rows[near].mean() == pytest.approx(y, abs=4)


def test_spots_that_are_near_do_not_cover_each_other(root):
    experiment = only_experiment(f"{root}/*")
    drawn = draw_accuracy(experiment, False)
    drawn.draw_without_rendering()
    group = group_of(experiment, "dsr")
    boxes = sorted(
        (spot.top, spot.top + spot.height)
        for spot in spots(drawn)
        if spot.anchor in {run.anchor for run in group.runs}
    )
    assert len(boxes) == 3
    for (_, end), (start, _) in zip(boxes, boxes[1:], strict=False):
        assert end <= start + 1e-6


@pytest.mark.parametrize(
    "draw", [draw_cost, draw_early_stop], ids=["cost", "early_stop"]
)
def test_other_points_lead_to_runs_too(tmp_path, draw):
    for stop in (1, 2):
        for seed in (0, 1):
            write_run(
                tmp_path / f"{stop}_{seed}",
                seed=seed,
                accuracy=0.8 + seed / 10 + stop / 100,
                stop_epoch=stop,
            )
    write_run(tmp_path / "set", "set")
    experiment = only_experiment(tmp_path / "*")
    drawn = draw(experiment, False)
    drawn.draw_without_rendering()
    found = [spot.anchor for spot in spots(drawn)]
    assert len(found) == len(set(found)) >= 3
    assert all(0 <= x.left <= 100 and 0 <= x.top <= 100 for x in spots(drawn))


def test_folders_of_one_name_have_different_anchors(tmp_path):
    for seed, folder in enumerate(("a/run", "b/run", "c/日本")):
        write_run(tmp_path / folder, seed=seed)
    experiment = only_experiment(f"{tmp_path}/*/*")
    anchors = [x.anchor for group in experiment.groups for x in group.runs]
    assert anchors == ["run-run", "run-run_2", "run-unnamed"]


def test_the_table_of_runs_says_how_they_were_made(tmp_path):
    path = write_run(tmp_path / "a")
    later = {**START, "date": "2026-11-27T08:00:00+00:00", "resumes": True}
    later["versions"] = START["versions"] | {"keras": "3.16.0"}
    say_history(path, START, later)
    write_run(tmp_path / "b", seed=1)
    table = runs_table(only_experiment(tmp_path / "*"))
    new, old = csv.DictReader(io.StringIO(table.to_csv()))
    assert new["command"] == "python main.py --seed=1"
    assert new["started"] == (
        "2026-11-26 21:17:48 UTC; gone on with 2026-11-27 08:00:00 UTC"
    )
    assert new["versions"] == (
        "dsr_tf 0.2.0, keras 3.15.0, python 3.11.9; "
        "dsr_tf 0.2.0, keras 3.16.0, python 3.11.9"
    )
    assert new["folder"] == str(path) and new["reallocation_seconds"] == "1.0"
    # Older runs say nothing.
    assert old["command"] == old["started"] == old["versions"] == ""
    assert old["seed"] == "1"


def test_texts_of_a_history_are_shown_as_they_are(tmp_path):
    path = write_run(tmp_path / "runs" / "a")
    hostile = "<script>alert(1)</script>\n\x1b[2J"
    versions = {hostile: hostile}
    start = {**START, "command": hostile, "versions": versions}
    say_history(path, {**start, "date": hostile})
    page = write_report(f"{tmp_path}/runs/*", str(tmp_path / "out"))
    text = page.read_text()
    assert "<script" not in text and "\x1b" not in text
    assert text.count(r"&lt;script&gt;alert(1)&lt;/script&gt;\n\x1b[2J") == 4
    assert "<script" not in (page.parent / "tables.md").read_text()


def names_of(experiment):
    slug = experiment.slug
    return [x.name.removeprefix(f"{slug}_") for x in pictures(experiment)]


def test_a_single_run_has_no_picture_of_one_point(tmp_path):
    write_run(tmp_path / "short", counts=MOVED, starts=UNIFORM, epochs=2)
    assert names_of(only_experiment(tmp_path / "short")) == ["pattern_1"]
    write_run(tmp_path / "long", counts=MOVED, starts=UNIFORM, epochs=3)
    assert names_of(only_experiment(tmp_path / "long")) == [
        *("pattern_1", "movement", "explored", "curves"),
    ]
    write_run(tmp_path / "still", "static", epochs=1)
    assert names_of(only_experiment(tmp_path / "still")) == []


@pytest.mark.filterwarnings("error")
def test_methods_of_equal_work_are_drawn_without_a_warning(tmp_path):
    for method in ("set", "static"):
        write_run(tmp_path / method, method, work=(10**14, 0))
    (picture,) = [
        x for x in pictures(only_experiment(tmp_path / "*")) if "adds" in x.name
    ]
    assert len(picture.wide.spots) == len(picture.narrow.spots) == 2


def test_a_single_run_is_compared_with_the_paper(tmp_path):
    write_run(tmp_path / "a", counts=MOVED, epochs=100)
    assert "accuracy" in names_of(only_experiment(tmp_path / "a"))


def test_masks_trained_again_alone_have_no_picture(tmp_path):
    gone = tmp_path / "gone"
    again = {"masks_from": gone, "weights_from": "random", "epochs": 2}
    write_run(tmp_path / "a", "static", **again)
    assert "structure_1" not in names_of(only_experiment(tmp_path / "*"))
    write_run(tmp_path / "b", "static", epochs=2)
    assert "structure_1" in names_of(only_experiment(tmp_path / "*"))


def test_a_page_of_a_single_run_has_its_tables(tmp_path):
    write_run(tmp_path / "runs" / "a", "static", epochs=1, accuracy=0.5)
    path = write_report(f"{tmp_path}/runs/*", str(tmp_path / "out"))
    page = Page(path)
    assert "img" not in page.order and page.order.count("table") == 3
    assert page.links.count("#run-a") == 1
    assert "standard deviation" not in path.read_text()
    assert ": 1 run<" in path.read_text()


def write_unfinished(path, budget=26_620, **kwargs):
    """Writes a run whose pruning ended above its budget."""
    write_run(path, "compressed", counts=HALF, **kwargs)
    summary = json.loads((path / "summary.json").read_text())
    summary["budget"] = budget
    (path / "summary.json").write_text(json.dumps(summary))


def test_unfinished_pruning_is_told_in_words(tmp_path):
    for seed in range(2):
        write_unfinished(tmp_path / f"a{seed}", seed=seed, epochs=8)
    write_run(tmp_path / "b", "dsr", epochs=8)
    experiment = only_experiment(tmp_path / "*")
    group = group_of(experiment, "compressed")
    assert group.density == pytest.approx(sum(HALF) / sum(SIZES))
    assert group.asked == pytest.approx(0.1)
    said = "ended at 44.19 % of the weights, 10 % were asked"
    assert group.unfinished == said
    assert group_of(experiment, "dsr").unfinished is None
    table = results(experiment).filled().to_markdown()
    assert f"| compressed | 44.19 % | {said} |" in table
    assert said in compare(f"{tmp_path}/*")
    shown = " ".join(
        text
        for picture in pictures(experiment)
        for text in (picture.title, picture.caption, picture.alt)
    )
    assert "44.19 % left, pruning unfinished" in shown
    assert "44.19 % kept" not in shown and "compressed at 10 %" not in shown
    for narrow in (False, True):
        drawn = draw_accuracy(experiment, narrow)
        texts = [x.get_text() for x in drawn.axes[0].texts]
        assert texts == ["unfinished"]


def test_a_weight_too_many_is_told_as_a_count(tmp_path):
    write_unfinished(tmp_path / "a", budget=sum(HALF) - 1)
    (group,) = only_experiment(tmp_path / "*").groups
    assert group.unfinished == (
        "ended with 117,640 active weights, 117,639 were asked"
    )


def test_unfinished_pruning_is_not_compared_with_the_paper(tmp_path):
    write_unfinished(tmp_path / "a", epochs=50)
    assert published(only_experiment(tmp_path / "*")) == []


def test_groups_that_began_with_other_weights_say_so(tmp_path):
    for seed in range(2):
        write_run(
            tmp_path / f"a{seed}",
            "compressed",
            seed=seed,
            init_from=f"runs/dense_e9_seed{seed}_0a1b",
        )
    write_run(tmp_path / "b", "compressed")
    groups = only_experiment(tmp_path / "*").groups
    assert {x.differing: x.seeds for x in groups} == {
        "begun with fresh weights": [0],
        "begun with the weights of dense_e9_0a1b": [0, 1],
    }
