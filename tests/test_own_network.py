"""Networks of the user's own, or of `keras.applications`, in runs."""

import json
import re

import keras
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

from dsr_tf import cli
from dsr_tf import runs
from dsr_tf import sparsify
from dsr_tf.layers import HashedDense
from dsr_tf.layers import sparse_layers
from dsr_tf.runs import build
from dsr_tf.runs.outputs import are_probabilities
from dsr_tf.runs.outputs import gives_logits
from dsr_tf.runs.start import start_models
from dsr_tf.schedules import Constant
from tests.configs import config
from tests.own_data import write_folder
from tests.own_data import write_vectors

MODULE = """
import keras

def small(input_shape, num_classes):
    return keras.Sequential([
        keras.Input(input_shape),
        keras.layers.Dense(32, activation="relu"),
        keras.layers.Dropout(0.1),
        keras.layers.Dense(num_classes, activation="softmax"),
    ])

def unbuilt(num_classes):
    return keras.Sequential([keras.layers.Dense(num_classes)])

@keras.saving.register_keras_serializable()
class InCode(keras.Model):
    def __init__(self, num_classes, **kwargs):
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.hidden = keras.layers.Dense(32, activation="relu")
        self.logits = keras.layers.Dense(num_classes)

    def call(self, x):
        return self.logits(self.hidden(x))

    def get_config(self):
        return {**super().get_config(), "num_classes": self.num_classes}

def in_code(num_classes):
    return InCode(num_classes)

def fixed():
    return keras.Sequential([keras.Input((20,)), keras.layers.Dense(3)])

def none():
    return None

def broken():
    raise RuntimeError("a fault of mine")

def wanting(more):
    return None

def flat():
    return keras.Sequential([
        keras.Input((20,)), keras.layers.Reshape((5, 4)),
        keras.layers.GlobalAveragePooling1D(),
    ])

class NeedsUnits(keras.layers.Dense):
    def get_config(self):
        return {}

def uncopied():
    return keras.Sequential([keras.Input((20,)), NeedsUnits(3)])
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module with networks, and returns its name."""
    name = f"own_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return name


def mlp(inputs=20, outputs=3, **last):
    return keras.Sequential(
        [
            keras.Input((inputs,)),
            keras.layers.Dense(32, activation="relu", name="hidden"),
            keras.layers.Dense(outputs, name="logits", **last),
        ]
    )


def own(path, **changes):
    """Returns the settings of a short run on vectors."""
    given = {"batch_size": 60, "l1": 0.0, "period": Constant(4), "epochs": 2}
    given |= {"learning_rate": {0: 0.1}, "sparsity": 0.5}
    if "method" not in changes:
        given["num_pruned"] = 10
    return config(path, **given | changes)


def test_a_function_makes_a_network_for_vectors(module, tmp_path):
    data = str(write_vectors(tmp_path / "table.npz"))
    settings = own(tmp_path / "run", dataset=data, model=f"{module}:small")
    summary = runs.run(settings)
    assert summary["test_accuracy"] > 0.6
    assert summary["num_active"] == summary["budget"] == (20 + 3) * 32 / 2
    assert summary["weights_moved"] > 0
    assert summary["model"] == f"{module}:small"
    first = keras.models.load_model(tmp_path / "run" / "initial.keras")
    assert not sparse_layers(first)
    loss = keras.models.load_model(tmp_path / "run" / "model.keras").loss
    assert not loss.from_logits
    measured = runs.evaluate(str(tmp_path / "run"))
    assert measured["accuracy"] == pytest.approx(summary["test_accuracy"])
    assert measured["outputs"] == "probabilities"
    exported = runs.export_run(str(tmp_path / "run"), "tflite", "int8")
    measured = runs.evaluate(str(exported), data)
    assert abs(measured["accuracy"] - summary["test_accuracy"]) < 0.05
    assert measured["outputs"] == "probabilities"


def test_a_network_in_code_is_trained_and_used(module, tmp_path):
    data = str(write_vectors(tmp_path / "table.npz"))
    path = str(tmp_path / "run")
    summary = runs.run(own(path, dataset=data, model=f"{module}:in_code"))
    assert summary["num_active"] == summary["budget"] == (20 + 3) * 32 / 2
    measured = runs.evaluate(path)
    assert measured["accuracy"] == pytest.approx(summary["test_accuracy"])
    exported = runs.export_run(path, "saved_model")
    measured = runs.evaluate(str(exported), data)
    assert measured["accuracy"] == pytest.approx(summary["test_accuracy"])


@pytest.mark.parametrize("sparsity", [0.3, 0.5, 0.8])
def test_a_run_of_a_function_is_trained_further(module, tmp_path, sparsity):
    data = str(write_vectors(tmp_path / "table.npz"))
    given = {"dataset": data, "model": f"{module}:small"}
    runs.run(own(tmp_path / "run", epochs=1, **given))
    again = own("", init_from=str(tmp_path / "run"), sparsity=sparsity, **given)
    model, initial = start_models(again, (20,), 3)
    run = keras.models.load_model(tmp_path / "run" / "model.keras")
    # Whatever Keras has called the layers of others.
    names = [layer.name for layer in initial.layers]
    assert [layer.name for layer in model.layers] == names
    layers = list(zip(sparse_layers(model), sparse_layers(run), strict=True))
    assert sum(x.num_active for x, _ in layers) == int(
        (1 - sparsity) * 736 + 0.1
    )
    for new, old in layers:
        mask, before = new.kernel_mask.numpy(), old.kernel_mask.numpy()
        assert (mask & before).sum() == min(mask.sum(), before.sum())
        assert (new.kernel.numpy() == old.kernel.numpy() * mask).all()


def test_a_run_of_a_function_repeats_bit_for_bit(module, tmp_path):
    data = str(write_vectors(tmp_path / "table.npz"))
    given = {"dataset": data, "model": f"{module}:small", "epochs": 1}
    weights = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        keras.utils.set_random_seed(len(weights))
        runs.run(own(tmp_path / name, seed=seed, **given))
        model = keras.models.load_model(tmp_path / name / "model.keras")
        weights.append(np.concatenate([x.ravel() for x in model.get_weights()]))
    assert (weights[0] == weights[1]).all()
    assert (weights[0] != weights[2]).any()


@pytest.mark.parametrize("name", ["unbuilt", "fixed"])
def test_functions_may_take_less(module, tmp_path, name):
    data = str(write_vectors(tmp_path / "table.npz"))
    settings = own("", dataset=data, model=f"{module}:{name}")
    network = build.build_dense(settings, (20,), 3)
    assert network.output_shape == (None, 3)
    assert build.gives_logits(settings, network, (20,))


@pytest.mark.parametrize(
    "name, message",
    [
        ("none", "returns a Keras model.*which returns NoneType"),
        ("broken", r"RuntimeError: a fault of mine, in own_.*\.py, line 39\)"),
        ("wanting", "no argument but `input_shape` and `num_classes`.*more"),
        ("missing", "has no attribute 'missing'"),
    ],
)
def test_functions_that_make_no_network_are_refused(module, name, message):
    settings = own("", model=f"{module}:{name}")
    with pytest.raises(ValueError, match=f"`model` must be.*{message}"):
        build.build_dense(settings, (20,), 3)
    with pytest.raises(ValueError, match=r"named 'no_such_module'\)$"):
        build.build_dense(own("", model="no_such_module:x"), (20,), 3)
    with pytest.raises(ValueError, match=r"without \.py, as in folder\.my:x\)"):
        build.build_dense(own("", model="folder/my.py:x"), (20,), 3)


@pytest.mark.parametrize(
    "name, num_classes, message",
    [("flat", 4, "a layer to convert"), ("uncopied", 3, "can copy")],
)
def test_what_only_code_can_choose_is_not_named(
    module, name, num_classes, message
):
    settings = own("", model=f"{module}:{name}")
    with pytest.raises(ValueError, match=message) as error:
        build.build_model(settings, (20,), num_classes)
    assert not re.search("include|exclude|in_place", str(error.value))


@pytest.mark.parametrize(
    "shape, num_classes, message",
    [
        ((8, 8, 1), 3, r"examples of shape \(20,\), and .* shape \(8, 8, 1\)"),
        ((21,), 3, r"examples of shape \(20,\), and .* shape \(21,\)"),
        (
            (20,),
            4,
            r"outputs of shape \(None, 3\), and a data set of 4 classes",
        ),
    ],
)
def test_networks_that_do_not_fit_the_data_are_refused(
    tmp_path, shape, num_classes, message
):
    mlp().save(tmp_path / "mlp.keras")
    settings = own("", model=str(tmp_path / "mlp.keras"))
    with pytest.raises(ValueError, match=message):
        build.build_dense(settings, shape, num_classes)


def test_networks_have_one_input(tmp_path):
    inputs = [keras.Input((20,)), keras.Input((20,))]
    outputs = keras.layers.Dense(3)(keras.layers.Add()(inputs))
    keras.Model(inputs, outputs).save(tmp_path / "two.keras")
    settings = own("", model=str(tmp_path / "two.keras"))
    with pytest.raises(ValueError, match="`model` must have one input"):
        build.build_dense(settings, (20,), 3)


def test_a_file_brings_its_weights(tmp_path):
    path = str(tmp_path / "mlp.keras")
    trained = mlp()
    trained.save(path)
    dense, _ = start_models(own("", model=path, method="dense"), (20,), 3)
    for a, b in zip(dense.get_weights(), trained.get_weights(), strict=True):
        assert (a == b).all()
    # The largest weights of a dense one stay.
    model, initial = start_models(own("", model=path), (20,), 3)
    for layer in sparse_layers(model):
        kernel = np.abs(trained.get_layer(layer.name).kernel.numpy())
        mask = layer.kernel_mask.numpy()
        assert kernel[mask].min() > kernel[~mask].max()
        assert (np.abs(layer.kernel.numpy()) == kernel * mask).all()
    assert not sparse_layers(initial)


@pytest.mark.parametrize("method", ["static", "dsr", "set"])
def test_a_sparse_file_brings_its_masks(tmp_path, method):
    path = str(tmp_path / "sparse.keras")
    trained = sparsify(mlp(), 0.5, seed=7)
    trained.save(path)
    model, _ = start_models(own("", model=path, method=method), (20,), 3)
    for a, b in zip(model.get_weights(), trained.get_weights(), strict=True):
        assert (a == b).all()


def test_a_trained_file_is_pruned_in_steps(tmp_path):
    data = str(write_vectors(tmp_path / "table.npz"))
    path = str(tmp_path / "mlp.keras")
    mlp().save(path)
    settings = {"method": "compressed", "num_prunes": 3, "sparsity": 0.75}
    summary = runs.run(
        own(tmp_path / "run", dataset=data, model=path, **settings)
    )
    assert summary["num_active"] == summary["budget"] == (20 + 3) * 32 / 4
    assert summary["prunes"] == 3


def test_hashed_kernels_of_an_own_network(tmp_path):
    path = str(tmp_path / "mlp.keras")
    mlp().save(path)
    model, initial = start_models(
        own("", model=path, method="hashed"), (20,), 3
    )
    assert initial is None
    assert isinstance(model.get_layer("hidden"), HashedDense)


@pytest.mark.parametrize("text", [None, "x"])
def test_files_that_hold_no_network_are_refused(tmp_path, text):
    path = tmp_path / "mlp.keras"
    if text:
        path.write_text(text)
    with pytest.raises(ValueError, match="`model` must .*mlp.keras"):
        build.build_dense(own("", model=str(path)), (20,), 3)


def test_networks_of_keras_are_made_without_weights_of_theirs(monkeypatch):
    given = {}

    def network(**arguments):
        given.update(arguments)
        return keras.Sequential(
            [
                keras.Input((32, 32, 3)),
                keras.layers.Flatten(),
                keras.layers.Dense(4),
            ]
        )

    monkeypatch.setattr(keras.applications, "MobileNetV2", network)
    build.build_dense(own("", model="MobileNetV2"), (32, 32, 3), 4)
    assert given["weights"] is None and given["classes"] == 4
    assert given["input_shape"] == (32, 32, 3)
    assert given["classifier_activation"] is None


def test_images_that_are_too_small_are_refused():
    with pytest.raises(ValueError, match="`model` must be a network that take"):
        build.build_dense(own("", model="VGG16"), (8, 8, 3), 4)
    with pytest.raises(ValueError, match="`model` must be a network of this"):
        build.build_dense(own("", model="MobileNet2"), (8, 8, 3), 4)


@pytest.mark.slow
def test_mobilenet_trains_on_a_folder_of_images(tmp_path):
    folder = write_folder(tmp_path / "photos", 60, num_classes=3)
    summary = runs.run(
        own(
            tmp_path / "run",
            dataset=f"{folder}/",
            image_size=32,
            model="MobileNetV2",
            batch_size=4,
            num_pruned=1000,
            epochs=1,
        )
    )
    assert summary["num_active"] == summary["budget"]
    assert summary["weights_moved"] > 0 and summary["image_size"] == 32
    measured = runs.evaluate(str(tmp_path / "run"))
    assert measured["accuracy"] == pytest.approx(summary["test_accuracy"])
    assert measured["outputs"] == "logits"


@pytest.mark.parametrize("model", ["wide_resnet", "resnet50", "VGG16"])
def test_vectors_are_no_images(model):
    with pytest.raises(ValueError, match=f"model={model}, which takes images"):
        build.build_dense(own("", model=model), (20,), 3)
    lenet = build.build_dense(own("", model="lenet_300_100"), (20,), 3)
    assert lenet.input_shape == (None, 20)


class InCode(keras.Model):
    def __init__(self, activation):
        super().__init__()
        self.dense = keras.layers.Dense(3, activation=activation)

    def call(self, x):
        return self.dense(x)


def test_logits_are_told_from_probabilities():
    inner = mlp(activation="softmax")
    nested = keras.Sequential([keras.Input((20,)), inner])
    x = keras.Input((20,))
    graph = keras.Model(x, inner(x))
    softmax = keras.Model(x, keras.layers.Softmax()(mlp()(x)))
    activation = keras.Model(x, keras.layers.Activation("softmax")(mlp()(x)))
    for model in (inner, nested, graph, softmax, activation):
        assert not gives_logits(model, (20,))
    scaled = keras.Model(x, keras.layers.Rescaling(2.0)(mlp()(x)))
    for model in (mlp(), keras.Model(x, mlp()(x)), scaled):
        assert gives_logits(model, (20,))
    for name in (None, "softmax"):
        model = InCode(name)
        model(np.zeros((1, 20)))
        assert gives_logits(model, (20,)) == (name is None)
    rows = np.array([[0.2, 0.8], [1.0, 0.0]])
    assert are_probabilities(rows)
    assert not are_probabilities(rows * 2)
    assert not are_probabilities(rows - [0.5, -0.5])


def test_other_data_under_a_name_stops_a_resumed_run(module, tmp_path):
    data = str(write_vectors(tmp_path / "table.npz"))
    given = {"dataset": data, "model": f"{module}:small"}
    given["flags"] = f"--dataset={data}\n--epochs=1\n"
    runs.run(own(tmp_path / "run", epochs=1, **given))
    facts = json.loads((tmp_path / "run" / "data.json").read_text())
    assert facts["its number of training images"] == "480"
    given["flags"] = f"--dataset={data}\n--epochs=2\n"
    write_vectors(tmp_path / "table.npz", 300)
    with pytest.raises(ValueError, match="images was 480 and is 240; .*checks"):
        runs.run(own(tmp_path / "run", epochs=2, **given))
    write_vectors(tmp_path / "table.npz")
    summary = runs.run(own(tmp_path / "run", epochs=2, **given))
    assert summary["epochs"] == 2


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_networks_compute_in_16_bits(tmp_path, kind):
    summary = runs.run(
        config(tmp_path, mixed_precision=kind, epochs=1, jit="off")
    )
    assert summary["test_accuracy"] > 0.5
    assert keras.config.dtype_policy().name == "float32"
    model = keras.models.load_model(tmp_path / "model.keras", compile=False)
    layer = sparse_layers(model)[0]
    assert layer.compute_dtype == kind and layer.variable_dtype == "float32"


def settings(*arguments):
    with flagsaver.flagsaver():
        flags.FLAGS(["main.py", *arguments])
        found = cli.config()
    return found.training.optimizer, str(found.moves.period)


@pytest.mark.parametrize(
    "arguments, expected",
    [
        ([], ("sgd", "0:15,25:30,50:60,75:120")),
        (["--model=MobileNetV2"], ("adam", "auto")),
        (["--dataset=photos/"], ("adam", "auto")),
        (["--dataset=table.npz", "--momentum=0.5"], ("sgd", "auto")),
        (["--model=nets:mlp", "--learning_rate=0.1"], ("sgd", "auto")),
        (["--model=a.keras", "--period=5"], ("adam", "0:5")),
    ],
)
def test_own_runs_need_no_number(arguments, expected):
    assert settings(*arguments) == expected
