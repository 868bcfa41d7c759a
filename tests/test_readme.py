import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_python_of_the_readme_runs_as_printed():
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert blocks
    for block in blocks:
        names = {}
        exec(compile(block, "README.md", "exec"), names)
        assert names["moves"].state.weights_moved > 0
        accuracy = names["model"].history.history["accuracy"][-1]
        assert accuracy > 0.9


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
