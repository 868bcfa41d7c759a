"""Averages of batch normalisation in trainings that are short for them."""

import dataclasses
import importlib

import keras
import numpy as np
import pytest

from dsr_tf import runs
from dsr_tf.runs.batch_norm import settle_averages
from dsr_tf.schedules import Constant
from tests.configs import config
from tests.own_data import write_folder

run_module = importlib.import_module("dsr_tf.runs.run")


def network(**arguments):
    """Returns a network with a batch normalisation inside another model."""
    norm = keras.layers.BatchNormalization(**arguments)
    inner = keras.Sequential([keras.Input((4,)), norm])
    net = keras.Sequential([keras.Input((4,)), inner, keras.layers.Dense(3)])
    return net, norm


def settings(**changes):
    return config("run", **{"model": "MobileNetV2", "epochs": 1, **changes})


@pytest.mark.parametrize(
    "momentum, num_steps, expected, said",
    [
        # 0.999^3000 is 0.0497.
        (
            0.999,
            2000,
            0.995,
            "over 200 steps instead of 1,000, as the training has 2,000",
        ),
        (0.999, 3000, 0.999, None),
        (
            0.99,
            100,
            0.9,
            "over 10 steps instead of 100, as the training has 100",
        ),
        (0.99, 299, 0.99, None),
        (0.99, 5, 0.5, "over 2 steps instead of 100, as the training has 5"),
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
    ],
)
def test_what_is_published_stays_as_it_is(changes):
    net, norm = network()
    assert settle_averages(settings(**changes), [net], 10) is None
    assert norm.momentum == 0.99


@pytest.mark.parametrize("model", ["MobileNetV2", "trained.keras"])
@pytest.mark.parametrize("name", ["moving_mean", "moving_variance"])
def test_averages_of_a_trained_network_are_settled(model, name):
    net, norm = network()
    getattr(norm, name).assign(np.full(4, 0.5, "float32"))
    assert settle_averages(settings(model=model), [net], 10) is None
    assert norm.momentum == 0.99


@pytest.mark.parametrize("dataset", ["photos/", "table.npz"])
def test_networks_of_the_library_settle_on_other_data(dataset):
    net, norm = network()
    given = settings(model="lenet_300_100", dataset=dataset)
    assert "over 4 steps instead of 100" in settle_averages(given, [net], 40)
    assert norm.momentum == 0.75


@pytest.mark.parametrize("model", ["nets:small", "fresh.keras"])
def test_for_an_own_network_it_is_said_what_to_give(model):
    net, norm = network()
    found = settle_averages(settings(model=model), [net], 40)
    assert "training has 40" in found and "a momentum of 0.75" in found
    assert norm.momentum == 0.99


def test_what_is_frozen_is_not_averaged():
    net, norm = network()
    norm.trainable = False
    assert settle_averages(settings(), [net], 10) is None


def test_what_is_never_called_is_not_averaged():
    net, norm = network()
    norm.built = False
    assert settle_averages(settings(), [net], 10) is None


def test_averages_of_replicas_are_shortened(strategy):
    with strategy.scope():
        net, norm = network()
    assert settle_averages(settings(), [net], 40)
    assert norm.momentum == 0.75


@pytest.mark.parametrize(
    "earlier, now, is_refused",
    [(2, 4, True), (3, 4, True), (4, 4, False), (40, 50, False)],
)
def test_a_run_goes_on_with_the_averages_it_had(earlier, now, is_refused):
    net, _ = network()
    given = settings(epochs=now), [net], 10, earlier
    if is_refused:
        with pytest.raises(ValueError, match=f"epochs={now}, and {earlier} "):
            settle_averages(*given)
    else:
        settle_averages(*given)


class Stopped(run_module.EpochLine):
    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        if epoch == 1:
            raise KeyboardInterrupt


def test_a_short_run_on_own_data_goes_on_but_not_for_longer(
    tmp_path, monkeypatch, capsys
):
    photos = f"{write_folder(tmp_path / 'photos', 300)}/"

    def given(name, epochs):
        return config(
            *(tmp_path / name,),
            dataset=photos,
            epochs=epochs,
            batch_size=20,
            period=Constant(3),
            flags=f"--dataset={photos}\n--epochs={epochs}\n",
        )

    whole = runs.run(given("whole", 3))
    assert "as the training has 36" in capsys.readouterr().out
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "EpochLine", Stopped)
        with pytest.raises(KeyboardInterrupt):
            runs.run(given("run", 3))
    assert runs.run(given("run", 3))["test_accuracy"] == whole["test_accuracy"]
    models = [
        keras.models.load_model(tmp_path / name / "model.keras")
        for name in ("whole", "run")
    ]
    pairs = zip(*(x.get_weights() for x in models), strict=True)
    assert all((a == b).all() for a, b in pairs)
    before = sorted(p.name for p in (tmp_path / "run").iterdir())
    with pytest.raises(ValueError, match="epochs=4, and 3 there"):
        runs.run(given("run", 4))
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == before


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
