"""TFLite files, run in the process of the tests."""

from dsr_tf.exporting.interpreter import interpreter


def run(path, *arrays):
    """Runs a TFLite file; arrays are in the order of the names of inputs."""
    runner = interpreter(path).get_signature_runner("serving_default")
    names = sorted(runner.get_input_details())
    return runner(**dict(zip(names, arrays, strict=True)))
