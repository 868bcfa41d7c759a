"""Optimizers and learning rates of runs, from their flags."""

import csv

import keras
import pytest
from absl import flags
from absl.testing import flagsaver

from dsr_tf import cli
from dsr_tf import runs
from dsr_tf.runs import build
from dsr_tf.runs.optimizers import OPTIMIZERS
from dsr_tf.runs.optimizers import build_optimizer
from dsr_tf.schedules import ByEpoch
from dsr_tf.schedules import ByShare
from dsr_tf.schedules import Constant
from dsr_tf.schedules import Cosine
from dsr_tf.schedules import Cubic
from dsr_tf.schedules import Exponential
from dsr_tf.schedules import Linear
from dsr_tf.schedules import Moment
from dsr_tf.training import WarmUp
from tests.configs import config


def settings(*arguments):
    """Returns the settings of a run, as the command line has them."""
    with flagsaver.flagsaver():
        flags.FLAGS(["main.py", *arguments])
        return cli.config()


def optimizer(steps_per_epoch=10, **changes):
    return build_optimizer(config("", **changes).training, steps_per_epoch)


def rates(found, steps):
    """Returns the learning rate before each of some steps."""
    found.build([keras.Variable(0.0)])
    result = []
    for step in steps:
        found.iterations.assign(step)
        result.append(float(found.learning_rate))
    return result


@pytest.mark.parametrize(
    "schedule",
    [
        Constant(0.3),
        ByEpoch(((0, 0.3),)),
        ByEpoch(((0, 0.3), (2, 0.1), (3, 0.2))),
        ByShare(((0, 0.3), (0.5, 0.1))),
        Linear(0.3, 0.1),
        Linear(0.1, 0.3, 0.5),
        Cosine(0.3, 0.0),
        Cosine(0.3, 0.06, 20),
        Cubic(0.3, 0.1, 0.75),
        Exponential(0.3, 0.003),
    ],
    ids=str,
)
def test_rates_are_those_of_the_schedule(schedule):
    steps = range(40)
    found = rates(optimizer(epochs=4, learning_rate=schedule), steps)
    expected = [float(schedule(Moment(x, x // 10, 40))) for x in steps]
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_an_exponential_rate_goes_on_to_the_end():
    with pytest.raises(ValueError, match="`learning_rate` must go on to the"):
        optimizer(learning_rate=Exponential(0.3, 0.1, 0.5))


@pytest.mark.parametrize("schedule", [Constant(0.4), Linear(0.4, 0.0)])
def test_rates_rise_at_first(schedule):
    given = {"epochs": 4, "learning_rate": schedule}
    plain = rates(optimizer(**given), range(40))
    warm = rates(optimizer(**given, warmup_epochs=0.5), range(40))
    factors = [min((step + 1) / 5, 1.0) for step in range(40)]
    expected = [a * b for a, b in zip(plain, factors, strict=True)]
    assert warm == pytest.approx(expected, abs=1e-7)


def test_a_rising_rate_is_saved_and_loaded():
    for rate in (0.1, keras.optimizers.schedules.CosineDecay(0.1, 10)):
        found = keras.optimizers.SGD(WarmUp(rate, 4))
        config = keras.saving.serialize_keras_object(found)
        again = keras.saving.deserialize_keras_object(config)
        assert rates(again, range(8)) == rates(found, range(8))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_is_built(name):
    plain = optimizer(optimizer=name)
    assert type(plain) is OPTIMIZERS[name]
    assert plain.weight_decay == (0.004 if name == "adamw" else None)
    assert optimizer(optimizer=name, weight_decay=0.1).weight_decay == 0.1


def test_the_usual_rate_depends_on_the_optimizer():
    usual = settings().training.learning_rate
    assert isinstance(usual, ByEpoch) and usual.entries[0] == (0, 0.1)
    adam = settings("--optimizer=adam")
    assert adam.training.learning_rate == Cosine(1e-3, 0.0)
    assert "--learning_rate=cosine:0.001:0.0" in adam.flags.splitlines()
    assert adam.execution.run_dir.endswith("seed0_optimizer=adam")
    own = settings("--optimizer=adam", "--learning_rate=0.01")
    assert own.training.learning_rate.values == (0.01,)


def test_usual_settings_are_not_written():
    text = settings().flags
    for name in ("optimizer", "warmup", "decay", "jit", "mixed", "standard"):
        assert name not in text
    more = settings(
        "--optimizer=adamw",
        "--weight_decay=0.01",
        "--warmup_epochs=2",
        "--jit=off",
        "--mixed_precision=bfloat16",
        "--nostandardize",
        "--noaugment",
    )
    assert {
        "--optimizer=adamw",
        "--weight_decay=0.01",
        "--warmup_epochs=2.0",
        "--jit=off",
        "--mixed_precision=bfloat16",
        "--nostandardize",
        "--noaugment",
    } <= set(more.flags.splitlines())


def test_what_xla_compiles_may_be_said():
    assert build.jit_compile(config("", jit="on"), 1) is True
    assert build.jit_compile(config("", jit="off"), 2) is False
    with pytest.raises(ValueError, match="`jit` must be 'auto' or 'off' on"):
        build.jit_compile(config("", jit="on"), 2)


def test_rates_by_shares_keep_a_run_from_more_epochs():
    for rate, names in (
        (Cosine(0.1, 0.0), ["learning_rate"]),
        (ByShare(((0, 0.1), (0.5, 0.01))), ["learning_rate"]),
        (Cosine(0.1, 0.0, 100), []),
        (ByEpoch(((0, 0.1), (2, 0.01))), []),
    ):
        assert build.by_share(config("", learning_rate=rate)) == names


def test_a_run_learns_by_adamw_under_a_cosine(tmp_path):
    summary = runs.run(
        config(
            tmp_path,
            optimizer="adamw",
            weight_decay=0.01,
            learning_rate=Cosine(0.01, 0.0),
            warmup_epochs=0.5,
            augment=False,
            epochs=2,
        )
    )
    rows = list(csv.DictReader((tmp_path / "metrics.csv").open()))
    assert float(rows[-1]["accuracy"]) > 0.8
    assert summary["num_active"] == summary["budget"]


def start(tmp_path, *lines):
    """Writes the flags of an earlier run, and returns its folder."""
    given = ["--method=set", "--sparsity=0.75", "--model=wide_resnet"]
    given += ["--depth=10", "--width=0.25", "--nosparse_logits"]
    given += ["--granularity=kernel", "--dataset=cifar10", "--learning_rate=9"]
    (tmp_path / "flags.cfg").write_text("\n".join([*given, *lines]) + "\n")
    return f"--init_from={tmp_path}"


def test_a_run_takes_over_what_it_starts_from(tmp_path):
    found = settings(start(tmp_path, "--storage=masks"))
    assert (found.network.model, found.network.depth) == ("wide_resnet", 10)
    assert found.network.width == 0.25
    assert found.budget.sparsity == 0.75
    assert found.budget.granularity == "kernel"
    assert found.data.dataset == "cifar10"
    # How it is trained is its own.
    assert found.training.learning_rate.entries[0] == (0, 0.1)
    assert found.budget.method == "dsr"
    (tmp_path / "model.keras").touch()
    file = settings(f"--init_from={tmp_path / 'model.keras'}")
    assert file.budget.sparsity == 0.75


def test_what_is_given_is_not_taken_over(tmp_path):
    begin = start(tmp_path)
    found = settings(begin, "--sparsity=0.95", "--dataset=digits")
    assert found.budget.sparsity == 0.95
    assert found.budget.granularity == "weight"
    assert found.data.dataset == "digits"
    assert found.network.model == "wide_resnet"
    own = settings(begin, "--model=lenet_300_100")
    assert (own.network.model, own.network.depth) == ("lenet_300_100", 28)


def test_masks_have_the_budget_of_their_own_run(tmp_path):
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "flags.cfg").write_text(
        "--method=dsr\n--sparsity=0.5\n"
    )
    masks = f"--masks_from={tmp_path / 'masks'}"
    assert settings(start(tmp_path), masks).budget.sparsity == 0.5
    random = settings(masks, "--weights_from=random")
    assert random.budget.sparsity == 0.5


@pytest.mark.parametrize(
    "text", ["--sparsity=x\n--depth=1", "\0", "--method=a"]
)
def test_damaged_flags_of_an_earlier_run_are_passed_over(tmp_path, text):
    (tmp_path / "flags.cfg").write_text(text)
    found = settings(f"--init_from={tmp_path}")
    assert (found.budget.sparsity, found.network.depth) == (0.9, 28)
    assert settings("--init_from=/no/where").budget.sparsity == 0.9
