"""The method of `docs/own_method.md`: a file and a line, and nothing else."""

import json
import shutil

import keras
import numpy as np
import pytest

from dsr_tf.layers import sparse_layers
from tests.command_line import ROOT
from tests.command_line import main
from tests.test_docs import DOCS
from tests.test_docs import fenced
from tests.test_docs import run

pytestmark = pytest.mark.slow

PAGE = DOCS / "own_method.md"
NAME = "partly_in_place"
FILE = fenced(PAGE, "python")[0]
LINE = fenced(PAGE, "text")[0]


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """Returns a folder with the program, to which the method was added."""
    folder = tmp_path_factory.mktemp("copy")
    pycache = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "dsr_tf", folder / "dsr_tf", ignore=pycache)
    shutil.copy(ROOT / "main.py", folder)
    methods = folder / "dsr_tf" / "methods"
    (methods / f"{NAME}.py").write_text(FILE)
    records = methods / "records.py"
    first = "_PLACES = (\n"
    assert records.read_text().count(first) == 1
    records.write_text(records.read_text().replace(first, first + LINE))
    return folder


def test_a_method_is_a_short_file_and_a_line():
    assert len(FILE.splitlines()) <= 40
    assert len(LINE.splitlines()) == 1
    assert FILE.count('"""') >= 6


def test_command_line_runs_and_compares_it(copy):
    ran = main(
        f"--method={NAME}",
        "--in_place=0.25",
        "--drop_fraction=0:0.2,1:0.1",
        "--epochs=2",
        "--train_examples=300",
        "--period=1",
        folder=copy,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    (path,) = (copy / "runs").iterdir()
    name = f"digits_lenet_300_100_{NAME}_s0.9_e2_n300_seed0_period=1_in_place="
    assert path.name.startswith(name)
    written = (path / "flags.cfg").read_text().splitlines()
    assert written[-2:] == ["--drop_fraction=0:0.2,1:0.1", "--in_place=0.25"]
    summary = json.loads((path / "summary.json").read_text())
    assert summary["num_active"] == summary["budget"] == 5020
    assert summary["reallocations"] == 6 and summary["weights_moved"] > 0
    # Weights went from tensor to tensor.
    counts = [layer["num_active"] for layer in summary["layers"]]
    assert counts != [
        layer["num_active_at_start"] for layer in summary["layers"]
    ]
    compared = main("--mode=compare", folder=copy)
    assert (compared.returncode, compared.stderr) == (0, "")
    assert "SET, partly moved" in compared.stdout


def test_help_and_bad_values_know_it(copy):
    text = " ".join(main("--help", folder=copy).stdout.split())
    assert f"{NAME}: SET, in part from tensor to tensor" in text
    assert f"--in_place {NAME}: fraction of it that stays in its ten" in text
    # One flag of several methods.
    assert text.count("--drop_fraction ") == 1
    assert f"--drop_fraction {NAME}: fraction to replace. set, rigl, " in text
    refused = main("--in_place=1", folder=copy)
    assert refused.returncode == 2
    assert "--in_place=1: must be a number from 0, below 1" in refused.stderr


def test_code_of_the_page_conserves_the_budget(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = run(PAGE)
    moved = names["moves"].state
    assert moved.num_reallocations > 1 and moved.weights_moved > 0
    assert set(names["history"].history["active_weights"]) == {names["budget"]}
    layers = sparse_layers(names["model"])
    assert sum(layer.num_active for layer in layers) == names["budget"]
    for layer in layers:
        kernel = keras.ops.convert_to_numpy(layer.kernel)
        mask = keras.ops.convert_to_numpy(layer.kernel_mask)
        assert not np.any(kernel[~mask])
