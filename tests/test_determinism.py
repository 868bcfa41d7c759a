"""All methods under `tf.config.experimental.enable_op_determinism`."""

import pytest

from tests.processes import finish
from tests.processes import start


@pytest.mark.slow
def test_methods_repeat_under_determinism(starter):
    finish(start(starter, "determinism.py"))
