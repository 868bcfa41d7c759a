"""The trainings that defaults of callbacks are chosen by."""

import json

import pytest

from benchmarks import defaults


def test_each_setting_changes_one_thing():
    runs = defaults.planned(["mlp"], ["sgd"], defaults.METHODS, [0])
    assert len(runs) == len(set(runs)) == 1 + 3 * 5
    for run in runs[1:]:
        assert run.share == defaults.SHARE or run.times == defaults.TIMES


def test_what_a_file_holds_is_not_run_again(tmp_path, monkeypatch):
    trained = []
    monkeypatch.setattr(defaults, "accuracy", lambda x: trained.append(x) or 9)
    path = tmp_path / "found.json"
    runs = defaults.planned(["mlp"], ["sgd", "adam"], ["static", "set"], [0])
    defaults.run_all(runs[:3], path)
    records = defaults.run_all(runs, path)
    assert trained == runs
    assert json.loads(path.read_text()) == records


def test_table_has_means_over_seeds_and_trainings(capsys):
    rows = [
        {"method": "set", "share": 0.3, "times": 100, "seed": seed}
        | {"network": network, "optimizer": "sgd", "accuracy": accuracy}
        for network, seed, accuracy in (
            ("mlp", 0, 90.0),
            ("mlp", 1, 92.0),
            ("transformer", 0, 81.0),
        )
    ]
    defaults.show(rows)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "| set | 0.3 | 100 | 91.00 | 81.00 | 86.00 |"


@pytest.mark.parametrize("flag", ["networks", "optimizers", "methods"])
def test_unknown_names_are_refused(monkeypatch, capsys, flag):
    monkeypatch.setattr("sys.argv", ["defaults", f"--{flag}=vgg", "--quick"])
    with pytest.raises(SystemExit):
        defaults.main()
    assert "not vgg" in capsys.readouterr().err
