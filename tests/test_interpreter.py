import subprocess
import sys
from types import ModuleType

import keras
import pytest
import tensorflow as tf

from dsr_tf.exporting import interpreter as program
from dsr_tf.exporting import trial
from dsr_tf.exporting.interpreter import interpreter

# Runs the program where TensorFlow cannot be imported, and LiteRT is another.
WITHOUT_TENSORFLOW = """
import sys, types
sys.modules["tensorflow"] = None
litert = types.ModuleType("ai_edge_litert.interpreter")
class Interpreter:
    def __init__(self, path):
        print(path)
        sys.exit(3)
litert.Interpreter = Interpreter
sys.modules["ai_edge_litert"] = types.ModuleType("ai_edge_litert")
sys.modules["ai_edge_litert.interpreter"] = litert
import runpy
sys.argv = [PROGRAM, "model.tflite"]
runpy.run_path(PROGRAM, run_name="__main__")
"""


def test_litert_is_taken_where_it_is_installed(monkeypatch):
    module = ModuleType("ai_edge_litert.interpreter")
    module.Interpreter = lambda path, **options: (path, options)
    parent = ModuleType("ai_edge_litert")
    monkeypatch.setitem(sys.modules, "ai_edge_litert", parent)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", module)
    assert interpreter("m", num_threads=2) == ("m", {"num_threads": 2})


def test_tensorflow_is_taken_where_litert_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    monkeypatch.setattr(tf.lite, "Interpreter", lambda path: path)
    assert interpreter("m") == "m"


def test_with_litert_the_program_does_not_load_tensorflow():
    code = f"PROGRAM = {program.__file__!r}\n{WITHOUT_TENSORFLOW}"
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert (ended.returncode, ended.stdout) == (3, "model.tflite\n")


def test_an_interpreter_that_crashes_is_named_by_its_signal(
    tmp_path, monkeypatch
):
    crash = "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n"
    (tmp_path / "program.py").write_text(crash)
    monkeypatch.setattr(trial, "_PROGRAM", tmp_path / "program.py")
    with pytest.raises(
        ValueError, match="damaged: it ends TFLite with SIGSEGV"
    ):
        trial.check_survives(tmp_path / "m.tflite")
    with pytest.raises(RuntimeError, match="ends TFLite with SIGSEGV"):
        trial.outputs_of(tmp_path / "m.tflite", {})


@pytest.mark.slow
def test_litert_and_tensorflow_compute_the_same(tmp_path):
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    layer = keras.layers.Dense(3)
    model = keras.Sequential([keras.Input((4,)), layer])
    content = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    (tmp_path / "m").write_bytes(content)
    x = tf.random.stateless_normal((1, 4), (0, 0)).numpy()
    found = []
    for kind in (litert.Interpreter, tf.lite.Interpreter):
        runner = kind(str(tmp_path / "m")).get_signature_runner()
        (name,) = runner.get_input_details()
        (value,) = runner(**{name: x}).values()
        found.append(value)
    assert found[0] == pytest.approx(found[1], abs=1e-6)
