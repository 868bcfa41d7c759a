"""Every experiment of `flags/`: it says what it is, parses, and builds."""

import functools
import re
from pathlib import Path

import pytest
from absl import flags
from absl.testing import flagsaver

from dsr_tf import cli
from dsr_tf.layers import budgeted_layers
from dsr_tf.methods.context import Extent
from dsr_tf.runs import build
from dsr_tf.runs.flagfile import OWNERS
from dsr_tf.runs.flagfile import parsed_flags

ROOT = Path(__file__).parents[1]
FLAGFILES = sorted((ROOT / "flags").glob("*.cfg"))
SHAPES = {
    "mnist": ((28, 28, 1), 10),
    "cifar10": ((32, 32, 3), 10),
    "imagenet2012": ((224, 224, 3), 1000),
}


def parsed(monkeypatch, *arguments):
    """Parses flags as the command line does, and forgets them again."""
    monkeypatch.chdir(ROOT)
    with flagsaver.flagsaver():
        flags.FLAGS(["main.py", *arguments])
        return cli.config()


def run_dir(monkeypatch, *arguments):
    return parsed(monkeypatch, *arguments).execution.run_dir


@pytest.fixture(scope="module")
def built_once():
    """Lets the last networks be taken again where the arguments are equal.

    Most methods begin with the same one.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name, make in list(build.MODELS.items()):
            patch.setitem(build.MODELS, name, functools.lru_cache(4)(make))
        yield


@functools.cache
def networks(sparsity, method, model, depth, width, logits, granularity, data):
    """Builds what a configuration describes, once for equal ones."""
    arguments = ["main.py", f"--sparsity={sparsity}", f"--method={method}"]
    arguments += [f"--model={model}", f"--depth={depth}"]
    arguments += [f"--granularity={granularity}", "--init_from=run"]
    arguments += [f"--width={width}"] if width else []
    arguments += ["--sparse_logits"] if logits else []
    if method == "hashed":
        arguments.remove("--init_from=run")
    with flagsaver.flagsaver():
        flags.FLAGS(arguments)
        config = cli.config()
    network = build.build_model(config, *SHAPES[data])
    trained = sum(v.shape.num_elements() for v in network.trainable_variables)
    return build.budget(config, network), len(budgeted_layers(network)), trained


def test_there_is_one_for_every_experiment():
    names = {path.stem for path in FLAGFILES}
    sparsities = {
        "mnist_lenet": (99, 98, 97, 95, 90),
        "cifar10_wrn_28_2": (90, 80, 70, 60, 50),
        "imagenet_resnet50": (90, 80),
    }
    methods = "thin_dense static set deepr hashed compressed dsr".split()
    for experiment, values in sparsities.items():
        assert f"{experiment}_dense" in names
        for value in values:
            for method in methods:
                assert f"{experiment}_{method}_{value}" in names
    newer = {
        "mnist_lenet": (99, 98),
        "cifar10_wrn_28_2": (90,),
        "imagenet_resnet50": (90, 80),
    }
    for experiment, values in newer.items():
        for value in values:
            for method in "rigl itop snfs granet mest chts".split():
                assert f"{experiment}_{method}_{value}" in names


@pytest.mark.parametrize("path", FLAGFILES, ids=lambda p: p.stem)
def test_flagfile_says_what_it_is(path):
    text = path.read_text()
    lines = text.splitlines()
    assert lines[0].startswith("# ")
    assert f"python main.py --flagfile=flags/{path.name}" in text
    assert "# Published: " in text and "# Time: " in text
    assert all(line.startswith(("#", "--")) for line in lines)


def is_slow(path):
    # To build ResNet-50 takes some seconds.
    return path.stem.startswith("imagenet") and "dsr" not in path.stem


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(x, id=x.stem, marks=[pytest.mark.slow] * is_slow(x))
        for x in FLAGFILES
    ],
)
@pytest.mark.usefixtures("built_once")
def test_flagfile_parses_and_builds_its_network(path, monkeypatch):
    config = parsed(monkeypatch, f"--flagfile={path}")
    network = config.network
    budget, num_layers, _ = networks(
        config.budget.sparsity,
        config.budget.method,
        network.model,
        network.depth,
        network.width,
        network.sparse_logits,
        config.budget.granularity,
        config.data.dataset,
    )
    reallocation = build.build_reallocation(config)
    if config.record.kernels == "dense":
        assert num_layers == 0
        return
    layers = {"lenet_300_100": 3, "mlp": 4, "wide_resnet": 24, "resnet50": 49}
    depth = layers[network.model] if network.depth == 28 else 6
    assert num_layers == depth
    if reallocation:
        size = 9 if config.budget.granularity == "kernel" else 1
        extent = Extent("all", budget // size, 2 * budget, size)
        reallocation.method.rule.check([extent])


@pytest.mark.parametrize(
    "name, parameters",
    [("99", 3482), ("98", 6144), ("97", 8806), ("95", 14_130), ("90", 27_440)],
)
def test_thin_networks_have_no_more_parameters(name, parameters, monkeypatch):
    path = ROOT / "flags" / f"mnist_lenet_thin_dense_{name}.cfg"
    config = parsed(monkeypatch, f"--flagfile={path}")
    network = build.build_model(config, *SHAPES["mnist"])
    count = sum(v.shape.num_elements() for v in network.trainable_variables)
    assert 0.8 * parameters < count <= parameters


def test_runs_that_build_on_others_name_their_folders(monkeypatch):
    folders = {run_dir(monkeypatch, f"--flagfile={path}") for path in FLAGFILES}
    # No two experiments share one, and no quick try has that of the whole run.
    assert len(folders) == len(FLAGFILES)
    quick = "--epochs=1", "--train_examples=2000"
    tries = {
        run_dir(monkeypatch, f"--flagfile={path}", *quick) for path in FLAGFILES
    }
    assert not tries & folders
    for path in FLAGFILES:
        begin = parsed(monkeypatch, f"--flagfile={path}").start
        for needed in (begin.init_from, begin.masks_from):
            assert needed is None or needed in folders
        if begin.init_from or begin.masks_from:
            first = re.search(r"# Run (\S+\.cfg) first", path.read_text())
            first = run_dir(
                monkeypatch, f"--flagfile={ROOT / 'flags' / first[1]}"
            )
            assert first in (begin.init_from, begin.masks_from)


@pytest.mark.parametrize(
    "arguments, left_out",
    [
        ((), ["depth", "sparse_logits"]),
        (("--model=wide_resnet",), []),
        (("--model=a:b",), ["depth", "sparse_logits", "momentum"]),
        (("--optimizer=adamw",), ["depth", "sparse_logits", "momentum"]),
    ],
)
def test_settings_of_other_networks_and_optimizers_are_left_out(
    monkeypatch, arguments, left_out
):
    text = parsed(monkeypatch, *arguments).flags
    assert [x for x in OWNERS if x not in text] == sorted(
        left_out, key=list(OWNERS).index
    )
    # Files of earlier versions have them all.
    older = text + "--depth=28\n--nosparse_logits\n--momentum=0.9\n"
    assert parsed_flags(older) == parsed_flags(text)
