"""The experiments of a table, in the order in which they can run."""

from pathlib import Path

import pytest

from benchmarks import suite
from benchmarks.training import paper_config

OUT = Path("out")


def names(*only):
    return [x.name for x in suite.experiments("mnist_lenet", only)]


def test_what_others_begin_from_runs_before_them():
    assert names("compressed_99", "first_weights_99") == [
        "mnist_lenet_dense",
        "mnist_lenet_compressed_99",
        "mnist_lenet_dsr_99",
        "mnist_lenet_first_weights_99",
    ]


@pytest.mark.parametrize(
    "table", ["mnist_lenet", "cifar10_wrn_28_2", "imagenet_resnet50"]
)
def test_all_of_a_table_comes_once(table):
    found = [x.name for x in suite.experiments(table, ["*"])]
    files = Path("flags").glob(f"{table}_*.cfg")
    assert sorted(found) == sorted(path.stem for path in files)


@pytest.mark.parametrize("path", sorted(Path("flags").glob("*.cfg")), ids=str)
def test_every_file_says_which_run_it_begins_from(path):
    (name, found), *before = suite._with_first(path.stem)
    assert name == path.stem
    begins = "_from=runs/" in path.read_text()
    assert bool(found.taken) == bool(before) == begins
    for first, _ in before:
        assert Path(f"flags/{first}.cfg").is_file()


def test_a_seed_begins_from_the_run_of_its_own_seed():
    *_, last = suite.experiments("mnist_lenet", ["first_weights_99"])
    assert last.command(OUT, 3, ["--epochs=1"])[2:] == [
        "--flagfile=flags/mnist_lenet_first_weights_99.cfg",
        "--seed=3",
        "--run_dir=out/mnist_lenet_first_weights_99_seed3",
        "--masks_from=out/mnist_lenet_dsr_99_seed3",
        "--weights_from=out/mnist_lenet_dsr_99_seed3",
        "--epochs=1",
    ]


@pytest.fixture
def ran(monkeypatch):
    """Returns the flags of what is run, of which each fails."""
    found = []

    class Failed:
        returncode = 1

    def run(command):
        found.append(command[3:])
        return Failed

    monkeypatch.setattr(suite.subprocess, "run", run)
    return found


@pytest.fixture
def dense():
    return suite.experiments("mnist_lenet", ["dense"])


def finish(experiment, out, *more):
    """Makes the folder of a finished run of seed 0."""
    folder = out / f"{experiment.name}_seed0"
    folder.mkdir()
    config = paper_config(experiment.name, *experiment.given(out, 0, more))
    (folder / "flags.cfg").write_text(config.flags)
    (folder / "model.keras").touch()
    (folder / "summary.json").write_text('{"epochs": 1}')


def test_finished_runs_are_passed_over_and_failures_told(tmp_path, dense, ran):
    finish(*dense, tmp_path)
    failed = suite.run_all(dense, [0, 1], tmp_path, [])
    assert [flags[0] for flags in ran] == ["--seed=1"]
    (command,) = failed
    assert command.startswith("python main.py --flagfile=flags/mnist_lenet_den")


@pytest.mark.parametrize("more", [["--epochs=3"], ["--no_such_flag"]])
def test_runs_of_other_settings_are_not_taken_for_these(
    tmp_path, dense, ran, more
):
    finish(*dense, tmp_path)
    assert suite.run_all(dense, [0], tmp_path, more)
    assert ran[0][-1:] == more


def test_how_runs_are_computed_is_no_other_setting(tmp_path, dense, ran):
    finish(*dense, tmp_path, "--epochs=3")
    more = ["--epochs=3", "--strategy=mirrored"]
    assert suite.run_all(dense, [0], tmp_path, more) == []
    assert ran == []


@pytest.mark.parametrize(
    "more", [["mnist_lenet"], ["--seeds=1"], ["--", "--epochs=1"]]
)
def test_quick_takes_nothing_else(monkeypatch, capsys, more):
    monkeypatch.setattr(suite.sys, "argv", ["suite", "--quick", *more])
    with pytest.raises(SystemExit, match="2"):
        suite.main()
    assert "--quick takes nothing else" in capsys.readouterr().err
