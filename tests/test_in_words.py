"""Settings in plain words."""

import pytest

from dsr_tf.cli import parsed  # noqa: F401  Defines the flags.
from dsr_tf.reports import in_words


@pytest.mark.parametrize(
    "name, value, words",
    [
        ("learning_rate", "0.1", "learning rate 0.1"),
        ("learning_rate", "0:0.1", "learning rate 0.1"),
        (
            "learning_rate",
            "0:0.1,25:0.02,50:0.004",
            "learning rate 0.1 (0.02 from epoch 25, 0.004 from epoch 50)",
        ),
        ("learning_rate", "cosine:0.1:0", "learning rate 0.1 to 0 (cosine)"),
        (
            "drop_fraction",
            "linear:0.3:0.1:0.75",
            "drop fraction 0.3 to 0.1 (linear, until 75 % of the training)",
        ),
        (
            "temperature",
            "cubic:2:1:1500",
            "temperature 2 to 1 (cubic, until step 1,500)",
        ),
        (
            "num_pruned",
            "share:0:0.2,0.5:0.1",
            "0.2 (0.1 from 50 % of the training) pruned at a time",
        ),
        ("num_pruned", "600", "600 pruned at a time"),
        ("period", "100", "period 100"),
        ("period", "0:1500", "period 1,500"),
        ("period", "auto", "period auto"),
        ("period", "times:50", "period for 50 times in the training"),
        (
            "period",
            "times:50:2",
            "period for 50 times in the training, 2 steps apart",
        ),
        ("growth", "drawn", "growth drawn"),
        ("granularity", "16x16", "granularity 16x16"),
        ("l1", "1e-05", "L1 1e-05"),
        ("l1", "0.123456789", "L1 0.123456789"),
        ("soft", "true", "soft"),
        ("soft", "false", "not soft"),
        ("a_switch", "true", "a switch"),
        ("a_switch", "false", "no a switch"),
        ("stop_epoch", "50", "masks fixed from epoch 50 on"),
        ("stop_epoch", None, "no stop epoch"),
        ("distribution", None, "distribution uniform"),
        ("optimizer", None, "optimizer sgd"),
        ("standardize", None, "standardized"),
        ("something_old", None, "no something old"),
        ("growth", "1:2:3", "growth 1:2:3"),
        ("growth", "linear:1:2:3:4:5", "growth linear:1:2:3:4:5"),
        ("growth", "{}", "growth {}"),
        ("period", "1e400", "period inf"),
        ("period", "nan", "period nan"),
    ],
)
def test_a_setting_is_told_in_words(name, value, words):
    assert in_words.setting(name, value) == words


def test_flags_that_are_told_in_other_words_exist():
    from absl import flags

    told = {
        *in_words._PHRASES,
        *in_words._SWITCHES,
        *in_words._ABSENT,
    }
    assert told <= set(flags.FLAGS)


def test_the_run_that_gave_weights_has_no_seed():
    path = "/runs/mnist_dense_e100_seed1_a2e3847c/"
    assert in_words.begin(path) == (
        "begun with the weights of mnist_dense_e100_a2e3847c"
    )
    assert in_words.begin("seed3") == "begun with the weights of seed3"
    assert in_words.begin(None) == "begun with fresh weights"
