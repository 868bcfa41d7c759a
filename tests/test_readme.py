import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def run(block):
    names = {}
    exec(compile(block, "README.md", "exec"), names)
    return names


def test_python_of_the_readme_runs_as_printed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (block,) = blocks
    names = run(block)
    assert names["moves"].state.weights_moved > 0
    assert names["model"].history.history["accuracy"][-1] > 0.9
    assert (tmp_path / "small" / "saved_model.pb").exists()


def test_readme_is_short():
    assert len(README.splitlines()) <= 200


def test_table_of_the_pages_is_what_is_printed(capsys):
    block, shown = re.search(
        r"```python\n([^`]*dsr_tf\.summary.*?)```\n\n```text\n(.*?)```",
        (ROOT / "docs" / "layers.md").read_text(),
        re.DOTALL,
    ).groups()
    run(block)
    assert capsys.readouterr().out == shown


def test_flagfiles_of_the_readme_exist():
    named = re.findall(r"--flagfile=(flags/\S+)", README)
    assert named
    assert all((ROOT / name).exists() for name in named)


def test_ci_runs_the_readmes_commands():
    install, tests = re.search(
        r"(python -m pip install .*) && (python -m pytest)", README
    ).groups()
    ci = (ROOT / ".ci" / "run").read_text()
    assert tests in ci and install.replace("install", "install --quiet") in ci
