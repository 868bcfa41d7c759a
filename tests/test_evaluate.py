import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from dsr_tf import runs
from dsr_tf.data import load_images
from dsr_tf.runs.exported import EXPORTS as NAMES
from tests.configs import config

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Returns the folder of a run with all its exports, and its summary."""
    path = tmp_path_factory.mktemp("runs") / "run"
    summary = runs.run(config(path, epochs=2))
    for format in NAMES:
        runs.export_run(str(path), format)
    return path, summary


def test_run_is_as_good_as_its_summary_says(finished, capsys):
    path, summary = finished
    result = runs.evaluate(str(path))
    accuracy = summary["test_accuracy"]
    assert result["accuracy"] == pytest.approx(accuracy, abs=1e-6)
    assert result["recorded_accuracy"] == accuracy
    assert result["dataset"] == "digits" and result["num_images"] == 297
    assert capsys.readouterr().out.splitlines() == [
        f"accuracy        {accuracy:.4f} on the 297 test examples of digits",
        f"loss            {result['loss']:.4f}, the cross-entropy of its "
        "outputs, taken as logits",
        f"recorded        {accuracy:.4f} when the run ended, the same",
    ]


@pytest.mark.parametrize(
    "name", ["model.keras", "saved_model", "saved_model_dense", "model.tflite"]
)
def test_files_of_a_run_are_as_good_as_it(finished, name):
    path, summary = finished
    result = runs.evaluate(str(path / name), "digits")
    expected = summary["test_accuracy"]
    assert result["accuracy"] == pytest.approx(expected, abs=1e-6)
    run = runs.evaluate(str(path))
    assert result["loss"] == pytest.approx(run["loss"], rel=1e-5)
    assert "recorded_accuracy" not in result


def test_a_file_of_bytes_is_as_good_as_the_run(finished):
    path, summary = finished
    export = runs.export_run(str(path), "tflite", "int8", inputs="int8")
    assert export == path / "model_int8_int8_inputs.tflite"
    result = runs.evaluate(str(export), "digits")
    assert result["accuracy"] == pytest.approx(
        summary["test_accuracy"], abs=0.03
    )


def test_loss_is_the_cross_entropy_of_keras(finished):
    path, _ = finished
    model = keras.models.load_model(path / "model.keras", compile=False)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    images, labels = next(iter(load_images("digits").eval_batches(297)))
    expected = float(loss(labels, model(images)))
    assert runs.evaluate(str(path))["loss"] == pytest.approx(expected)


def test_change_since_the_run_ended_is_told(finished, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(finished[0], copy)
    summary = finished[1] | {"test_accuracy": 1.0}
    (copy / "summary.json").write_text(json.dumps(summary))
    result = runs.evaluate(str(copy))
    missed = f"{result['accuracy'] - 1:+.4f} since"
    assert capsys.readouterr().out.splitlines()[-1].endswith(missed)


@pytest.mark.parametrize(
    "name, dataset, message",
    [
        ("nowhere", None, "must be the folder of a finished run, a .keras"),
        ("metrics.csv", "digits", "must be the folder of a finished run, a"),
        ("weights.npz", "digits", "NumPy arrays, .* cannot run"),
        ("weights_csr.npz", "digits", "NumPy arrays, .* cannot run"),
        ("model.keras", None, "`dataset` must be given, unless"),
        ("", "mnist", "`dataset` must be that of the run, or left"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(finished, name, dataset, message):
    with pytest.raises(ValueError, match=message):
        runs.evaluate(str(finished[0] / name), dataset)


def test_unfinished_run_is_refused(finished, tmp_path):
    shutil.copy(finished[0] / "model.keras", tmp_path)
    with pytest.raises(ValueError, match="the folder of a finished run"):
        runs.evaluate(str(tmp_path), "digits")


@pytest.mark.parametrize("name", ["a.keras", "a.tflite", "a/saved_model.pb"])
def test_foreign_files_are_one_line(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("not a model")
    given = path.parent if path.suffix == ".pb" else path
    with pytest.raises(ValueError, match="a network that loads") as raised:
        runs.evaluate(str(given), "digits")
    assert len(str(raised.value).splitlines()) == 1


def test_saved_model_without_the_endpoint_is_refused(tmp_path):
    tf.saved_model.save(tf.Module(), str(tmp_path))
    with pytest.raises(ValueError, match="endpoint `serve`. Received:.*KeyErr"):
        runs.evaluate(str(tmp_path), "digits")


@pytest.mark.parametrize(
    "shape, classes, dtype, message",
    [
        ((28, 28, 1), 10, "float32", r"takes, \(28, 28, 1\). .* of \(8, 8, 1"),
        ((64,), 10, "float32", r"takes, \(64,\). Received: dataset=digits"),
        ((8, 8, 1), 3, "float32", "digits with 10 classes, and .*100, 3"),
        ((8, 8, 1), 10, "int64", "takes a batch of images"),
    ],
)
def test_networks_that_do_not_fit_are_refused(
    tmp_path, shape, classes, dtype, message
):
    model = keras.Sequential(
        [
            keras.Input(shape, dtype=dtype),
            keras.layers.Flatten(),
            keras.layers.Rescaling(1.0),
            keras.layers.Dense(classes),
        ]
    )
    model.export(tmp_path / "model", verbose=False)
    with pytest.raises(ValueError, match=message):
        runs.evaluate(str(tmp_path / "model"), "digits")


def test_plain_keras_exports_of_open_size_are_evaluated(tmp_path):
    pool = keras.layers.GlobalAveragePooling2D()
    layers = [keras.Input((None, None, 1)), pool, keras.layers.Dense(10)]
    model = keras.Sequential(layers)
    model.export(tmp_path / "model", verbose=False)
    result = runs.evaluate(str(tmp_path / "model"), "digits")
    images, labels = next(iter(load_images("digits").eval_batches(297)))
    right = np.argmax(model(images), axis=1) == labels.numpy()
    assert result["accuracy"] == pytest.approx(right.mean())


def test_command_line_evaluates(starter, finished, tmp_path):
    path, summary = finished
    accuracy = f"accuracy        {summary['test_accuracy']:.4f} on the 297"
    run = starter.main("--mode=evaluate", f"--run_dir={path}")
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith(accuracy) and "the same" in run.stdout
    exported = f"--model_path={path / 'saved_model'}"
    packed = starter.main("--mode=evaluate", exported, "--dataset=digits")
    assert (packed.returncode, packed.stderr) == (0, "")
    assert packed.stdout.startswith(accuracy)
    missing = starter.main(
        "--mode=evaluate", f"--model_path={tmp_path / 'none'}"
    )
    assert missing.returncode == 1 and missing.stdout == ""
    assert len(missing.stderr.splitlines()) == 1
    assert "--model_path must be the folder of a finished" in missing.stderr


def test_a_file_that_crashes_tflite_is_one_line(finished, tmp_path):
    content = bytearray((finished[0] / "model.tflite").read_bytes())
    # The root table of the file, far beyond its end.
    content[:4] = (2**31 - 4).to_bytes(4, "little")
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    # TensorFlow's interpreter crashes; LiteRT verifies what it reads.
    how = "is damaged: it ends TFLite with SIG|Flatbuffer"
    with pytest.raises(ValueError, match=how) as caught:
        runs.evaluate(str(path), "digits")
    assert len(str(caught.value).splitlines()) == 1


def test_a_damaged_fingerprint_changes_nothing(starter, finished, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(finished[0] / "saved_model", copy)
    (copy / "fingerprint.pb").write_bytes(bytes(range(256)))
    result = starter.main(
        "--mode=evaluate", f"--model_path={copy}", "--dataset=digits"
    )
    assert (result.returncode, result.stderr) == (0, "")
    accuracy = finished[1]["test_accuracy"]
    assert result.stdout.startswith(f"accuracy        {accuracy:.4f} on")
