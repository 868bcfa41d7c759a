"""TFLite files, run in the process of the tests."""

import tensorflow as tf


def run(path, *arrays):
    """Runs a TFLite file; arrays are in the order of the names of inputs."""
    interpreter = tf.lite.Interpreter(str(path))
    runner = interpreter.get_signature_runner("serving_default")
    names = sorted(runner.get_input_details())
    return runner(**dict(zip(names, arrays, strict=True)))
