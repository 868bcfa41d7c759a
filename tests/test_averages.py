"""Averages of batch normalisation in trainings that are short for them."""

import dataclasses

import keras
import pytest

from dsr_tf import runs
from dsr_tf.runs.averages import settle_averages
from dsr_tf.schedules import Constant
from tests.configs import config
from tests.own_data import write_folder


def network(**arguments):
    """Returns a network with a batch normalisation inside another model."""
    norm = keras.layers.BatchNormalization(**arguments)
    inner = keras.Sequential([keras.Input((4,)), norm])
    net = keras.Sequential([keras.Input((4,)), inner, keras.layers.Dense(3)])
    return net, norm


def settings(**changes):
    return config("run", **{"model": "MobileNetV2", **changes})


@pytest.mark.parametrize(
    "momentum, num_steps, expected, said",
    [
        # 0.999^3000 is 0.0497.
        (0.999, 2000, 0.995, "over 200 steps instead of 1,000, as there are 2"),
        (0.999, 3000, 0.999, None),
        (0.99, 100, 0.9, "over 10 steps instead of 100, as there are 100"),
        (0.99, 299, 0.99, None),
        (0.99, 5, 0.5, "over 2 steps instead of 100, as there are 5"),
        # It was to stay at what it begins with.
        (1.0, 10, 1.0, None),
    ],
)
def test_averages_go_over_a_tenth_of_a_short_training(
    momentum, num_steps, expected, said
):
    net, norm = network(momentum=momentum)
    found = settle_averages(settings(), [net], num_steps)
    assert norm.momentum == pytest.approx(expected)
    assert (found is None) if said is None else (said in found)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "lenet_300_100"},
        {"model": "wide_resnet", "dataset": "cifar10"},
        {"model": "trained.keras"},
        {"init_from": "runs/first"},
    ],
)
def test_what_is_published_or_trained_stays_as_it_is(changes):
    net, norm = network()
    assert settle_averages(settings(**changes), [net], 10) is None
    assert norm.momentum == 0.99


@pytest.mark.parametrize("dataset", ["photos/", "table.npz"])
def test_networks_of_the_library_settle_on_other_data(dataset):
    net, norm = network()
    given = settings(model="lenet_300_100", dataset=dataset)
    assert "over 4 steps instead of 100" in settle_averages(given, [net], 40)
    assert norm.momentum == 0.75


def test_a_function_is_told_what_to_give():
    net, norm = network()
    found = settle_averages(settings(model="nets:small"), [net], 40)
    assert "there are 40" in found and "a momentum of 0.75" in found
    assert norm.momentum == 0.99


def test_what_is_frozen_is_not_averaged():
    net, norm = network()
    norm.trainable = False
    assert settle_averages(settings(), [net], 10) is None


@pytest.mark.slow
def test_a_short_try_of_an_application_is_not_at_chance(tmp_path, capsys):
    photos = write_folder(tmp_path / "photos", 400, num_classes=2)
    given = config(
        *(tmp_path / "run",),
        dataset=f"{photos}/",
        model="MobileNetV2",
        image_size=32,
        epochs=12,
        batch_size=16,
        l1=0.0,
        learning_rate={0: 0.001},
        period=Constant(10),
    )
    adam = dataclasses.replace(given.training, optimizer="adam")
    summary = runs.run(dataclasses.replace(given, training=adam))
    assert "instead of 1,000" in capsys.readouterr().out
    assert summary["test_accuracy"] > 0.8
    for name in ("model", "initial"):
        path = tmp_path / "run" / f"{name}.keras"
        norm = keras.models.load_model(path).get_layer("bn_Conv1")
        assert norm.momentum < 0.999
