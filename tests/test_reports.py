"""Reports on runs whose files were written by hand."""

import configparser
import csv
import io
import json
import re
import statistics
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from dsr_tf.methods.records import records
from dsr_tf.reports import compare
from dsr_tf.reports import names
from dsr_tf.reports import write_report
from dsr_tf.reports.accuracy import draw as draw_accuracy
from dsr_tf.reports.cost import draw as draw_cost
from dsr_tf.reports.curves import draw as draw_curves
from dsr_tf.reports.early_stop import draw as draw_early_stop
from dsr_tf.reports.explored import draw as draw_explored
from dsr_tf.reports.gather import experiments
from dsr_tf.reports.movement import draw as draw_movement
from dsr_tf.reports.pattern import draw as draw_pattern
from dsr_tf.reports.pictures import pictures
from dsr_tf.reports.published import published
from dsr_tf.reports.published import published_for
from dsr_tf.reports.runs import read_runs
from dsr_tf.reports.styles import style
from dsr_tf.reports.tables import layers
from dsr_tf.reports.tables import results
from dsr_tf.reports.work import draw as draw_work
from tests.command_line import ROOT

SHAPES = ([784, 300], [300, 100], [100, 10])
SIZES = [235_200, 30_000, 1_000]
# Of 266,200 weights 1 % is kept.
UNIFORM = [2352, 300, 10]
MOVED = [1000, 1200, 462]


def write_run(
    path,
    method="dsr",
    seed=0,
    accuracy=0.9,
    counts=UNIFORM,
    starts=None,
    epochs=4,
    old=False,
    ever=True,
    work=None,
    **flags,
):
    """Writes the files of a finished run of LeNet-300-100."""
    path.mkdir(parents=True)
    moves = method in ("dsr", "set", "deepr")
    settings = {
        "dataset": "mnist",
        "model": "lenet_300_100",
        "method": method,
        "sparsity": round(1 - sum(counts) / sum(SIZES), 2),
        "granularity": "weight",
        "epochs": epochs,
        **({} if old else {"drop_fraction": 0.1}),
        "seed": seed,
        **flags,
    }
    lines = ["# A remark.", "--prune_across_tensors"]
    lines += [f"--{name}={value}" for name, value in settings.items()]
    (path / "flags.cfg").write_text("\n".join(lines) + "\n")
    rows = [
        {
            "epoch": epoch,
            "val_accuracy": accuracy - 0.1 * (epochs - 1 - epoch) / epochs,
            **({"weights_moved": 600 // (epoch + 1)} if moves else {}),
            **({"ever_active": 0.02 + epoch / 1000} if moves and ever else {}),
        }
        for epoch in range(epochs)
    ]
    with (path / "metrics.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    dense = method in ("dense", "thin_dense")
    kept = sum(SIZES) if dense else sum(counts)
    summary = {
        **{name: settings[name] for name in ("dataset", "model", "method")},
        "seed": seed,
        "epochs": epochs,
        "test_accuracy": accuracy,
        "budget": 0 if dense else kept,
        "num_active": 0 if dense else kept,
        "num_weights": 0 if dense else sum(SIZES),
        "model_parameters": kept + 820,
        "reallocations": 8 if moves else 0,
        "weights_moved": 1250 if moves else 0,
        "train_seconds": 20.0,
        "reallocation_seconds": 1.0 if moves else 0.0,
        "layers": [
            {"name": f"dense_{i + 1}", "shape": shape, "num_active": count}
            for i, (shape, count) in enumerate(zip(SHAPES, counts, strict=True))
        ],
    }
    if ever:
        summary["ever_active"] = 0.25 if moves else 0.01
        for number, layer in enumerate(summary["layers"]):
            layer |= {"dead_inputs": 40 - number, "dead_outputs": seed}
    if dense:
        summary |= {"layers": [], "ever_active": None}
    if work:
        names = "training_multiply_adds", "earlier_multiply_adds"
        summary |= dict(zip(names, work, strict=True))
    for layer, start in zip(summary["layers"], starts or [], strict=False):
        layer["num_active_at_start"] = start
    (path / "summary.json").write_text(json.dumps(summary))
    return path


@pytest.fixture
def runs(tmp_path):
    return write_runs(tmp_path / "runs")


def write_runs(root):
    """Writes three seeds of DSR, others, and what is no finished run."""
    for seed, accuracy in enumerate((0.975, 0.979, 0.98)):
        write_run(
            root / f"dsr_seed{seed}",
            seed=seed,
            accuracy=accuracy,
            counts=MOVED,
            epochs=100,
        )
    write_run(root / "set_seed0", "set", accuracy=0.96, epochs=100)
    write_run(root / "static_seed0", "static", accuracy=0.5, epochs=100)
    write_run(root / "dense_seed0", "dense", accuracy=0.985, epochs=100)
    (root / "notes").mkdir()
    (root / "notes.log").write_text("a file")
    half = write_run(root / "half", seed=7)
    (half / "summary.json").unlink()
    damaged = write_run(root / "damaged", seed=8)
    (damaged / "summary.json").write_text('{"dataset": "mnist"')
    return root


def only_experiment(patterns):
    (experiment,) = experiments(read_runs(str(patterns))[0])
    return experiment


def group_of(experiment, method):
    (group,) = (x for x in experiment.groups if x.method == method)
    return group


def lines_of(figure, axes=0):
    """Returns the y values of all labelled lines, by label."""
    return {
        line.get_label(): list(line.get_ydata())
        for line in figure.axes[axes].get_lines()
    }


def bars_of(figure):
    """Returns x and y values of lines with error bars, by label."""
    return {
        container.get_label(): tuple(
            map(list, container.lines[0].get_data(orig=True))
        )
        for container in figure.axes[0].containers
    }


def test_seeds_are_one_group(runs):
    group = group_of(only_experiment(runs / "*"), "dsr")
    assert group.seeds == [0, 1, 2]
    assert group.mean == pytest.approx(97.8)
    assert group.deviation == pytest.approx(
        statistics.stdev([97.5, 97.9, 98.0])
    )
    assert group_of(only_experiment(runs / "*"), "set").deviation is None


def test_folders_without_a_finished_run_are_left_out(runs):
    found, left_out = read_runs(f"{runs}/*, {runs}/notes.log")
    assert len(found) == 6
    assert {x.path.name: x.reason for x in left_out} == {
        "damaged": "damaged: summary.json is not JSON",
        "half": "unfinished, after 4 epochs",
        "notes": "not a run",
        "notes.log": "not a folder",
    }


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"test_accuracy": 2}, "no valid `test_accuracy`"),
        ({"test_accuracy": float("nan")}, "no valid `test_accuracy`"),
        ({"seed": "0"}, "no valid `seed`"),
        ({"layers": [{"name": "a"}]}, "no valid `layers`"),
        ({"budget": 0}, "no valid `budget`"),
        ({"epochs": 3}, "epochs is 4 in flags.cfg and 3 in summary.json"),
        ({"method": "set"}, "method is dsr in flags.cfg and set in"),
    ],
)
def test_damaged_summaries_are_left_out(tmp_path, change, reason):
    write_run(tmp_path / "good", seed=1)
    path = write_run(tmp_path / "bad") / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    _, (left_out,) = read_runs(f"{tmp_path}/*")
    assert re.search(reason, left_out.reason)


@pytest.mark.parametrize(
    "name, content, reason",
    [
        ("summary.json", b"\xff\xfe", "can't decode"),
        ("summary.json", b"[" * 100_000, "recursion"),
        ("summary.json", b"[]", "no valid `dataset`"),
        ("metrics.csv", b"epoch,val_accuracy\n0,0.5\n", "1 of 4 epochs"),
        ("metrics.csv", b"epoch,val_accuracy\n0,nan\n", "no valid numbers"),
        ("metrics.csv", b"epoch\n0\n", "no valid numbers"),
        ("metrics.csv", b"a\0b\n1", "no valid numbers"),
        ("metrics.csv", None, "No such file"),
        ("flags.cfg", None, "it has no flags.cfg"),
    ],
)
def test_damaged_files_are_left_out(tmp_path, name, content, reason):
    write_run(tmp_path / "good", seed=1)
    path = write_run(tmp_path / "bad") / name
    path.unlink() if content is None else path.write_bytes(content)
    _, (left_out,) = read_runs(f"{tmp_path}/*")
    assert re.search(reason, left_out.reason), left_out.reason


def test_flags_that_are_no_numbers_are_left_out(tmp_path):
    write_run(tmp_path / "good", seed=1)
    write_run(tmp_path / "bad", stop_epoch="never")
    _, (left_out,) = read_runs(f"{tmp_path}/*")
    assert left_out.reason == "damaged: flags.cfg has no valid stop_epoch"


def test_a_run_counts_once(tmp_path):
    run = write_run(tmp_path / "a")
    write_run(tmp_path / "b")
    found, (left_out,) = read_runs(f"{tmp_path}/*,{run}")
    assert [x.path.name for x in found] == ["a"]
    assert left_out.reason == f"the same flags and seed as {run}"


def test_no_finished_run_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="`runs` must match .*no folder"):
        read_runs(f"{tmp_path}/*")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="where .*empty: not a run"):
        read_runs(f"{tmp_path}/*")


def test_settings_that_differ_are_groups_of_their_own(tmp_path):
    for number, fraction in enumerate((0.1, 0.2, 0.2)):
        write_run(
            tmp_path / f"{number}", "set", seed=number, drop_fraction=fraction
        )
    groups = only_experiment(tmp_path / "*").groups
    assert [(x.differing, x.seeds) for x in groups] == [
        ("drop fraction 0.1", [0]),
        ("drop fraction 0.2", [1, 2]),
    ]


def test_flags_that_older_runs_lack_do_not_part_them(tmp_path):
    write_run(tmp_path / "a", seed=0, old=True)
    write_run(tmp_path / "b", seed=1)
    (group,) = only_experiment(tmp_path / "*").groups
    assert group.seeds == [0, 1] and group.differing == ""


def test_settings_of_other_methods_do_not_part_runs(tmp_path):
    write_run(tmp_path / "a", seed=0, drop_fraction=0.2, noise_rate=0.1)
    write_run(tmp_path / "b", seed=1)
    (group,) = only_experiment(tmp_path / "*").groups
    assert group.seeds == [0, 1] and group.differing == ""


def test_distribution_is_uniform_where_a_run_names_none(tmp_path):
    write_run(tmp_path / "a")
    write_run(tmp_path / "b", distribution="erk")
    groups = only_experiment(tmp_path / "*").groups
    told = {group.differing for group in groups}
    assert told == {"distribution uniform", "distribution erk"}


@pytest.mark.parametrize("with_sources", [0, 1, 2])
def test_seeds_that_began_with_seeds_are_one_group(tmp_path, with_sources):
    for seed in range(2):
        source = tmp_path / f"dense_seed{seed}"
        if seed < with_sources:
            write_run(source, "dense", seed=seed)
        write_run(
            tmp_path / f"compressed_{seed}",
            "compressed",
            seed=seed,
            init_from=source,
        )
    experiment = only_experiment(tmp_path / "*")
    assert group_of(experiment, "compressed").seeds == [0, 1]


def test_experiments_are_apart(tmp_path):
    write_run(tmp_path / "a")
    write_run(tmp_path / "b", train_examples=2000)
    for seed in (0, 1):
        write_run(tmp_path / f"c{seed}", seed=seed, test_split="train[80%:]")
    splits = {"train_split": "train[:9]", "test_split": "train[80%:]"}
    write_run(tmp_path / "d", **splits)
    found = experiments(read_runs(f"{tmp_path}/*")[0])
    assert [x.title for x in found] == [
        "MNIST, LeNet-300-100",
        "MNIST, LeNet-300-100, 2,000 training examples",
        "MNIST, LeNet-300-100, tested on train[80%:]",
        "MNIST, LeNet-300-100, trained on train[:9], tested on train[80%:]",
    ]
    assert [len(x.groups[0].runs) for x in found] == [1, 1, 2, 1]
    assert [x.whole for x in found] == [True, False, False, False]
    assert len({x.slug for x in found}) == 4


def test_published_figures_need_the_experiment(tmp_path, runs):
    experiment = only_experiment(runs / "*")
    figures = published(experiment)
    assert {x.method for x in figures} == {"dsr", "set", "static", "dense"}
    figure = published_for(experiment, group_of(experiment, "dsr"))
    assert (figure.mean, figure.deviation) == (97.75, 0.04)
    dense = published_for(experiment, group_of(experiment, "dense"))
    assert dense.mean == 98.69
    write_run(tmp_path / "part" / "a", epochs=100, train_examples=2000)
    write_run(tmp_path / "short" / "a", epochs=99)
    for part in ("part", "short"):
        assert not published(only_experiment(tmp_path / part / "*"))


def test_growth_that_is_not_of_the_paper_has_no_published_figure(tmp_path):
    for seed in range(2):
        write_run(
            tmp_path / f"drawn{seed}", seed=seed, epochs=100, growth="drawn"
        )
    write_run(tmp_path / "random", epochs=100, growth="random")
    found, _ = read_runs(f"{tmp_path}/*")
    (experiment,) = experiments(found)
    figures = {
        group.settings["growth"]: published_for(experiment, group)
        for group in experiment.groups
    }
    assert figures["drawn"] is None
    assert figures["random"].mean == 97.75


def test_results_hold_the_numbers(runs):
    table = results(only_experiment(runs / "*"))
    rows = list(csv.DictReader(io.StringIO(table.to_csv())))
    dsr = next(row for row in rows if row["method"] == "dsr")
    assert float(dsr["accuracy_mean"]) == 97.8
    assert float(dsr["accuracy_deviation"]) == 0.2646
    assert dsr["accuracies"] == "97.5000 97.9000 98.0000"
    assert dsr["parameters"] == "3482" and dsr["num_runs"] == "3"
    assert float(dsr["density"]) == 0.01
    assert dsr["published_mean"] == "97.75"
    assert "| DSR | 1 % | 3,482 | 100 | 3 | 97.80 ± 0.26 |" in (
        table.filled().to_markdown()
    )


def test_layers_start_where_others_of_their_sparsity_do(runs):
    # DSR did not say here how it began; static masks of 1 % did not move.
    rows = layers(only_experiment(runs / "*")).values
    first = [row for row in rows if row[0] == "DSR" and row[3] == 0]
    assert [row[7] for row in first] == UNIFORM
    assert [row[8] for row in first] == MOVED


def test_layers_start_is_unknown_where_nothing_says_it(tmp_path):
    write_run(tmp_path / "a", counts=MOVED)
    experiment = only_experiment(tmp_path / "*")
    assert experiment.counts_at_start(experiment.groups[0]) is None
    draw_pattern(experiment, list(experiment.groups), narrow=False)


def test_layers_start_is_read(tmp_path):
    starts = [2351, 301, 10]
    write_run(tmp_path / "a", counts=MOVED, starts=starts)
    experiment = only_experiment(tmp_path / "*")
    assert experiment.counts_at_start(experiment.groups[0]) == [starts]


@pytest.mark.parametrize("narrow", [False, True])
def test_accuracy_is_drawn_as_it_is(runs, narrow):
    experiment = only_experiment(runs / "*")
    drawn = bars_of(draw_accuracy(experiment, narrow))
    assert drawn["dsr"] == ([3482], [pytest.approx(97.8)])
    assert drawn["dense"] == ([267_020], [98.5])
    parameters, accuracies = drawn["published dsr"]
    assert parameters == [3482, 6144, 8806, 14130, 27440]
    assert accuracies == [97.75, 98.14, 98.20, 98.32, 98.44]


def test_stretched_axis_puts_values_where_their_labels_are(runs):
    axes = draw_accuracy(only_experiment(runs / "*"), False).axes[0]
    low, high = axes.get_ylim()
    assert low < 50 and 98.69 < high < 100
    height = {y: axes.transData.transform((1, y))[1] for y in (80, 90, 95)}
    assert height[95] - height[90] == pytest.approx(height[90] - height[80])


@pytest.mark.parametrize("accuracy", [0.0, 1.0])
def test_extreme_accuracies_are_drawn(tmp_path, accuracy):
    write_run(tmp_path / "a", accuracy=accuracy, epochs=1)
    experiment = only_experiment(tmp_path / "*")
    low, high = draw_accuracy(experiment, False).axes[0].get_ylim()
    assert np.isfinite([low, high]).all() and low < high


def test_pattern_is_drawn_as_it_is(runs):
    experiment = only_experiment(runs / "*")
    figure = draw_pattern(experiment, [group_of(experiment, "dsr")], False)
    across = {
        line.get_label(): list(line.get_xdata())
        for line in figure.axes[0].get_lines()
    }
    of = np.divide
    assert across["start dsr"] == pytest.approx(list(1 - of(UNIFORM, SIZES)))
    assert across["end dsr"] == pytest.approx(list(1 - of(MOVED, SIZES)))


def test_movement_is_drawn_as_it_is(runs):
    drawn = lines_of(draw_movement(only_experiment(runs / "*"), False))
    assert drawn["dsr"][:3] == pytest.approx(np.divide([600, 300, 200], 2662))
    assert set(drawn) == {"dsr", "set"}


def test_what_was_ever_active_is_drawn_as_it_is(runs):
    figure = draw_explored(only_experiment(runs / "*"), False)
    drawn = lines_of(figure)
    expected = [0.02 + epoch / 1000 for epoch in range(100)]
    assert drawn["dsr"] == pytest.approx(expected)
    assert drawn["set"] == pytest.approx(expected)
    # Masks that never change need no counting.
    assert drawn["static"] == pytest.approx([0.01] * 100)
    assert set(drawn) == {"dsr", "set", "static"}
    texts = {x.get_text() for x in figure.axes[0].get_yticklabels()}
    assert "10 %" in texts


def test_runs_that_do_not_say_what_was_active_have_no_such_picture(tmp_path):
    for method in ("dsr", "static"):
        write_run(tmp_path / method, method, ever=False)
    experiment = only_experiment(tmp_path / "*")
    assert "explored" not in " ".join(x.name for x in pictures(experiment))
    table = results(experiment).filled().to_markdown()
    assert "ever active" not in table and "dead" not in table
    assert "dead" not in layers(experiment).filled().to_markdown()
    write_run(tmp_path / "set", "set")
    experiment = only_experiment(tmp_path / "*")
    (picture,) = [x for x in pictures(experiment) if "explored" in x.name]
    assert "SET at 1 %: 2.3 %" in picture.alt and "DSR" not in picture.alt


def test_multiply_adds_are_drawn_as_they_are(tmp_path):
    kept = [4704, 600, 20]
    for seed, more in ((0, 0), (1, 200)):
        work = 10**12 + more, 0
        write_run(tmp_path / f"a{seed}", seed=seed, accuracy=0.9, work=work)
    write_run(tmp_path / "b", accuracy=0.95, counts=kept, work=(2 * 10**12, 0))
    # The trained network counts too.
    write_run(tmp_path / "c", "compressed", accuracy=0.8, work=(7, 10**13))
    write_run(tmp_path / "d", "set")
    experiment = only_experiment(tmp_path / "*")
    for narrow in (False, True):
        drawn = bars_of(draw_work(experiment, narrow))
        assert set(drawn) == {"dsr", "compressed"}
        assert drawn["dsr"][0] == [10**12 + 100, 2 * 10**12]
        assert drawn["dsr"][1] == pytest.approx([90, 95])
        assert drawn["compressed"][0] == [10**13 + 7]
    (picture,) = [x for x in pictures(experiment) if "multiply" in x.name]
    assert picture.caption.endswith("Not known of SET at 1 %.")
    assert "DSR at 2 %: 95.00 with 2·10¹²" in picture.alt and (
        "SET" not in picture.alt
    )
    texts = {
        x.get_text()
        for x in draw_work(experiment, False).axes[0].get_xticklabels()
    }
    assert {"10¹²", "2·10¹²"} <= texts
    rows = list(csv.DictReader(io.StringIO(results(experiment).to_csv())))
    assert [row["earlier_multiply_adds"] for row in rows] == [
        *("0.0", "0.0", "10000000000000.0", ""),
    ]
    assert "| 10¹³ |" in results(experiment).to_markdown()


def test_runs_that_do_not_say_their_multiply_adds_have_no_such_picture(
    tmp_path,
):
    write_run(tmp_path / "a", "dsr")
    write_run(tmp_path / "b", "set", work=(None, 0))
    write_run(tmp_path / "c", "static", work=(10**12, 0))
    experiment = only_experiment(tmp_path / "*")
    assert "multiply" not in " ".join(x.name for x in pictures(experiment))
    row = results(experiment).filled().to_markdown().splitlines()[-1]
    assert "10¹²" in row and "static" in row
    write_run(tmp_path / "d", "compressed", work=(10**12, None))
    experiment = only_experiment(tmp_path / "*")
    assert group_of(experiment, "compressed").multiply_adds is None


@pytest.mark.parametrize(
    "number, text",
    [
        (1, "10⁰"),
        (1234, "1.23·10³"),
        (9.999e17, "10¹⁸"),
        (5e-3, "5·10⁻³"),
        (None, ""),
    ],
)
def test_large_numbers_have_three_digits(number, text):
    assert names.large(number) == text


def test_dead_units_are_told_of_each_layer_and_in_sum(runs):
    experiment = only_experiment(runs / "*")
    rows = list(csv.DictReader(io.StringIO(results(experiment).to_csv())))
    (dsr,) = [row for row in rows if row["method"] == "dsr"]
    # Three layers; outputs are 0, 1 and 2 of each with seeds 0, 1 and 2.
    assert float(dsr["dead_inputs"]) == 40 + 39 + 38
    assert float(dsr["dead_outputs"]) == 3 and dsr["ever_active"] == "0.25"
    assert "| 0.2500 | 117 + 3 |" in results(experiment).to_markdown()
    (dense,) = [row for row in rows if row["method"] == "dense"]
    assert dense["dead_inputs"] == dense["ever_active"] == ""
    last = layers(experiment).values[2]
    assert last[3] == 0 and last[-2:] == [38, 0]


def test_curves_are_drawn_as_they_are(runs):
    drawn = lines_of(draw_curves(only_experiment(runs / "*"), True))
    assert set(drawn) == {"dsr", "set", "static", "dense"}
    assert drawn["dsr"][-1] == pytest.approx(97.8)
    assert drawn["static"][0] == pytest.approx(50 - 9.9)


def test_cost_is_drawn_as_it_is(runs):
    axes = draw_cost(only_experiment(runs / "*"), False).axes[0]
    assert [bar.get_width() for bar in axes.patches] == [5.0, 5.0]
    assert "5.0 %, 125 ms each" in {text.get_text() for text in axes.texts}


def test_early_stops_are_a_line_and_no_other_settings(tmp_path):
    for stop, accuracy in ((1, 0.8), (2, 0.85), (4, 0.9)):
        write_run(tmp_path / f"{stop}", stop_epoch=stop, accuracy=accuracy)
    experiment = only_experiment(tmp_path / "*")
    drawn = bars_of(draw_early_stop(experiment, False))
    assert drawn == {"DSR, 1 % kept": ([1, 2, 4], [80, 85, 90])}
    assert experiment.other_groups == ()
    assert [x.differing for x in experiment.groups] == [
        "masks fixed from epoch 1 on",
        "masks fixed from epoch 2 on",
        "masks fixed from epoch 4 on",
    ]


def test_structure_is_compared_with_its_source(runs):
    for weights in ("random", runs / "dsr_seed0"):
        write_run(
            runs / f"again_{weights == 'random'}",
            "static",
            accuracy=0.97 if weights == "random" else 0.96,
            counts=MOVED,
            masks_from=runs / "dsr_seed0",
            weights_from=weights,
        )
    experiment = only_experiment(runs / "*")
    (picture,) = (x for x in pictures(experiment) if "structure" in x.name)
    assert picture.alt == (
        "Test accuracy in percent. DSR, masks that change: 97.80 ± 0.26; "
        "its last masks, fresh weights, 4 epochs: 97.00; "
        "its last masks, its first weights, 4 epochs: 96.00; "
        "random masks, never changed: 50.00"
    )
    assert bars_of(draw_accuracy(experiment, False))["static"][1] == [50.0]


class Checker(HTMLParser):
    """Checks that elements are closed in order, and keeps what they hold."""

    VOID = ("meta", "img", "source")

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    root = tmp_path_factory.mktemp("reported")
    runs = write_runs(root / "runs")
    return write_report(f"{runs}/*", str(root / "out")).parent


def test_page_holds_numbers_and_needs_no_other_file(report):
    text = (report / "index.html").read_text()
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    shown = " ".join(checker.text)
    for number in ("97.80 ± 0.26", "97.75 ± 0.04", "3,482", "98.69"):
        assert number in shown
    assert "damaged: summary.json is not JSON" in shown
    loads = [
        value
        for _, attributes in checker.tags
        for name, value in attributes.items()
        if name in ("src", "srcset", "href")
    ]
    assert loads and all(re.match("data:image/png|#", x) for x in loads)
    assert "http://" not in text and "https://" not in text
    assert "@import" not in text and "url(" not in text
    images = [attributes for tag, attributes in checker.tags if tag == "img"]
    assert "DSR at 1 %: 97.80 ± 0.26" in images[0]["alt"]
    assert all(image["alt"] for image in images)


def test_report_holds_pictures_and_tables(report):
    names = {path.name for path in report.iterdir()}
    slug = "mnist_lenet_300_100"
    kinds = ("accuracy", "pattern_1", "movement", "curves", "cost")
    assert {f"{slug}_{kind}.png" for kind in kinds} <= names
    assert {"tables.md", "left_out.csv", f"{slug}_results.csv"} <= names
    for path in report.glob("*.png"):
        with Image.open(path) as image:
            assert image.format == "PNG" and image.width == 1760
            assert image.height >= 250
            assert np.asarray(image.convert("L")).std() > 5
    assert "97.80 ± 0.26" in (report / "tables.md").read_text()


def test_report_is_replaced_on_demand_only(report):
    runs = report.parent / "runs"
    before = (report / "index.html").read_bytes()
    with pytest.raises(ValueError, match="already holds a report"):
        write_report(f"{runs}/*", str(report))
    (report / "old.csv").write_text("")
    write_report(f"{runs}/*", str(report), overwrite=True)
    assert not (report / "old.csv").exists()
    # Equal runs give equal reports.
    assert (report / "index.html").read_bytes() == before
    # Nothing is left beside it.
    assert {x.name for x in report.parent.iterdir()} == {"runs", "out"}


def test_a_link_to_a_report_is_replaced_itself(report, tmp_path):
    runs, link = report.parent / "runs", tmp_path / "link"
    link.symlink_to(report)
    before = (report / "index.html").read_bytes()
    for _ in range(2):
        write_report(f"{runs}/dsr*", str(link), overwrite=True)
        assert not link.is_symlink() and (link / "index.html").is_file()
    assert (report / "index.html").read_bytes() == before
    assert [x.name for x in tmp_path.iterdir()] == ["link"]


def test_what_is_no_report_is_never_replaced(runs):
    with pytest.raises(ValueError, match="`out` must be a new folder"):
        write_report(f"{runs}/*", str(runs), overwrite=True)
    assert (runs / "dsr_seed0" / "summary.json").exists()


HOSTILE = "\"'<script>&amp;{{x}}$x^$"


def test_names_are_shown_as_they_are(tmp_path):
    path = write_run(tmp_path / "runs" / "a", counts=MOVED, dataset=HOSTILE)
    summary = json.loads((path / "summary.json").read_text())
    summary["layers"][0]["name"] = HOSTILE
    (path / "summary.json").write_text(json.dumps(summary))
    (tmp_path / "runs" / "<b>&").mkdir()
    page = write_report(f"{tmp_path}/runs/*", str(tmp_path / "out"))
    checker = Checker()
    checker.feed(page.read_text())
    assert checker.open == []
    assert not {"script", "b"} & {tag for tag, _ in checker.tags}
    for shown in (f"{HOSTILE}, LeNet-300-100", HOSTILE):
        assert shown in checker.text
    assert f"{tmp_path}/runs/<b>&" in checker.text
    labels = [x.get("aria-label", "") for _, x in checker.tags]
    assert f"Layers: {HOSTILE}, LeNet-300-100" in labels
    alternatives = [x.get("alt", "") for _, x in checker.tags]
    assert any(HOSTILE in text for text in alternatives)


def test_what_is_no_module_is_part_of_the_package():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    shipped = {
        path
        for package, patterns in setup["options.package_data"].items()
        for pattern in patterns.split()
        for path in ROOT.joinpath(*package.split(".")).glob(pattern)
    }
    others = {
        path
        for path in (ROOT / "dsr_tf").rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    assert others and others == shipped


def test_a_method_without_a_record_is_reported(tmp_path):
    write_run(tmp_path / "runs" / "a", "forgotten", counts=MOVED)
    write_run(tmp_path / "runs" / "b", "static")
    page = write_report(f"{tmp_path}/runs/*", str(tmp_path / "out"))
    assert "forgotten" in page.read_text()
    experiment = only_experiment(tmp_path / "runs" / "*")
    # It comes last, and began as masks of its sparsity are drawn.
    assert [x.method for x in experiment.groups] == ["static", "forgotten"]
    assert experiment.counts_at_start(experiment.groups[1]) == [UNIFORM]
    known = [style(record.name) for record in records()]
    assert style("forgotten") not in known


@pytest.fixture
def ninth(monkeypatch):
    """Adds a record to those of all methods; takes its fields."""

    def add(**fields):
        plain = {
            "kernels": "masked",
            "keeps_counts": False,
            "starts_dense": False,
        }
        names = {"name": "new_one", "label": "New One"}
        record = replace(records()[0], **names, **(plain | fields))
        *others, last = records()
        together = (*others, record, last)
        find = {x.name: x for x in together}.get
        for module in ("names", "styles"):
            monkeypatch.setattr(
                f"dsr_tf.reports.{module}.records", lambda: together
            )
        for module in ("names", "groups"):
            monkeypatch.setattr(f"dsr_tf.reports.{module}.find", find)

    return add


@pytest.mark.parametrize(
    "fields, starts",
    [
        ({}, None),
        ({"keeps_counts": True}, [MOVED]),
        ({"starts_dense": True}, [SIZES]),
        ({"kernels": "hashed", "keeps_counts": True}, [MOVED]),
    ],
)
def test_counts_at_the_start_are_what_the_record_says(
    tmp_path, ninth, fields, starts
):
    ninth(**fields)
    write_run(tmp_path / "a", "new_one", counts=MOVED)
    experiment = only_experiment(tmp_path / "*")
    assert experiment.counts_at_start(experiment.groups[0]) == starts


def test_a_record_that_is_new_has_its_place_label_and_style(runs, ninth):
    before = [style(record.name) for record in records()]
    unknown = style("new_one")
    ninth(keeps_counts=True)
    write_run(runs / "new", "new_one", accuracy=0.97, epochs=100)
    experiment = only_experiment(runs / "*")
    methods = [x.method for x in experiment.groups]
    assert methods == ["dsr", "set", "static", "new_one", "dense"]
    assert "| New One | 1 % |" in results(experiment).filled().to_markdown()
    found = {x.name: x for x in pictures(experiment)}
    pattern = found["mnist_lenet_300_100_pattern_1"]
    assert "SET, static, New One" in pattern.caption
    # The others keep theirs, and it is like none of them.
    assert [style(record.name) for record in records()] == before
    for key in ("color", "marker"):
        taken = [unknown[key], *(each[key] for each in before)]
        assert style("new_one")[key] not in taken


def test_hashed_kernels_do_not_say_how_masks_are_drawn(tmp_path):
    write_run(tmp_path / "a", counts=MOVED)
    write_run(tmp_path / "b", "hashed", counts=UNIFORM)
    experiment = only_experiment(tmp_path / "*")
    assert experiment.counts_at_start(experiment.groups[0]) is None


def test_comparison_is_plain_text(starter, runs):
    result = starter.main(
        "--mode=compare", f"--runs={runs}/*", FORCE_COLOR="1", COLUMNS="40"
    )
    assert result.returncode == 0, result.stderr
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", result.stdout)
    row = next(x for x in result.stdout.splitlines() if x.startswith("| DSR"))
    cells = [cell.strip() for cell in row.split("|")]
    assert cells[1:8] == [
        "DSR",
        "1 %",
        "3,482",
        "100",
        "3",
        "97.80 ± 0.26",
        "97.50 97.90 98.00",
    ]
    assert f"{runs}/half: unfinished, after 4 epochs" in result.stdout
    assert result.stdout == compare(f"{runs}/*")


def test_comparison_spares_columns_on_a_narrow_terminal(runs, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    lines = [x for x in compare(f"{runs}/*").splitlines() if x[:1] == "|"]
    assert max(map(len, lines)) <= 80
    assert "each seed" not in lines[0] and "97.80 ± 0.26" in lines[2]


@pytest.mark.slow
def test_report_is_written_by_its_command(starter, runs, tmp_path):
    out = tmp_path / "out"
    command = "--mode=report", f"--runs={runs}/*", f"--out={out}"
    result = starter.main(*command)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1].endswith(str(out / "index.html"))
    again = starter.main(*command)
    assert again.returncode == 1 and again.stdout == ""
    assert re.fullmatch(r"main.py: --out already .*\n", again.stderr)
