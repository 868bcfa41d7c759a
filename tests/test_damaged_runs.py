"""One bad run is listed with a reason; all others are shown."""

import csv
import json
import os
import random
import re

import hypothesis
import pytest
from hypothesis import strategies

from dsr_tf.reports import compare
from dsr_tf.reports import write_report
from dsr_tf.reports.runs import read_runs
from dsr_tf.runs import evaluate
from dsr_tf.runs import export_run
from tests.damage import copied
from tests.damage import damage
from tests.test_old_files import FILES as OLD
from tests.test_reports import MOVED
from tests.test_reports import write_run

# As the good run shows it.
ACCURACY = "98.77"
RUNS = ("dsr", "set", "static", "dense", "hashed")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    write_run(root / "good", accuracy=0.98766, counts=MOVED, seed=1)
    write_run(root / "alike", counts=MOVED, accuracy=0.5)
    write_run(root / "other", "set", epochs=1)
    return root


def damaged(root, seed):
    """Returns the folder of a run, which the seed chooses and damages."""
    rng = random.Random(seed)
    runs = [root / "alike", root / "other", *(OLD / name for name in RUNS)]
    bad = copied(rng.choice(runs), root / "bad")
    hypothesis.note(damage(bad, rng))
    return bad


@hypothesis.given(strategies.integers(0, 2**32))
@hypothesis.settings(max_examples=200)
def test_a_damaged_run_hides_no_other(root, seed):
    bad = damaged(root, seed)
    for runs in (f"{bad},{root}/good", f"{root}/good,{bad}"):
        text = compare(runs)
        assert ACCURACY in text
        assert all(line.isprintable() for line in text.splitlines())
        found, left_out = read_runs(runs)
        assert len(found) + len(left_out) == 2
    try:
        compare(str(bad))
    except ValueError as error:
        assert "must match the folder of a finished run" in str(error)
        assert len(str(error).splitlines()) == 1


@pytest.mark.slow
@hypothesis.given(strategies.integers(0, 2**32))
# A second each, for the curves; what is read is tried more often above.
@hypothesis.settings(max_examples=25)
def test_a_damaged_run_spoils_no_report(root, seed):
    runs = f"{damaged(root, seed)},{root}/good"
    page = write_report(runs, str(root / "out"), overwrite=True)
    assert ACCURACY in page.read_text()


def changed(root, **fields):
    """Writes a run beside the good one, with fields of its summary changed."""
    path = copied(root / "alike", root / "bad") / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    return f"{root}/bad,{root}/good"


def layers(**fields):
    return [{"name": "a", "shape": [2, 3], "num_active": 1} | fields]


@pytest.mark.parametrize(
    "fields",
    [
        {"weights_moved": 10**400},
        {"weights_moved": 2**63},
        {"weights_moved": True},
        {"seed": True},
        {"epochs": 10**30},
        {"budget": 10**9},
        {"train_seconds": 1e-9},
        {"reallocation_seconds": 1e300},
        {"test_accuracy": "NaN"},
        {"ever_active": 1.5},
        {"ever_active": "half"},
        {"training_multiply_adds": 0},
        {"training_multiply_adds": 10**31},
        {"earlier_multiply_adds": 1.5},
        {"layers": layers(dead_inputs=-1)},
        {"layers": layers(dead_outputs="x")},
        {"dataset": None},
        {"layers": layers(shape=[10**30])},
        {"layers": layers(shape=[2**62, 4])},
        {"layers": layers(shape=[1] * 400)},
        {"layers": layers(name=3)},
        {"layers": layers(num_active=True)},
        {"layers": layers(num_active_at_start=None)},
        {"layers": 3000 * layers()},
        {"layers": {}},
    ],
)
def test_impossible_fields_are_named(root, fields):
    found, (left_out,) = read_runs(changed(root, **fields))
    assert [x.path.name for x in found] == ["good"]
    (name,) = fields
    assert re.search(f"`{name}`", left_out.reason)


@pytest.mark.parametrize(
    "fields",
    [
        {"threshold": "x"},
        {"threshold": 10**400, "sparsity": [], "model_sparsity": "\ud800"},
        {"prunes": {}, "num_prunes": "many"},
        {"\ud800": "\x00", "": None},
        {"layers": layers(name="\ud800\x1b[2J[red]")},
        {"layers": layers(name="a" * 5000)},
        {"layers": layers(name="", sparsity="x", more={})},
        {"layers": []},
        {"ever_active": None, "layers": layers(dead_inputs=None)},
        {"weights_moved": 2**63 - 1, "reallocations": 0},
        {"training_multiply_adds": 10**30, "earlier_multiply_adds": 0},
        {"training_multiply_adds": None},
        {"reallocation_seconds": 5e-324, "model_parameters": 2**63 - 1},
        {"budget": 1, "num_weights": 2**63 - 1},
    ],
)
def test_what_is_only_strange_is_shown(root, fields):
    runs = changed(root, **fields)
    found, left_out = read_runs(runs)
    assert len(found) == 2 and not left_out
    page = write_report(runs, str(root / "out"), overwrite=True)
    assert ACCURACY in page.read_text() and "50.00" in page.read_text()


@pytest.mark.parametrize(
    "name, content, reason",
    [
        ("metrics.csv", "epoch,val_accuracy\n" + "0,1e400\n" * 4, "numbers"),
        ("metrics.csv", f"weights_moved\n{10**400}\n", "no valid numbers"),
        ("metrics.csv", "val_accuracy,val_accuracy\n1,1\n", "valid numbers"),
        ("metrics.csv", "val_accuracy,ever_active\n1,0\n", "valid numbers"),
        ("metrics.csv", "val_accuracy\n0.5,0.5\n", "no valid numbers"),
        ("metrics.csv", "val_accuracy\n" + "9" * 200_000, "field larger"),
        ("summary.json", '{"seed": ' + "9" * 5000 + "}", "not JSON"),
        ("summary.json", '"x"', "no valid `dataset`"),
        ("flags.cfg", b"\xff\xfe\x00", "flags.cfg: .* can't decode"),
        ("flags.cfg", "--init_from=a\0b", "flags.cfg is not a text"),
    ],
)
def test_damaged_files_are_named(root, name, content, reason):
    path = copied(root / "alike", root / "bad") / name
    content = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(content)
    _, (left_out,) = read_runs(f"{root}/bad,{root}/good")
    assert re.search(reason, left_out.reason), left_out.reason


@pytest.mark.parametrize(
    "name, value",
    [
        ("train_examples", "1.5"),
        ("train_examples", "9" * 400),
        ("stop_epoch", "1.5"),
        ("stop_epoch", "-1"),
        ("image_size", "1e3"),
        ("width", "nan"),
        ("width", "1e400"),
    ],
)
def test_flags_that_cannot_be_read_are_named(root, name, value):
    path = copied(root / "alike", root / "bad") / "flags.cfg"
    path.write_text(f"{path.read_text()}--{name}={value}\n")
    _, (left_out,) = read_runs(f"{root}/bad,{root}/good")
    assert left_out.reason == f"damaged: flags.cfg has no valid {name}"


def test_a_depth_that_cannot_be_read_is_named(root):
    bad = copied(root / "alike", root / "bad")
    for name in ("flags.cfg", "summary.json"):
        text = (bad / name).read_text()
        # No other network has a depth.
        text = text.replace("lenet_300_100", "wide_resnet")
        (bad / name).write_text(text)
    with (bad / "flags.cfg").open("a") as file:
        file.write("--depth=deep\n")
    _, (left_out,) = read_runs(f"{root}/bad,{root}/good")
    assert left_out.reason == "damaged: flags.cfg has no valid depth"


@pytest.mark.parametrize("name", ["summary.json", "metrics.csv", "flags.cfg"])
@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, "/dev/zero", "loop"])
def test_what_is_no_file_is_not_waited_for(root, name, make):
    path = copied(root / "alike", root / "bad") / name
    path.unlink()
    if callable(make):
        make(path)
    else:
        path.symlink_to(path if make == "loop" else make)
    found, left_out = read_runs(f"{root}/bad,{root}/good")
    assert [x.path.name for x in found] == ["good"] and len(left_out) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read all")
@pytest.mark.parametrize("name", ["", "summary.json", "metrics.csv"])
def test_what_may_not_be_read_is_listed(root, name):
    bad = copied(root / "alike", root / "bad")
    (bad / name).chmod(0)
    try:
        found, (left_out,) = read_runs(f"{root}/bad,{root}/good")
    finally:
        (bad / name).chmod(0o700)
    assert "Permission denied" in left_out.reason
    assert [x.path.name for x in found] == ["good"]


def test_seeds_with_other_layers_are_apart(root):
    runs = changed(root, layers=layers())
    # One group of two seeds else, whose layers are compared one by one.
    write_report(runs, str(root / "out"), overwrite=True)
    rows = compare(runs).splitlines()
    assert sum(row.startswith("| DSR") for row in rows) == 2


HOSTILE = "<script>a|b\n[red]x[/]\x1b[2J\ud800"


def test_hostile_names_are_texts_everywhere(tmp_path):
    bad = write_run(tmp_path / "bad", counts=MOVED)
    summary = json.loads((bad / "summary.json").read_text())
    for layer, name in zip(
        summary["layers"], (HOSTILE, "=1+1", "\t@x"), strict=True
    ):
        layer["name"] = name
    (bad / "summary.json").write_text(json.dumps(summary))
    (tmp_path / "a|<b>\n=1\udcff").mkdir()
    (tmp_path / "=2").mkdir()
    page = write_report(f"{tmp_path}/*", str(tmp_path / "out"))
    markdown = (page.parent / "tables.md").read_text()
    assert "<script" not in markdown and "<b>" not in markdown
    assert r"&lt;script&gt;a\|b\\n\[red\]x\[/\]\\x1b\[2J\\ud800" in markdown
    rows = [x for x in markdown.splitlines() if x.startswith("|")]
    assert all(re.search(r"(?<!\\)\|$", row) for row in rows)
    for path in page.parent.glob("*.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert not [x for x in cells if x.startswith(("=", "+", "@", "\t"))]
    assert "<script" not in page.read_text()
    text = compare(f"{tmp_path}/*")
    assert all(line.isprintable() for line in text.splitlines())


def test_names_are_not_markup_of_the_terminal(tmp_path):
    name = "[red]x[/] :smile: \x1b[31m"
    write_run(tmp_path / "bad", method=name, dataset=name)
    # Flags are lines, so names in them have none.
    text = compare(f"{tmp_path}/*")
    assert text.count(r"[red]x[/] :smile: \x1b[31m") == 2


def test_data_sets_with_a_configuration_are_one_folder(tmp_path):
    for number, name in enumerate(("coil/a", "coil_a", "a" * 300, "\u202e")):
        run = tmp_path / "runs" / str(number)
        write_run(run, dataset=name, accuracy=0.5 + number / 10)
    page = write_report(f"{tmp_path}/runs/*", str(tmp_path / "out"))
    names = sorted(x.name for x in page.parent.glob("*_results.csv"))
    assert len(names) == 4 and "coil_a_lenet_300_100_results.csv" in names
    assert "coil_a_lenet_300_100_2_results.csv" in names
    assert all(x.is_file() for x in page.parent.iterdir())


@pytest.mark.parametrize(
    "name", ["r[1]", "r*", "r?", "[a-b", "a,b", "a[1],b*", "r[[]1]"]
)
def test_a_folder_is_found_by_its_name(tmp_path, name):
    write_run(tmp_path / name)
    # What the name matches as a pattern.
    write_run(tmp_path / "r1", seed=1)
    found, left_out = read_runs(str(tmp_path / name))
    assert [x.path.name for x in found] == [name] and not left_out


def test_patterns_match_within_folders_with_marks(tmp_path):
    for number in range(2):
        write_run(tmp_path / "all[1]" / f"r{number}", seed=number)
    write_run(tmp_path / "all1" / "r3", seed=3)
    for pattern in ("all[1]/*", "all[1]/r?", "all[[]1]/r[0-1]", "al*]/r*"):
        found, _ = read_runs(f"{tmp_path}/{pattern}")
        assert [x.seed for x in found] == [0, 1], pattern
    found, _ = read_runs(f"{tmp_path}/all[1]/r0, {tmp_path}/all1/*/")
    assert [x.seed for x in found] == [0, 3]


@pytest.mark.parametrize("wrong", [None, 3, ["runs/*"], b"runs"])
def test_what_is_no_text_is_refused(root, wrong):
    with pytest.raises(ValueError, match="`runs` must be a text. Received"):
        compare(wrong)
    with pytest.raises(ValueError, match="`out` must be a path. Received"):
        write_report(f"{root}/good", wrong)
    with pytest.raises(ValueError, match="`model_path` must be a path"):
        evaluate(wrong)
    with pytest.raises(ValueError, match="`run_dir` must be a path"):
        export_run(wrong, "npz")
    with pytest.raises(ValueError, match="`format` must be one of"):
        export_run(str(root / "good"), wrong)


def test_a_null_byte_is_in_no_path(root):
    with pytest.raises(ValueError, match="`out` must be .* null byte"):
        write_report(f"{root}/good", "a\0b")
    with pytest.raises(ValueError, match="`model_path` must be .* null byte"):
        evaluate("a\0b")


def test_names_that_match_nothing_are_listed(root):
    _, left_out = read_runs(f"{root}/good,{root}/godo, {root}/x*/")
    assert [(x.name, x.reason) for x in left_out] == [
        (f"{root}/{name}", "matches no folder") for name in ("godo", "x*")
    ]


@pytest.mark.parametrize("runs", ["", ",", "a\0b", "x" * 5000, "[", "\ud800*"])
def test_what_matches_nothing_is_refused(runs):
    with pytest.raises(ValueError, match="`runs` must match .*no folder"):
        read_runs(runs)
