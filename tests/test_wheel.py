"""What a user installs: the wheel, in an environment of its own."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import dsr_tf
from tests.command_line import ROOT

pytestmark = pytest.mark.slow

# Folders of a checkout that Git does not hold, and its own.
LEFT_OUT = {".git", ".venv", "build", "dsr_tf.egg-info", "runs", "site"}
WHERE = "import dsr_tf; print(dsr_tf.__file__, dsr_tf.__version__)"


def run(*command, folder):
    """Runs a command in a folder, and returns what it prints."""
    ended = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        # Else the checkout might be found there.
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, (ended.stdout, ended.stderr)
    return ended.stdout


def built(folder, *what):
    """Builds a copy of the checkout; returns the folder of what came of it."""
    shutil.copytree(
        *(ROOT, folder / "source"),
        ignore=lambda path, _: LEFT_OUT if Path(path) == ROOT else (),
    )
    run(
        *(sys.executable, "-m", "build", "--no-isolation", *what),
        *("--outdir", folder / "dist", folder / "source"),
        folder=folder,
    )
    return folder / "dist"


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """Returns the folder of the source distribution, and the wheel of that."""
    return built(tmp_path_factory.mktemp("both"))


def content(path):
    """Returns the files of a wheel."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def wheel(folder):
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_has_all_files_of_the_package(dist):
    files = [x for x in (ROOT / "dsr_tf").rglob("*") if x.is_file()]
    expected = {
        path.relative_to(ROOT).as_posix(): path.read_bytes()
        for path in files
        if "__pycache__" not in path.parts
    }
    found = content(wheel(dist))
    package = {k: v for k, v in found.items() if k.startswith("dsr_tf/")}
    assert package == expected
    information = f"dsr_tf-{dsr_tf.__version__}.dist-info/"
    rest = found.keys() - package.keys()
    assert rest and all(name.startswith(information) for name in rest)


def test_the_source_distribution_builds_the_same_wheel(dist, tmp_path):
    of_checkout = built(tmp_path, "--wheel")
    assert content(wheel(dist)) == content(wheel(of_checkout))


def test_the_source_distribution_holds_no_half_of_the_tests(dist):
    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = archive.getnames()
    assert f"dsr_tf-{dsr_tf.__version__}/pyproject.toml" in names
    assert not [name for name in names if "/tests/" in name]


@pytest.fixture(scope="module")
def programs(dist, tmp_path_factory):
    """Returns the programs of an environment with the wheel.

    What the wheel needs comes from the environment of the tests, to which a
    `.pth` file leads; the files of that kind there, such as one that leads on
    to this checkout, are not read.
    """
    folder = tmp_path_factory.mktemp("venv")
    venv = [sys.executable, "-m", "venv", "--without-pip", folder]
    run(*venv, folder=folder)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    install = ["install", "--quiet", "--no-deps", "--no-index", wheel(dist)]
    pip = [sys.executable, "-m", "pip", "--python", programs / "python"]
    run(*pip, *install, folder=folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    others = [x for x in sys.path if Path(x).name == packages.name]
    (packages / "others.pth").write_text("\n".join(others))
    return programs


def test_the_wheel_is_what_is_installed(programs, tmp_path):
    path, version = run(
        *(programs / "python", "-c", WHERE), folder=tmp_path
    ).split()
    assert Path(path).is_relative_to(programs.parent)
    assert version == dsr_tf.__version__


def test_the_installed_program_trains_and_reports(programs, tmp_path):
    assert "--sparsity" in run(programs / "dsr-tf", "--help", folder=tmp_path)
    train = ["-m", "dsr_tf", "--epochs=1", "--run_dir=run"]
    printed = run(programs / "python", *train, folder=tmp_path)
    assert printed.startswith("epoch 1/1")
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["num_active"] == summary["budget"]
    report = ["--mode=report", "--runs=run", "--out=out"]
    run(programs / "dsr-tf", *report, folder=tmp_path)
    page = (tmp_path / "out" / "index.html").read_text()
    style = ROOT / "dsr_tf" / "reports" / "templates" / "page.css"
    assert style.read_text().strip() in page
