"""Every page of `docs/`: its code runs, and what it names is there."""

import json
import pydoc
import re
import runpy
import shlex
import signal

import pytest
from absl import flags
from absl.testing import flagsaver

import dsr_tf
from dsr_tf.cli import entry
from dsr_tf.layers import sparse_layers
from tests.command_line import ROOT
from tests.processes import finish
from tests.processes import start

DOCS, EXAMPLES = ROOT / "docs", ROOT / "examples"
PAGES = sorted(DOCS.glob("*.md"))
# It has a test of its own.
OTHERS = [page for page in PAGES if page.stem != "own_method"]
# What they do takes half a minute.
LONG = ("export", "coming_from_tfmot")
READ = [ROOT / "README.md", *PAGES]


def name(path):
    return path.stem


def fenced(page, language):
    pattern = rf"```{language}\n(.*?)```"
    return re.findall(pattern, page.read_text(), re.DOTALL)


def run(page):
    """Runs the blocks of a page, one after the other, as one script."""
    names = {"__name__": page.stem}
    handler = signal.getsignal(signal.SIGTERM)
    try:
        for block in fenced(page, "python"):
            exec(compile(block, page.name, "exec"), names)
    finally:
        signal.signal(signal.SIGTERM, handler)
    return names


def commands(page):
    """Returns all of `python main.py ...`: fenced, indented and inline."""
    text = page.read_text().replace("\\\n", " ")
    lines = re.findall(
        r"^(?:    )?(?:\w+=\S+ )*(python main\.py.*)$", text, re.M
    )
    inline = re.findall(r"`(python main\.py[^`]*)`", text)
    return lines + [" ".join(command.split()) for command in inline]


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[pytest.mark.slow] * (page.stem in LONG))
        for page in OTHERS
    ],
    ids=name,
)
def test_python_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # A page may write a module, and use it.
    monkeypatch.syspath_prepend(tmp_path)
    assert run(page)


def own_commands():
    """Returns the commands of the page on one's own data."""
    blocks = fenced(DOCS / "own_data.md", "sh")
    lines = [line for block in blocks for line in block.splitlines()]
    assert lines and all(line.startswith("dsr-tf ") for line in lines)
    return [shlex.split(line)[1:] for line in lines]


def test_commands_on_own_data_are_ones_that_the_program_takes():
    for arguments in own_commands():
        with flagsaver.flagsaver():
            assert entry.parse_flags(["dsr-tf", *arguments]) == ["dsr-tf"]


@pytest.mark.slow
def test_commands_on_own_data_run(starter, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    run(DOCS / "own_data.md")
    for arguments in own_commands():
        ended = starter.main(*arguments, cwd=tmp_path)
        assert ended.returncode == 0, (arguments, ended.stderr)
    for name in ("report/index.html", "runs/first/model.tflite"):
        assert (tmp_path / name).is_file()
    accuracy, active = {}, {}
    for path in (tmp_path / "runs").glob("*/summary.json"):
        summary = json.loads(path.read_text())
        accuracy[path.parent.name] = summary["test_accuracy"]
        active[path.parent.name] = summary["num_active"]
        assert summary["num_active"] == summary["budget"]
    assert min(accuracy[x] for x in ("table", "pruned", "further")) > 0.6
    assert active["further"] == active["table"] > 1.9 * active["sparser"]


@pytest.mark.slow
def test_custom_loops_run_on_two_replicas(starter, tmp_path):
    page = DOCS / "custom_loops.md"
    finish(start(starter, "page.py", page, tmp_path))


@pytest.mark.slow
def test_transfer_learning_runs_from_top_to_bottom(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = runpy.run_path(str(EXAMPLES / "vision_transfer.py"))
    assert names["accuracy"] > 0.8
    layers = sparse_layers(names["sparse"])
    assert sum(layer.num_active for layer in layers) == names["budget"]
    assert (tmp_path / "transferred" / "saved_model.pb").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "script, least",
    [("custom_loop", 0.95), ("phone", 0.95), ("transformer", 0.85)],
)
def test_examples_run_from_top_to_bottom(script, least, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = runpy.run_path(str(EXAMPLES / f"{script}.py"))
    accuracy = names["accuracy"]
    reached = accuracy if isinstance(accuracy, float) else accuracy.result()
    assert reached > least
    assert script != "phone" or (tmp_path / "phone" / "int8.tflite").exists()


@pytest.mark.parametrize("page", READ, ids=name)
def test_commands_of_a_page_are_ones_that_main_takes(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    for command in commands(page):
        arguments = shlex.split(command.split(" && ")[0])[1:]
        # `...` and capitals, such as RUN, stand for what the reader names.
        given = [x for x in arguments if "..." not in x]
        given = [x for x in given if "flagfile=RUN" not in x and x != "--help"]
        with flagsaver.flagsaver():
            left = entry.parse_flags(given)
        assert left == ["main.py"], command


@pytest.mark.parametrize("page", READ, ids=name)
def test_flags_that_a_page_names_exist(page):
    text = page.read_text()
    # Those of a method that the page adds are fields of its settings.
    known = {*flags.FLAGS, *re.findall(r"^    (\w+): ", text, re.M)}
    for flag in re.findall(r"`--(\w+)", text):
        assert flag in known or flag.removeprefix("no") in known, flag


@pytest.mark.parametrize("page", READ, ids=name)
def test_files_that_a_page_names_exist(page):
    text = page.read_text()
    links = re.findall(r"\]\(([^)#\s]+)", text)
    for link in links:
        if not link.startswith("https://"):
            assert (page.parent / link).exists(), link
    named = re.findall(r"`((?:dsr_tf|docs|flags|results)/[\w./]+)`", text)
    for path in named:
        assert (ROOT / path).exists(), path


def test_readme_links_every_page():
    readme = (ROOT / "README.md").read_text()
    assert len(PAGES) == 18
    assert all(f"(docs/{page.name})" in readme for page in PAGES)
    scripts = sorted(EXAMPLES.glob("*.py"))
    assert len(scripts) == 4
    assert all(f"(examples/{x.name})" in readme for x in scripts)


def test_every_public_name_has_its_entry():
    rooms = "callbacks layers methods models data distribute".split()
    names = [f"dsr_tf.{x}" for x in dsr_tf.__all__ if x[0].isupper()]
    names += [f"dsr_tf.{x}" for x in ("densify", "export", "hash_kernels")]
    names += [f"dsr_tf.{x}" for x in ("load_dense_weights", "sparsify")]
    names += ["dsr_tf.summary"]
    for room in rooms:
        names += [f"dsr_tf.{room}.{x}" for x in getattr(dsr_tf, room).__all__]
    entries = [
        entry
        for page in (DOCS / "api").glob("*.md")
        for entry in re.findall(r"^::: (\S+)$", page.read_text(), re.M)
    ]
    assert {x for x in entries if ".schedules." not in x} == set(names)
    assert all(pydoc.locate(entry) for entry in entries)
